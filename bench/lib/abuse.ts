/** Honest users beside attackers: how long their acknowledgements take during each attack. */
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import {
  type AbuseKind,
  type AbuseResult,
  AbuseGenerator,
  type Attack,
  type Attacker,
} from './abuse-load.ts';
import { type GochatPeer, startApart, startEmbedded } from './gochat.ts';
import type { PlannedConnection } from './load.ts';
import { HttpUser } from './http-user.ts';
import { median } from './runner.ts';
import { Seeds } from './seed.ts';
import type { Findings, StudyContext } from './study.ts';
import { sample, usageSince } from './usage.ts';

/** Honest users: pairs that send at a fixed rate, whatever the answers. */
const HONEST = { connections: 200, perSecond: 300 };
const WARMUP_S = 0.7;
/** A row holds if its p99 is at most the larger of these. */
const TIMES_UNLOADED = 3;
const ALLOWED_MS = 50;

interface Row {
  readonly kind: AbuseKind;
  readonly connections: number;
  readonly accounts: number;
}

const SIZES = [
  { connections: 1, accounts: 1 },
  { connections: 64, accounts: 1 },
  { connections: 64, accounts: 10 },
];
const GATEWAY_KINDS: readonly AbuseKind[] = ['flood', 'nonmember', 'repeated', 'sync', 'half', 'churn'];
const ROWS: readonly Row[] = [
  ...GATEWAY_KINDS.flatMap((kind) => SIZES.map((size) => ({ kind, ...size }))),
  { kind: 'password', connections: 3, accounts: 1 },
  { kind: 'password', connections: 64, accounts: 1 },
  { kind: 'password', connections: 64, accounts: 10 },
];
const MOST_ACCOUNTS = 10;

/** Servers that use less than this have finished what an attack left behind, % of a core. */
const IDLE_PERCENT = 15;
const IDLE_SAMPLE_MS = 300;
const IDLE_DEADLINE_MS = 30_000;
/** Interval between logins of an attacked account's owner. */
const OWNER_PAUSE_MS = 400;

/** One of the systems, with all its clients. */
interface Arena {
  readonly name: string;
  readonly peer: GochatPeer;
  readonly port: number;
  readonly honest: readonly PlannedConnection[];
  readonly attackers: readonly PlannedConnection[];
  readonly owners: readonly HttpUser[];
}

export async function abuse(context: StudyContext): Promise<Findings> {
  const { services, folder, quick, profiles, attacks } = context;
  const generator = await AbuseGenerator.build(folder);
  const findings: Record<string, Findings[string]> = {};
  const options = { profiles, limited: true };
  const systems = {
    gochat: async () => {
      const cluster = await startApart(services, options);
      return { peer: cluster.tcp, store: services.store };
    },
    'gochat-embedded': async () => {
      const data = join(folder, 'up');
      return { peer: await startEmbedded(data, options), store: `sqlite://${data}/gochat.db` };
    },
  };
  const rows = ROWS.filter(({ kind, accounts }) => attacks.includes(kind) && (!quick || accounts > 1));
  for (const [name, start] of Object.entries(systems)) {
    if (!context.peers.includes(name as keyof typeof systems)) continue;
    console.error(`abuse: starting ${name}`);
    const { peer, store } = await start();
    await using _ = peer;
    const arena = await fill(name, peer, store);
    const unloaded: number[] = [];
    for (let round = 0; round < (quick ? 1 : 3); round++) {
      const { p50, p99 } = (await honest(context, arena)).load.ack_ms;
      unloaded.push(p99);
      findings[`${name}, unloaded ${round + 1}`] = { 'p50 ms': p50, 'p99 ms': p99 };
    }
    const allowedMs = Math.max(TIMES_UNLOADED * median(unloaded), ALLOWED_MS);
    for (const row of rows) {
      const what = `${name}, ${row.kind} ${row.connections} of ${row.accounts}`;
      const found = await beside(context, arena, row, generator, allowedMs);
      findings[what] = found;
      console.error(`abuse: ${what}: ${JSON.stringify(found)}`);
      if (found['holds'] !== 'yes') context.notMet(`${what}: ${found['holds']}`);
    }
  }
  return findings;
}

async function fill(name: string, peer: GochatPeer, store: string): Promise<Arena> {
  const target = await peer.open({ scenario: 'direct', connections: HONEST.connections });
  if (target === undefined) throw new Error('GoChat has no direct messages.');
  // Each has a room of its own.
  const rooms = { scenario: 'room', connections: MOST_ACCOUNTS, roomSize: 1 } as const;
  const attackers = await new Seeds(store).connections(rooms);
  const owners: HttpUser[] = [];
  for (let i = 0; i < MOST_ACCOUNTS; i++) {
    const owner = new HttpUser(peer.api, `owner-${Date.now().toString(36)}-${i}`, `127.0.1.${i + 1}`);
    await owner.signUp();
    // From now on this is a known address of the account.
    await owner.logIn();
    owners.push(owner);
  }
  return { name, peer, port: target.ports[0] as number, honest: target.connections, attackers, owners };
}

