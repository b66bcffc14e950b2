/**
 * How fast ipconf is with 1,000 gateways that report every second through etcd:
 *   node bench/ipconf.ts [--quick] [--gateways 1000]
 * Beside it a bare node:http server that returns the same bytes, turn by turn; then what the reports cost etcd, and
 * how soon a change shows in answers.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { silentLogger } from '../common/mod.ts';
import { openRegistry } from '../crpc/mod.ts';
import { startServices } from '../test/harness/services.ts';
import { type Child, exitOnSignals, startProgram } from './lib/child.ts';
import { httpLoad } from './lib/http-load.ts';
import { median } from './lib/runner.ts';
import { sample, usageSince } from './lib/usage.ts';

const PATH = '/ip/list?uid=123456789012345678&zone=zone-1&transport=tcp&v=1';
const CONNECTIONS = 64;
const CHANGES = 20;
const ETCD_SECONDS = 5;
const WARM_UP_SECONDS = 4;
const KNOWN_WITHIN_MS = 30_000;

const { values: flags } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    gateways: { type: 'string', default: '1000' },
  },
});
const rounds = flags.quick ? 2 : 5;
const seconds = flags.quick ? 1 : 3;

exitOnSignals();
await using stack = new AsyncDisposableStack();
console.error(`starting etcd, ${flags.gateways} gateways and ipconf`);
const services = stack.use(await startServices({ only: ['etcd'], durable: true }));
const registryUrl = services.urls.etcd;
const fleet = await startProgram('gateways', 'peers/ipconf-server.ts', [
  'gateways',
  registryUrl,
  flags.gateways,
]);
stack.use(fleet.child);
const ipconf = await startProgram('ipconf', 'peers/ipconf-server.ts', ['ipconf', registryUrl]);
stack.use(ipconf.child);
const answer = await untilAnswered(ipconf.port);
const bare = await startProgram('bare', 'peers/ipconf-server.ts', ['bare', JSON.stringify(answer)]);
stack.use(bare.child);

// Both are compiled as they work: the first seconds would measure that.
for (const { port } of [ipconf, bare])
  await httpLoad({ port, path: PATH, connections: CONNECTIONS, seconds: WARM_UP_SECONDS });
const found = { ipconf: [] as number[], bare: [] as number[], ratio: [] as number[], cpu: [] as number[] };
for (let round = 0; round < rounds; round++) {
  const ours = await fullLoad(ipconf);
  const theirs = await fullLoad(bare);
  found.ipconf.push(ours.perSecond);
  found.bare.push(theirs.perSecond);
  found.ratio.push(ours.perSecond / theirs.perSecond);
  found.cpu.push(ours.perCpuSecond / theirs.perCpuSecond);
  console.error(`round ${round + 1} of ${rounds}: ${rate(ours.perSecond)} beside ${rate(theirs.perSecond)}`);
}
const half = median(found.ipconf) / 2;
const halves = [];
for (let round = 0; round < rounds; round++)
  halves.push(
    await httpLoad({ port: ipconf.port, path: PATH, connections: CONNECTIONS, seconds, rate: half }),
  );

const etcd = { name: 'etcd', pid: Number(readFileSync(join(services.dir, 'etcd.pid'), 'utf8')) };
const tracked = [etcd, { name: 'ipconf', pid: ipconf.child.pid }];
const before = sample(tracked);
const writesBefore = await writes();
await new Promise((resolve) => setTimeout(resolve, ETCD_SECONDS * 1000));
const writesAfter = await writes();
const usage = usageSince(before, tracked);
const written = writesAfter.writes - writesBefore.writes;
const shown = await measureChanges();

console.log(`/ip/list, ${flags.gateways} gateways, answers of ${answer.body.length} bytes`);
console.log(`  ipconf        ${rate(median(found.ipconf))}`);
console.log(`  bare http     ${rate(median(found.bare))}`);
console.log(`  ratio         ${median(found.ratio).toFixed(2)} (median of ${rounds} rounds, turn by turn)`);
console.log(
  `  of CPU time   ${median(found.cpu).toFixed(2)} of the bare one's requests for each second of CPU, the reports included`,
);
console.log(
  `  at half load  ${rate(half)}: p50 ${ms(median(halves.map(({ p50Ms }) => p50Ms)))}, p99 ${ms(median(halves.map(({ p99Ms }) => p99Ms)))}`,
);
console.log('Reports in etcd (synced to disk)');
console.log(`  record        ${writesAfter.bytes} bytes`);
console.log(
  `  writes        ${(written / ETCD_SECONDS).toFixed(0)}/s, ${((written * writesAfter.bytes) / ETCD_SECONDS / 1024).toFixed(0)} KiB/s, each ${ms((writesAfter.writeMs - writesBefore.writeMs) / written)}`,
);
for (const { name, cpuPercent, rssMiB } of usage)
  console.log(`  ${name.padEnd(13)} ${cpuPercent.toFixed(0)} % of a core, ${rssMiB.toFixed(0)} MiB`);
console.log(`A change, from before it is written to etcd until an answer shows it (${CHANGES} times)`);
console.log(`  p50 ${ms(shown[CHANGES >> 1] as number)}, worst ${ms(shown.at(-1) as number)}`);

/** Asks as fast as it answers; also how many answers a second of the server's CPU gives. */
async function fullLoad({ child, port }: { child: Child; port: number }) {
  const servers = [{ name: 'server', pid: child.pid }];
  const from = sample(servers);
  const { perSecond } = await httpLoad({ port, path: PATH, connections: CONNECTIONS, seconds });
  const [used] = usageSince(from, servers);
  return { perSecond, perCpuSecond: perSecond / ((used?.cpuPercent ?? Number.NaN) / 100) };
}

