/**
 * What crpc costs: ratios to bare grpc-js, measured side by side in the same run (medians of 5, interleaved).
 *
 *     node bench/crpc.ts                                     everything, six minutes; after make build
 *     node bench/crpc.ts calls batches endpoints memory faults   any of these
 *     node bench/crpc.ts --quick --json FILE --profile DIR   one short round; files for figures and CPU profiles
 *
 * The server is a process of its own; everything shares the machine, so only the ratios mean something.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { enableMetrics } from '../common/mod.ts';
import { measureBatches, measureCalls } from './crpc/calls.ts';
import type { Timing } from './crpc/compete.ts';
import { measureEndpoints } from './crpc/endpoints.ts';
import { measureFaults } from './crpc/faults.ts';
import { measureMemory } from './crpc/memory.ts';
import { line } from './crpc/report.ts';
import type { Row } from './crpc/report.ts';
import { startServer } from './crpc/server.ts';
import type { BenchServer } from './crpc/server.ts';
import { ROOT } from './lib/child.ts';
import { describeMachine } from './lib/machine.ts';
import { machineText } from './lib/report.ts';

const PARTS: Readonly<Record<string, (server: BenchServer, timing: Timing) => Promise<Row[]>>> = {
  calls: measureCalls,
  batches: measureBatches,
  endpoints: measureEndpoints,
  memory: measureMemory,
  faults: measureFaults,
};
const FULL: Timing = { rounds: 5, ms: 2000 };
const QUICK: Timing = { rounds: 1, ms: 500 };

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      quick: { type: 'boolean', default: false },
      json: { type: 'string' },
      profile: { type: 'string' },
    },
  });
  const unknown = positionals.find((name) => !Object.hasOwn(PARTS, name));
  if (unknown !== undefined) {
    console.error(`bench/crpc: the parts are ${Object.keys(PARTS).join(', ')}, not ${unknown}`);
    return 2;
  }
  // As in a server: traces are not recorded.
  await enableMetrics('bench');
  const machine = await describeMachine();
  console.log(machineText(machine));
  await using server = await startServer(values.profile);
  const began = new Date();
  const rows: Row[] = [];
  for (const [name, measure] of Object.entries(PARTS)) {
    if (positionals.length > 0 && !positionals.includes(name)) continue;
    const found = await measure(server, values.quick ? QUICK : FULL);
    for (const row of found) console.log(line(row));
    rows.push(...found);
  }
  const file = resolve(
    values.json ?? join(ROOT, 'data/bench', `crpc-${began.toISOString().replaceAll(/[:.]/g, '-')}.json`),
  );
  mkdirSync(dirname(file), { recursive: true });
  const command = process.argv.slice(2);
  writeFileSync(file, `${JSON.stringify({ began, command, machine, rows }, undefined, 2)}\n`);
  console.log(`Figures: ${file}`);
  return 0;
}

process.exitCode = await main();
