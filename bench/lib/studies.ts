/** Measurements that are no load on a peer: each is a short story of its own, on a cluster of its own. */
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import {
  type ConversationId,
  type MessageId,
  silentLogger,
  Snowflake,
  type UserId,
} from '../../common/mod.ts';
import { openStore } from '../../state/mod.ts';
import { run } from './child.ts';
import { NO_RATE_LIMITS, startServer } from './gochat.ts';
import type { LoadGenerator, LoadResult } from './load.ts';
import { freePorts } from './ports.ts';
import { median } from './runner.ts';
import { Seeds } from './seed.ts';
import type { Services } from './services.ts';

const STORM_CLIENTS = 15_000;
const STORM_DEADLINE_S = 90;
const CALM_S = 8;
const BYSTANDERS = 20;
const BYSTANDER_RATE = 100;
const LONE_MESSAGES = 30;
/** Of the ids that the lone appends make; state nodes and Seeds have others. */
const LONE_NODE = 1022;

export interface StudyContext {
  readonly load: LoadGenerator;
  readonly services: Services;
  readonly signal: AbortSignal;
}

/** What a study found: names with their units, and figures. */
export type Findings = Readonly<Record<string, number | string>>;

export interface Study {
  readonly name: string;
  readonly title: string;
  run(context: StudyContext): Promise<Findings>;
}

export const STUDIES: readonly Study[] = [
  {
    name: 'storm',
    title: `${STORM_CLIENTS} clients resume after their gateway was killed and started again; others talk on meanwhile`,
    run: storm,
  },
  {
    name: 'lone',
    title: `one message a second: its acknowledgement beside the store's own commit`,
    run: lone,
  },
  {
    name: 'location-map',
    title: 'memory of the location map per online device',
    run: async () => JSON.parse(await run(process.execPath, ['--expose-gc', MAP_PROGRAM])) as Findings,
  },
];

const MAP_PROGRAM = fileURLToPath(new URL('../location-map.ts', import.meta.url));

async function storm({ load, services, signal }: StudyContext): Promise<Findings> {
  await using stack = new AsyncDisposableStack();
  const env = environment(services);
  const seeds = new Seeds(services.store);
  const [port] = await freePorts(1);
  const start = async (mode: string, flags: readonly string[] = []) => {
    const server = await startServer(mode, flags, { env });
    stack.use(server.child);
    return server;
  };
  await start('state');
  const calm = await start('gateway', ['--ws-port', '0']);
  const hit = await start('gateway', ['--port', String(port), '--ws-port', '0']);
  const clients = await seeds.connections({ scenario: 'idle', connections: STORM_CLIENTS });
  const pairs = await seeds.connections({ scenario: 'direct', connections: BYSTANDERS });
  const talk = (seconds: number) =>
    load.run(
      {
        protocol: 'gochat',
        scenario: 'direct',
        ports: [Number(calm.up['tcp']?.split(':').at(-1))],
        connections: pairs,
        rate: BYSTANDER_RATE,
        seconds,
        warmup: 1,
      },
      [],
      signal,
    );

  const connected = Promise.withResolvers<void>();
  let servedMs = 0;
  const storming = load.run(
    {
      protocol: 'gochat',
      scenario: 'idle',
      ports: [port as number],
      connections: clients,
      seconds: STORM_DEADLINE_S,
      warmup: 0,
      reconnect: true,
    },
    [],
    signal,
    (phase) => {
      console.error(`storm: ${phase}`);
      if (phase === 'connected') connected.resolve();
      if (phase === 'served') servedMs = performance.now();
    },
  );
  // Awaited further down; an abort before that must not end the bench without its cleaning up.
  storming.catch(() => undefined);
  await Promise.race([connected.promise, storming]);
  const before = await talk(CALM_S);
  const meanwhile = talk(CALM_S * 2);
  meanwhile.catch(() => undefined);
  // Its measuring has begun.
  await setTimeout(2000);
  console.error('storm: killing the gateway');
  hit.child.kill();
  await hit.child.ended;
  await start('gateway', ['--port', String(port), '--ws-port', '0']);
  const upMs = performance.now();
  console.error('storm: the gateway is up again');
  const { load: result } = await storming;
  const during = await meanwhile;
  const lost = Object.values(result.errors).reduce((sum, each) => sum + each, 0);
  return {
    clients: STORM_CLIENTS,
    'not back': lost,
    'all served after the restart, s': (servedMs - upMs) / 1000,
    'bystanders calm, delivery p50 ms': before.load.delivery_ms.p50,
    'bystanders calm, delivery p99 ms': before.load.delivery_ms.p99,
    'bystanders in the storm, delivery p50 ms': during.load.delivery_ms.p50,
    'bystanders in the storm, delivery p99 ms': during.load.delivery_ms.p99,
    'p99 in the storm ÷ calm': during.load.delivery_ms.p99 / before.load.delivery_ms.p99,
  };
}

