/** The studies; each measures something different. */
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import {
  type ConversationId,
  type MessageId,
  silentLogger,
  Snowflake,
  type UserId,
} from '../../common/mod.ts';
import { DEFAULT_ENTRY_RULES, openStore } from '../../state/mod.ts';
import { abuse } from './abuse.ts';
import { run } from './child.ts';
import { entries } from './entries.ts';
import { firstSync } from './first-sync.ts';
import { startServer } from './gochat.ts';
import { heartbeats } from './heartbeats.ts';
import type { LoadResult } from './load.ts';
import { login } from './login.ts';
import { rest } from './rest.ts';
import { median } from './runner.ts';
import { Seeds } from './seed.ts';
import { start } from './start.ts';
import { STORM_CLIENTS, storm } from './storm.ts';
import { web } from './web.ts';
import { environment, type Figure, type Findings, type Study, type StudyContext } from './study.ts';

const LONE_MESSAGES = 30;
/** Node number in the ids of the lone appends; state nodes and Seeds have others. */
const LONE_NODE = 1022;

export const STUDIES: readonly Study[] = [
  {
    name: 'storm',
    title: `${STORM_CLIENTS} clients resume after their gateway was killed and started again; others talk on meanwhile`,
    run: storm,
  },
  {
    name: 'heartbeats',
    title: 'CPU time of connections that only stay',
    run: heartbeats,
  },
  {
    name: 'login',
    title: 'CPU time of a login beside that of its signature check',
    run: login,
  },
  {
    name: 'entries',
    title: 'CPU time of edits, retractions, replies and a mix beside that of texts',
    run: entries,
  },
  {
    name: 'first-sync',
    title:
      'the list of 10,000 conversations and the points of a log of a million messages, as a new device reads them',
    run: firstSync,
  },
  {
    name: 'rest',
    title: 'REST: a page of a log of a million messages beside the bare SQL, lists, log-ins and refreshes',
    run: rest,
  },
  {
    name: 'web',
    title: 'the page in Chromium: what it loads, its list, a busy room, a key, its heap after a flood',
    run: web,
  },
  {
    name: 'start',
    title: 'from the start of a command to its readiness, gochat up on a store of 80 MB',
    run: start,
  },
  {
    name: 'lone',
    title: `one message a second: its acknowledgement beside the store's own commit`,
    run: lone,
  },
  {
    name: 'abuse',
    title:
      'honest acknowledgements beside floods, refusals, large syncs, wrong passwords, half frames and churn',
    run: abuse,
  },
  {
    name: 'location-map',
    title: 'memory of the location map per online device',
    run: async () => JSON.parse(await run(process.execPath, ['--expose-gc', MAP_PROGRAM])) as Findings,
  },
  {
    name: 'watch',
    title:
      'presence at a state node: 100,000 users, of whom each watches 50 and 1 % change a second; memory of a watch',
    run: async () => JSON.parse(await run(process.execPath, ['--expose-gc', WATCH_PROGRAM])) as Findings,
  },
];

const MAP_PROGRAM = fileURLToPath(new URL('../location-map.ts', import.meta.url));
const WATCH_PROGRAM = fileURLToPath(new URL('../watch.ts', import.meta.url));

async function lone({ load, services, signal, profiles }: StudyContext): Promise<Findings> {
  await using stack = new AsyncDisposableStack();
  const env = environment(services, profiles);
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

/** Appends once a second, alternating with the load, through the store alone; returns how long each took, ms. */
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
      entry: undefined,
    };
    const begun = performance.now();
    await store.append([draft], DEFAULT_ENTRY_RULES);
    times.push(performance.now() - begun);
  }
  return times;
}

/** The results as text. */
export function findingsText({ name, title }: Study, findings: Findings): string {
  const text = (value: Figure) => String(typeof value === 'number' ? Number(value.toFixed(3)) : value);
  const lines = Object.entries(findings).map(([what, value]) => {
    const figures =
      typeof value === 'object'
        ? Object.entries(value).map(([each, figure]) => `\n    ${each.padEnd(26)} ${text(figure)}`)
        : [text(value)];
    return `  ${what.padEnd(44)} ${figures.join('')}`.trimEnd();
  });
  return [`\n${name}: ${title}`, ...lines].join('\n');
}
