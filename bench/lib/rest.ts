/**
 * REST: pages of a long log beside the bare SQL that reads them, on both stores; the list of 1,000 rooms, logging in and
 * refreshing.
 */
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import pg from 'pg';
import {
  type ConversationId,
  type MessageId,
  silentLogger,
  Snowflake,
  type UserId,
} from '../../common/mod.ts';
import { DEFAULT_ENTRY_RULES, openStore } from '../../state/mod.ts';
import { startEmbedded, startServer } from './gochat.ts';
import { HttpLoad } from './http-load.ts';
import { environment, type Findings, type StudyContext } from './study.ts';
import { sample, type Tracked } from './usage.ts';

/** Node number in the ids that it makes; state nodes and Seeds have others. */
const NODE = 1019;
const MESSAGES = 1_000_000;
const FEW_MESSAGES = 50_000;
const BATCH = 1000;
const ROOMS = 1000;
const PAGE = 50;
/** Requests at once, and connections to the database of the bare SQL. */
const CONNECTIONS = 8;
const SECONDS = 5;
const FEW_SECONDS = 2;
/** Places in the log that are read in turn. */
const PLACES = 1000;
const LOGINS = 40;
const REFRESHES = 200;
/** Goal: requests over REST, as a part of those of the bare SQL. */
const LEAST_SHARE = 0.5;
const PASSWORD = 'the owner knows it';
const NO_LIMIT = { GOCHAT_RATE_PER_SECOND: '0' };

/** Reads a page at each of the places, again and again for so long; returns pages per second. */
type BareSql = (room: bigint, befores: readonly number[], seconds: number) => Promise<number>;

export async function rest(context: StudyContext): Promise<Findings> {
  const { services, folder, profiles } = context;
  const load = await HttpLoad.build(folder);
  const env = { ...environment(services, profiles), ...NO_LIMIT };
  const findings: Record<string, Record<string, number>> = {};
  {
    await using stack = new AsyncDisposableStack();
    const state = stack.use((await startServer('state', [], { env })).child);
    const { child, up } = await startServer('api', [], { env });
    stack.use(child);
    const servers = [child, state, services.postgres];
    const api = `http://${up['http']}`;
    findings['PostgreSQL'] = await measure(context, {
      api,
      load,
      store: services.store,
      servers,
      bare: barePostgres(services.store),
    });
  }
  {
    const data = join(folder, 'rest');
    await using up = await startEmbedded(data, { profiles, env: NO_LIMIT });
    const file = `${data}/gochat.db`;
    findings['SQLite'] = await measure(context, {
      api: up.api,
      load,
      store: `sqlite://${file}`,
      servers: up.servers,
      bare: bareSqlite(file),
    });
  }
  return findings;
}

interface Subject {
  readonly api: string;
  readonly load: HttpLoad;
  readonly store: string;
  readonly bare: BareSql;
  readonly servers: readonly Tracked[];
}

async function measure({ quick, notMet }: StudyContext, { api, load, store, bare, servers }: Subject) {
  const messages = quick ? FEW_MESSAGES : MESSAGES;
  const seconds = quick ? FEW_SECONDS : SECONDS;
  const port = Number(new URL(api).port);
  const name = `rest-${Date.now().toString(36)}`;
  const account = { name, password: PASSWORD };
  const login = await enter(api, account);
  const room = await fill(store, BigInt(login.user.id), messages);
  const header = `authorization: Bearer ${login.token}`;
  // Requests of one user are answered one after the other, so each connection is another user's.
  const readers = [header];
  while (readers.length < CONNECTIONS) {
    const reader = await enter(api, { name: `${name}-${readers.length}`, password: PASSWORD });
    await post(api, `/api/v1/rooms/${room}/join`, undefined, reader.token);
    readers.push(`authorization: Bearer ${reader.token}`);
  }
  const befores = Array.from(
    { length: PLACES },
    (_, n) => messages - Math.floor((n * 7919 * PAGE) % (messages - PAGE)),
  );
  const paths = befores.map((before) => `/api/v1/rooms/${room}/messages?limit=${PAGE}&before=${before}`);
  const pages = async (duration: number) => {
    const each = { port, paths, connections: 1, seconds: duration };
    const results = await Promise.all(readers.map((reader) => load.run({ ...each, header: reader })));
    return {
      perSecond: results.reduce((sum, { perSecond }) => sum + perSecond, 0),
      p50Ms: percentile(
        results.map(({ p50Ms }) => p50Ms),
        0.5,
      ),
      p99Ms: Math.max(...results.map(({ p99Ms }) => p99Ms)),
    };
  };
  // The first round of each does not count: V8 compiles, and the database reads its pages.
  await bare(room, befores, 1);
  await pages(1);
  const sql = await bare(room, befores, seconds);
  const before = sample(servers).cpuMs;
  const page = await pages(seconds);
  const after = sample(servers).cpuMs;
  const cpuUs = (name: string) =>
    (((after.get(name) ?? 0) - (before.get(name) ?? 0)) * 1000) / (page.perSecond * seconds);
  const share = page.perSecond / sql;
  if (share < LEAST_SHARE) notMet(`over REST ${share.toFixed(2)} of the bare SQL's pages`);
  const lists = await load.run({
    port,
    paths: ['/api/v1/conversations?limit=500'],
    connections: 1,
    header,
    seconds,
  });
  const logins = await times(quick ? LOGINS / 4 : LOGINS, () => post(api, '/auth/login', account));
  let { refresh_token } = login;
  const refreshes = await times(quick ? REFRESHES / 4 : REFRESHES, async () => {
    ({ refresh_token } = await post(api, '/auth/refresh', { refresh_token }));
  });
  return {
    'messages of the log': messages,
    'page over REST, 1/s': page.perSecond,
    'page by bare SQL, 1/s': sql,
    'REST ÷ bare SQL': share,
    ...Object.fromEntries(servers.map(({ name: server }) => [`CPU µs a page, ${server}`, cpuUs(server)])),
    'page over REST p50, ms': page.p50Ms,
    'page over REST p99, ms': page.p99Ms,
    'rooms of the list': ROOMS,
    'list, a page of 500, p50 ms': lists.p50Ms,
    'list, a page of 500, p99 ms': lists.p99Ms,
    'log in p50, ms': percentile(logins, 0.5),
    'log in p99, ms': percentile(logins, 0.99),
    'refresh p50, ms': percentile(refreshes, 0.5),
    'refresh p99, ms': percentile(refreshes, 0.99),
  };
}

