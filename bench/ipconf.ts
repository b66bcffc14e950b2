/**
 * How fast `gochat ipconf` is with 1,000 gateways that report every second through etcd:
 *   make bench-ipconf, or node bench/ipconf.ts [--quick] [--gateways 1000] [--profile DIR]
 * It takes turns with a bare node:http server that returns the same bytes. Then: what the reports cost etcd, and
 * how soon a change shows in answers.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { silentLogger } from '../common/mod.ts';
import { openRegistry } from '../crpc/mod.ts';
import { startServices } from '../test/harness/services.ts';
import { type Child, exitOnSignals, startProgram } from './lib/child.ts';
import { startServer } from './lib/gochat.ts';
import { HttpLoad, type HttpLoadResult } from './lib/http-load.ts';
import { median } from './lib/runner.ts';
import { sample, usageSince } from './lib/usage.ts';

/** The SDK's queries, for as many users as may arrive in a second, from all zones. */
const PATHS = Array.from(
  { length: 10_000 },
  (_, i) => `/ip/list?uid=${123_456_789_000_000_000n + BigInt(i)}&zone=zone-${i % 3}&transport=tcp&v=1`,
);
const CONNECTIONS = 64;
const CHANGES = 50;
const ETCD_SECONDS = 5;
const WARM_UP_SECONDS = 8;
/** A limit that is never reached; the limiter still runs. */
const NO_LIMIT = ['--rate-per-second', '1000000', '--rate-burst', '1000000'];

const { values: flags } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    gateways: { type: 'string', default: '1000' },
    /** Folder of ipconf's CPU profile; `node bench/profile.ts DIR` reads it. */
    profile: { type: 'string' },
  },
});
const rounds = flags.quick ? 2 : 5;
const seconds = flags.quick ? 1 : 3;

interface Server {
  readonly child: Child;
  readonly port: number;
}

exitOnSignals();
await using stack = new AsyncDisposableStack();
const folder = mkdtempSync(join(tmpdir(), 'gochat-bench-'));
stack.defer(() => rmSync(folder, { recursive: true, force: true }));
const http = await step('compiling the load generator', 60, HttpLoad.build(folder));
const services = await step('starting etcd', 60, startServices({ only: ['etcd'], durable: true }));
stack.use(services);
const registryUrl = services.urls.etcd;
const fleet = await step(
  `registering ${flags.gateways} gateways`,
  60,
  startProgram('gateways', 'peers/reporting-gateways.ts', [registryUrl, flags.gateways]),
);
stack.use(fleet.child);
const ipconf = await step('starting ipconf', 60, startIpconf());
const answer = await step('waiting for its first answer', 30, firstAnswer(ipconf.port));
const bare = await step(
  'starting the bare server',
  60,
  startProgram('bare', 'peers/bare-http.ts', [JSON.stringify(answer)]),
);
stack.use(bare.child);

// V8 compiles both while they run: the first seconds would measure that.
for (const { port } of [ipconf, bare])
  await step('warming up', 30, http.run({ ...load(port), seconds: WARM_UP_SECONDS }));
const found = { ipconf: [] as number[], bare: [] as number[], ratio: [] as number[], cpu: [] as number[] };
/** Connections that a server closed as idle because the machine stood still for longer than its idle timeout. */
let stalls = 0;
for (let round = 1; round <= rounds; round++) {
  const ours = await step(`round ${round} of ${rounds}: ipconf`, 30, fullLoad(ipconf));
  const theirs = await step(`round ${round} of ${rounds}: bare`, 30, fullLoad(bare));
  found.ipconf.push(ours.perSecond);
  found.bare.push(theirs.perSecond);
  found.ratio.push(ours.perSecond / theirs.perSecond);
  found.cpu.push(ours.perCpuSecond / theirs.perCpuSecond);
  stalls += ours.reconnects + theirs.reconnects;
}
const half = median(found.ipconf) / 2;
const halves = { ipconf: [] as HttpLoadResult[], bare: [] as HttpLoadResult[] };
for (let round = 1; round <= rounds; round++)
  for (const [name, { port }] of [['ipconf', ipconf] as const, ['bare', bare] as const]) {
    const what = `half load, round ${round}: ${name}`;
    const result = await step(what, 30, http.run({ ...load(port), rate: half }));
    halves[name].push(result);
    stalls += result.reconnects;
  }

const etcd = { name: 'etcd', pid: Number(readFileSync(join(services.dir, 'etcd.pid'), 'utf8')) };
const tracked = [etcd, { name: 'ipconf', pid: ipconf.child.pid }];
const before = sample(tracked);
const writesBefore = await writes();
await setTimeout(ETCD_SECONDS * 1000);
const writesAfter = await writes();
const usage = usageSince(before, tracked);
const written = writesAfter.writes - writesBefore.writes;
const shown = await step(`changing a gateway ${CHANGES} times`, 60, measureChanges());

console.log(`/ip/list, ${flags.gateways} gateways, answers of ${answer.body.length} bytes`);
console.log(`  ipconf        ${rate(median(found.ipconf))}`);
console.log(`  bare http     ${rate(median(found.bare))}`);
console.log(`  ratio         ${spread(found.ratio)} (median of ${rounds} rounds, turn by turn)`);
console.log(
  `  of CPU time   ${spread(found.cpu)} of the bare one's requests for each second of CPU, the reports included`,
);
console.log(`At half load, ${rate(half)}; latency from when a request was due`);
for (const [name, results] of Object.entries(halves)) {
  const [p50, p99, late] = (['p50Ms', 'p99Ms', 'lateP99Ms'] as const).map((key) =>
    spread(
      results.map((result) => result[key]),
      1,
    ),
  );
  console.log(`  ${name.padEnd(13)} p50 ${p50} ms, p99 ${p99} ms; the generator's own p99 ${late} ms`);
}
if (stalls > 0)
  console.log(`The machine stood still: ${stalls} connections were ended as idle and made anew.`);
