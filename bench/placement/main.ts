/**
 * Simulates placement and writes what docs/lab/placement.md shows:
 *   node bench/placement/main.ts [--clients 10000000] [--gateways 10,100,1000] [--scenario NAME] [--seed 1] [--dry]
 * One scenario runs on one core; several can be run side by side.
 */
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { POLICIES } from './policies.ts';
import { cells, publish, type Row, toRow } from './results.ts';
import { run } from './run.ts';
import { SCENARIOS } from './scenarios.ts';

const REPORT_AGES_MS = [1000, 5000];
const DOCS = fileURLToPath(new URL('../../docs/lab/', import.meta.url));

const { values: flags } = parseArgs({
  options: {
    clients: { type: 'string', default: '10000000' },
    gateways: { type: 'string', default: '10,100,1000' },
    /** Part of the names of the scenarios to run. */
    scenario: { type: 'string', default: '' },
    seed: { type: 'string', default: '1' },
    /** Prints and writes nothing. */
    dry: { type: 'boolean', default: false },
  },
});

const clients = Number(flags.clients);
const seed = Number(flags.seed);
const fleets = flags.gateways.split(',').map(Number);

for (const scenario of SCENARIOS.filter(({ name }) => name.includes(flags.scenario))) {
  const rows: Row[] = [];
  let lines: { name: string; values: readonly number[] }[] = [];
  for (const gateways of fleets) {
    for (const reportAgeMs of REPORT_AGES_MS) {
      const measured = Object.keys(POLICIES).map((policy) => {
        const measures = run({ scenario, gateways, clients, reportAgeMs, policy, seed });
        const row = toRow(
          { scenario: scenario.name, clients, gateways, reportAgeMs, policy, seed },
          measures,
        );
        console.log(`${scenario.name} | ${gateways} | ${reportAgeMs / 1000} s | ${policy} | ${cells(row)}`);
        rows.push(row);
        return { name: policy, values: measures.series };
      });
      // The plot shows the largest fleet with fresh reports.
      if (reportAgeMs === REPORT_AGES_MS[0]) lines = measured;
    }
  }
  if (flags.dry) continue;
  const subtitle = `${fleets.at(-1)} gateways, ${clients.toLocaleString('en')} clients, reports 1 s old; 1 is ideal`;
  publish(DOCS, scenario.name, rows, { subtitle, lines });
}