async function lone({ load, services, signal }: StudyContext): Promise<Findings> {
  await using stack = new AsyncDisposableStack();
  const env = environment(services);
  const state = await startServer('state', [], { env });
  stack.use(state.child);
  const gateway = await startServer('gateway', ['--ws-port', '0'], { env });
  stack.use(gateway.child);
  const seeds = new Seeds(services.store);
  const connections = await seeds.connections({ scenario: 'direct', connections: 2 });
  const sent = load.run(
    {
      protocol: 'gochat',
      scenario: 'direct',
      ports: [Number(gateway.up['tcp']?.split(':').at(-1))],
      connections,
      rate: 1,
      seconds: LONE_MESSAGES,
      warmup: 1,
    },
    [],
    signal,
  );
  const [commits, { load: result }] = await Promise.all([loneCommits(services.store), sent]);
  return answer(result, commits);
}

function answer({ ack_ms }: LoadResult, commits: readonly number[]): Findings {
  const commit = median(commits);
  return {
    'ack p50 ms': ack_ms.p50,
    "store's own commit p50 ms": commit,
    'more than the commit, ms': ack_ms.p50 - commit,
  };
}

/** Appends once a second in turn with the load, through the store alone; returns how long each took, ms. */
async function loneCommits(url: string): Promise<number[]> {
  await using store = await openStore(url, { logger: silentLogger });
  const ids = new Snowflake(LONE_NODE);
  const id = ids.next();
  const name = `bench-lone-${id}`;
  const user = { id: ids.next() as UserId, name, passwordHash: '!' };
  await store.createAccount(user);
  const room = await store.createRoom(id as ConversationId, name, user.id);
  if (room === undefined) throw new Error(`The room ${name} is there already.`);
  const times: number[] = [];
  await setTimeout(500);
  for (let n = 0; n < LONE_MESSAGES; n++) {
    await setTimeout(1000);
    const draft = {
      conversation: room.id,
      sender: user.id,
      clientMsgId: String(n),
      id: ids.next() as MessageId,
      text: 'x'.repeat(128),
      atMs: Date.now(),
    };
    const begun = performance.now();
    await store.append([draft]);
    times.push(performance.now() - begun);
  }
  return times;
}

function environment(services: Services): Readonly<Record<string, string>> {
  return {
    ...NO_RATE_LIMITS,
    // Of its own: the fleet's gateways must not see this state node, nor it them.
    GOCHAT_REGISTRY: `${services.registry.replace(/(:\/\/[^/]+).*$/, '$1')}/study-${Date.now().toString(36)}`,
    GOCHAT_HOT: services.hot,
    GOCHAT_STORE: services.store,
    GOCHAT_LOG_LEVEL: 'info',
  };
}

/** The findings as text. */
export function findingsText({ name, title }: Study, findings: Findings): string {
  const lines = Object.entries(findings).map(
    ([what, value]) => `  ${what.padEnd(44)} ${typeof value === 'number' ? Number(value.toFixed(3)) : value}`,
  );
  return [`\n${name}: ${title}`, ...lines].join('\n');
}