console.log('Reports in etcd (synced to disk)');
console.log(`  record        ${writesAfter.bytes} bytes`);
console.log(
  `  writes        ${(written / ETCD_SECONDS).toFixed(0)}/s, ${((written * writesAfter.bytes) / ETCD_SECONDS / 1024).toFixed(0)} KiB/s, each ${ms((writesAfter.writeMs - writesBefore.writeMs) / written)}`,
);
for (const { name, cpuPercent, rssMiB } of usage)
  console.log(`  ${name.padEnd(13)} ${cpuPercent.toFixed(0)} % of a core, ${rssMiB.toFixed(0)} MiB`);
console.log(`A change shows in an answer (${CHANGES} times)`);
for (const [what, values] of Object.entries(shown)) {
  values.sort((a, b) => a - b);
  console.log(
    `  from ${what}: p50 ${ms(values[CHANGES >> 1] as number)}, worst ${ms(values.at(-1) as number)}`,
  );
}

/** Runs a step with a deadline. @throws Error naming the step if it takes longer */
async function step<T>(what: string, withinS: number, work: Promise<T>): Promise<T> {
  console.error(what);
  const ended = new AbortController();
  const late = setTimeout(withinS * 1000, undefined, { signal: ended.signal }).then(() => {
    throw new Error(`${what}: not done within ${withinS} s`);
  });
  late.catch(() => {
    // It ended in time.
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    ended.abort();
  }
}

async function startIpconf(): Promise<Server> {
  const profile = flags.profile === undefined ? '' : `--cpu-prof --cpu-prof-dir=${flags.profile}`;
  const env = { GOCHAT_REGISTRY: registryUrl, NODE_OPTIONS: profile };
  const { child, up } = await startServer('ipconf', NO_LIMIT, { env });
  stack.use(child);
  return { child, port: Number(up['http']?.split(':').at(-1)) };
}

function load(port: number) {
  return { port, paths: PATHS, connections: CONNECTIONS, seconds };
}

/** Asks as fast as the server answers. Also returns the answers per second of its CPU time. */
async function fullLoad({ child, port }: Server) {
  const servers = [{ name: 'server', pid: child.pid }];
  const from = sample(servers);
  const { perSecond, reconnects } = await http.run(load(port));
  const [used] = usageSince(from, servers);
  return { perSecond, reconnects, perCpuSecond: perSecond / ((used?.cpuPercent ?? Number.NaN) / 100) };
}

/** Waits until gateways are known; returns an answer for the bare server to give. */
async function firstAnswer(port: number): Promise<{ headers: string[]; body: string }> {
  for (;;) {
    const response = await fetch(`http://127.0.0.1:${port}${PATHS[0]}`);
    const body = await response.text();
    if (response.status === 200) {
      const own = new Set(['date', 'connection', 'keep-alive']);
      return { headers: [...response.headers].filter(([name]) => !own.has(name)).flat(), body };
    }
    await setTimeout(50);
  }
}

async function writes(): Promise<{ writes: number; writeMs: number; bytes: number }> {
  const response = await fetch(`http://127.0.0.1:${fleet.port}/`);
  return (await response.json()) as { writes: number; writeMs: number; bytes: number };
}

/** Removes and adds a gateway, alone in its zone; returns how long each change took to show, ms. */
async function measureChanges() {
  await using registry = openRegistry(registryUrl, { logger: silentLogger });
  const zone = 'probe';
  const figures = (draining: number) => ({ connections: 0, max_connections: 1_000_000, draining });
  const registration = await registry.register('gateway', {
    id: crypto.randomUUID(),
    address: '10.9.9.9:8900',
    weight: 1,
    zone,
    version: '',
    metadata: { name: zone },
    load: figures(1),
  });
  const took = { "etcd's acknowledgement": [] as number[], 'before the write': [] as number[] };
  for (let i = 0; i < CHANGES; i++) {
    const isIn = i % 2 === 0;
    const began = performance.now();
    // etcd tells watchers as it applies a write, which is when it acknowledges it.
    const acknowledged = registration.update({ load: figures(isIn ? 0 : 1) }).then(() => performance.now());
    for (;;) {
      const response = await fetch(`http://127.0.0.1:${ipconf.port}/ip/list?zone=${zone}`);
      const { data } = (await response.json()) as { data: { zone: string }[] };
      if (data.some((gateway) => gateway.zone === zone) === isIn) break;
    }
    const seen = performance.now();
    took['before the write'].push(seen - began);
    took["etcd's acknowledgement"].push(Math.max(0, seen - (await acknowledged)));
  }
  return took;
}

/** The median, and in brackets the minimum and the maximum. */
function spread(values: readonly number[], digits = 2): string {
  const [least, most] = [Math.min(...values), Math.max(...values)];
  return `${median(values).toFixed(digits)} (${least.toFixed(digits)} to ${most.toFixed(digits)})`;
}

function rate(perSecond: number): string {
  return `${Math.round(perSecond).toLocaleString('en')} requests/s`;
}

function ms(value: number): string {
  return `${value.toFixed(1)} ms`;
}