/** Waits until all gateways are known; returns an answer as the bare server is to give it. */
async function untilAnswered(port: number): Promise<{ headers: string[]; body: string }> {
  const deadline = performance.now() + KNOWN_WITHIN_MS;
  for (;;) {
    const response = await fetch(`http://127.0.0.1:${port}${PATH}`);
    const body = await response.text();
    if (performance.now() > deadline) throw new Error(`ipconf knows no gateway: ${body}`);
    if (response.status === 200) {
      const own = new Set(['date', 'connection', 'keep-alive']);
      return { headers: [...response.headers].filter(([name]) => !own.has(name)).flat(), body };
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

async function writes(): Promise<{ writes: number; writeMs: number; bytes: number }> {
  const response = await fetch(`http://127.0.0.1:${fleet.port}/`);
  return (await response.json()) as { writes: number; writeMs: number; bytes: number };
}

/** Lets a gateway, alone in its zone, go and come; returns how long each change took to show, sorted. ms. */
async function measureChanges(): Promise<number[]> {
  await using registry = openRegistry(registryUrl, { logger: silentLogger });
  const zone = 'probe';
  const load = (draining: number) => ({ connections: 0, max_connections: 1_000_000, draining });
  const registration = await registry.register('gateway', {
    id: crypto.randomUUID(),
    address: '10.9.9.9:8900',
    weight: 1,
    zone,
    version: '',
    metadata: { name: zone },
    load: load(1),
  });
  const took: number[] = [];
  for (let i = 0; i < CHANGES; i++) {
    const isIn = i % 2 === 0;
    const began = performance.now();
    await registration.update({ load: load(isIn ? 0 : 1) });
    for (;;) {
      const response = await fetch(`http://127.0.0.1:${ipconf.port}/ip/list?zone=${zone}`);
      const { data } = (await response.json()) as { data: { zone: string }[] };
      if (data.some((gateway) => gateway.zone === zone) === isIn) break;
    }
    took.push(performance.now() - began);
  }
  return took.sort((a, b) => a - b);
}

function rate(perSecond: number): string {
  return `${Math.round(perSecond).toLocaleString('en')} requests/s`;
}

function ms(value: number): string {
  return `${value.toFixed(1)} ms`;
}
