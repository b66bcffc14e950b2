/**
 * Simulates placement and writes what docs/placement.md shows:
 *   node bench/placement/main.ts [--clients 10000000] [--gateways 10,100,1000] [--scenario NAME] [--seed 1] [--dry]
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import type { Measures } from './measures.ts';
import { plot } from './plot.ts';
import { POLICIES } from './policies.ts';
import { run } from './run.ts';
import { SCENARIOS } from './scenarios.ts';

const REPORT_AGES_MS = [1000, 5000];
const DOCS = fileURLToPath(new URL('../../docs/', import.meta.url));
const [BEGIN, END] = ['<!-- results: begin -->', '<!-- results: end -->'];

const { values: flags } = parseArgs({
  options: {
    clients: { type: 'string', default: '10000000' },
    gateways: { type: 'string', default: '10,100,1000' },
    scenario: { type: 'string', default: '' },
    seed: { type: 'string', default: '1' },
    /** Prints and writes nothing. */
    dry: { type: 'boolean', default: false },
  },
});

const clients = Number(flags.clients);
const seed = Number(flags.seed);
const fleets = flags.gateways.split(',').map(Number);
const scenarios = SCENARIOS.filter(({ name }) => name.includes(flags.scenario));
const policies = Object.keys(POLICIES);
const lines: string[] = [];
const plots = new Map<string, string>();

for (const scenario of scenarios) {
  say(`\n### ${capital(scenario.name)}\n`);
  say(
    '| gateways | report age | policy | worst max/mean | final | p99.9 | oscillation | balanced after | misplaced | failed attempts |',
  );
  say('|---:|---:|---|---:|---:|---:|---:|---:|---:|---:|');
  for (const gateways of fleets) {
    for (const reportAgeMs of REPORT_AGES_MS) {
      const measured = policies.map((policy) => ({
        name: policy,
        ...run({ scenario, gateways, clients, reportAgeMs, policy, seed }),
      }));
      for (const { name, ...measures } of measured) say(row(gateways, reportAgeMs, name, measures));
      if (gateways !== fleets.at(-1) || reportAgeMs !== REPORT_AGES_MS[0]) continue;
      const file = `${scenario.name.replaceAll(/\W+/g, '-')}.svg`;
      const title = `${capital(scenario.name)}: highest utilisation over mean`;
      const subtitle = `${gateways} gateways, ${clients.toLocaleString('en')} clients, reports ${reportAgeMs / 1000} s old; 1 is ideal`;
      plots.set(
        file,
        plot(
          title,
          subtitle,
          measured.map(({ name, series }) => ({ name, values: series })),
        ),
      );
    }
  }
}

if (!flags.dry) {
  mkdirSync(`${DOCS}placement`, { recursive: true });
  for (const [file, svg] of plots) writeFileSync(`${DOCS}placement/${file}`, svg);
  const page = readFileSync(`${DOCS}placement.md`, 'utf8');
  const [before, after] = [page.indexOf(BEGIN), page.indexOf(END)];
  if (before < 0 || after < before) throw new Error(`docs/placement.md lacks ${BEGIN} and ${END}`);
  const results = [BEGIN, ...lines, '', ''].join('\n');
  writeFileSync(`${DOCS}placement.md`, page.slice(0, before) + results + page.slice(after));
}

function say(line: string): void {
  lines.push(line);
  console.log(line);
}

function row(gateways: number, reportAgeMs: number, policy: string, measures: Measures): string {
  const { worst, final, p999, oscillation, balancedAfter, misplaced, failed } = measures;
  const cells = [
    gateways,
    `${reportAgeMs / 1000} s`,
    policy === 'GoChat' ? '**GoChat**' : policy,
    worst.toFixed(3),
    final.toFixed(3),
    p999.toFixed(3),
    `${oscillation.toFixed(2)} %`,
    balancedAfter === Infinity ? 'never' : `${balancedAfter} s`,
    `${misplaced.toFixed(1)} %`,
    `${failed.toFixed(1)} %`,
  ];
  return `| ${cells.join(' | ')} |`;
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