/** Measures honest users during an attack, which starts with the measurement. */
async function beside(
  context: StudyContext,
  arena: Arena,
  row: Row,
  generator: AbuseGenerator,
  allowedMs: number,
): Promise<Record<string, number | string>> {
  const { kind, connections, accounts } = row;
  const { peer, port, owners } = arena;
  const isHttp = kind === 'password';
  const attackers = Array.from({ length: connections }, (_, i): Attacker => {
    const { conversation, token } = arena.attackers[i % accounts] as PlannedConnection;
    if (isHttp) return { conversation, token: (owners[i % accounts] as HttpUser).name };
    return {
      conversation: kind === 'nonmember' ? (arena.honest[0] as PlannedConnection).conversation : conversation,
      token,
    };
  });
  await using attack = generator.start(kind, isHttp ? Number(new URL(peer.api).port) : port, attackers);
  const over = new AbortController();
  let owner: Promise<readonly LogIn[]> | undefined;
  let ended: Promise<AbuseResult> | undefined;
  try {
    const { load, usage } = await honest(context, arena, attack, (phase) => {
      if (phase === 'measure' && isHttp) owner = keepLoggingIn(owners[0] as HttpUser, over.signal);
      if (phase === 'measured') ended = attack.end();
      // Awaited when the honest users are done.
      owner?.catch(() => undefined);
      ended?.catch(() => undefined);
    });
    over.abort();
    const logIns = await owner;
    const result = await ended;
    const wrong = Object.entries({ ...load.refused, ...load.errors }).map(
      ([what, times]) => `${what}: ${times}`,
    );
    const { p50, p99 } = load.ack_ms;
    const complaints = [
      ...(p99 > allowedMs ? [`p99 ${p99.toFixed(0)} ms, allowed are ${allowedMs.toFixed(0)}`] : []),
      ...wrong,
      ...(logIns?.some(({ status }) => status !== 200) ? ['the owner was kept out'] : []),
    ];
    return {
      holds: complaints.length === 0 ? 'yes' : `NO, ${complaints.join(', ')}`,
      'p50 ms': p50,
      'p99 ms': p99,
      'allowed ms': allowedMs,
      ...(logIns !== undefined && {
        'owner let in': `${logIns.filter(({ status }) => status === 200).length} of ${logIns.length}`,
        'owner, longest ms': Math.max(...logIns.map(({ ms }) => ms)),
      }),
      'CPU %': usage.map(({ name, cpuPercent }) => `${name} ${cpuPercent.toFixed(0)}`).join(' '),
      attack: attackText(result),
      'idle after, s': await idleAfter(peer, context.signal),
    };
  } catch (error) {
    context.signal.throwIfAborted();
    return { holds: `NO, ${String(error)}` };
  } finally {
    over.abort();
  }
}

/** Measures honest users; calls `onPhase` with the progress. */
async function honest(
  { load, quick, signal }: StudyContext,
  { peer, port, honest }: Arena,
  attack?: Attack,
  onPhase?: (phase: string) => void,
) {
  return await load.run(
    {
      protocol: 'gochat',
      scenario: 'direct',
      ports: [port],
      connections: honest,
      rate: HONEST.perSecond,
      seconds: quick ? 2.5 : 4,
      warmup: WARMUP_S,
    },
    [...peer.servers, ...(attack === undefined ? [] : [attack.tracked])],
    signal,
    (phase) => {
      if (phase === 'measure') attack?.begin();
      onPhase?.(phase);
    },
  );
}

interface LogIn {
  readonly status: number;
  readonly ms: number;
}

/** Logs in again and again, from the address that the user has used before. */
async function keepLoggingIn(owner: HttpUser, over: AbortSignal): Promise<readonly LogIn[]> {
  const logIns: LogIn[] = [];
  while (!over.aborted) {
    const begun = performance.now();
    const status = await owner.logIn();
    logIns.push({ status, ms: performance.now() - begun });
    await setTimeout(OWNER_PAUSE_MS, undefined, { signal: over }).catch(() => undefined);
  }
  return logIns;
}

/** Waits until the servers are idle again; returns how long that took, s. */
async function idleAfter({ servers }: GochatPeer, signal: AbortSignal): Promise<number | string> {
  const begun = performance.now();
  while (performance.now() - begun < IDLE_DEADLINE_MS) {
    const before = sample(servers);
    await setTimeout(IDLE_SAMPLE_MS, undefined, { signal });
    const percent = usageSince(before, servers).reduce((sum, { cpuPercent }) => sum + cpuPercent, 0);
    if (percent < IDLE_PERCENT) return (performance.now() - begun) / 1000;
  }
  return `not within ${IDLE_DEADLINE_MS / 1000}`;
}

function attackText(result: AbuseResult | undefined): string {
  if (result === undefined) return '-';
  const answers = Object.entries(result.answers).map(([what, times]) => `${what} ${times}`);
  return [`${result.connects} connects`, `${result.sent} sent`, ...answers].join(', ');
}