// oxlint-disable-next-line typescript/no-explicit-any -- answers have many shapes.
async function post(api: string, path: string, body?: object, token?: string): Promise<any> {
  const response = await fetch(api + path, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      ...(token !== undefined && { authorization: `Bearer ${token}` }),
    },
    ...(body && { body: JSON.stringify(body) }),
  });
  if (!response.ok) throw new Error(`${path}: HTTP ${response.status} ${await response.text()}`);
  return await response.json();
}

/** Makes an account, and logs in. */
async function enter(api: string, account: { readonly name: string; readonly password: string }) {
  await post(api, '/auth/signup', account);
  return await post(api, '/auth/login', account);
}

/** Makes rooms of the user, and the messages of one of them, through the store; returns that one. */
async function fill(url: string, user: bigint, messages: number): Promise<bigint> {
  await using store = await openStore(url, { logger: silentLogger });
  const ids = new Snowflake(NODE);
  const rooms: bigint[] = [];
  for (let n = 0; n < ROOMS; n++) {
    const id = ids.next() as ConversationId;
    if ((await store.createRoom(id, `rest-${id}`, user as UserId)) === undefined)
      throw new Error(`The room rest-${id} is there already.`);
    rooms.push(id);
  }
  const room = rooms[0] as ConversationId;
  for (let n = 0; n < messages; n += BATCH) {
    await store.append(
      Array.from({ length: BATCH }, (_, i) => ({
        conversation: room,
        sender: user as UserId,
        clientMsgId: String(n + i),
        id: ids.next() as MessageId,
        text: 'Shall we meet at nine, or is that too early for you? I could also do Thursday.',
        atMs: Date.now(),
        entry: undefined,
      })),
      DEFAULT_ENTRY_RULES,
    );
  }
  return room;
}

function barePostgres(url: string): BareSql {
  return async (room, befores, seconds) => {
    const pool = new pg.Pool({ connectionString: url, max: CONNECTIONS });
    const end = performance.now() + seconds * 1000;
    let pages = 0;
    const read = async (worker: number) => {
      for (let n = worker; performance.now() < end; n += CONNECTIONS) {
        await pool.query({
          name: 'page',
          text: 'select * from messages where conversation = $1 and seq < $2 order by seq desc limit $3',
          values: [room, befores[n % befores.length], PAGE],
        });
        pages++;
      }
    };
    await Promise.all(Array.from({ length: CONNECTIONS }, (_, worker) => read(worker)));
    await pool.end();
    return pages / seconds;
  };
}

function bareSqlite(file: string): BareSql {
  return async (room, befores, seconds) => {
    using database = new DatabaseSync(file, { readOnly: true });
    const statement = database.prepare(
      'select * from messages where conversation = ? and seq < ? order by seq desc limit ?',
    );
    statement.setReadBigInts(true);
    const end = performance.now() + seconds * 1000;
    let pages = 0;
    for (; performance.now() < end; pages++)
      statement.all(room, befores[pages % befores.length] as number, PAGE);
    return pages / seconds;
  };
}

/** Does something so often, one after the other; returns how long each took, ms. */
async function times(count: number, work: () => Promise<unknown>): Promise<number[]> {
  const all: number[] = [];
  for (let n = 0; n < count; n++) {
    const began = performance.now();
    await work();
    all.push(performance.now() - began);
  }
  return all;
}

function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] as number;
}
