/**
 * What a new device asks for first: the list of its 10,000 conversations, page by page, and a page of the log at points of a
 * conversation of a million messages.
 */
import pg from 'pg';
import { Snowflake } from '../../common/mod.ts';
import type { client } from '../../proto/mod.ts';
import { CallClient, type Form } from './call-client.ts';
import { startServer } from './gochat.ts';
import { median } from './runner.ts';
import { Seeds, type User } from './seed.ts';
import { environment, type Findings, type StudyContext } from './study.ts';
import { sample, type Tracked } from './usage.ts';

/** Of the ids that it makes; state nodes and Seeds have others. */
const SEED_NODE = 1020;
const CONVERSATIONS = 10_000;
const PAGE = 500;
/** Goal of the first page in protobuf, which clients use that count bytes; the JSON form is for people and scripts. */
const MAX_PAGE_BYTES = 200_000;
const LIST_CALLS = 20;
const TEXT = 'Shall we meet at nine, or is that too early for you? I could also do Thursday. '.repeat(2);
const MESSAGES = 1_000_000;
const FEW_MESSAGES = 100_000;
/** Parts of the log that lie before the point. */
const POINTS = [0.001, 0.25, 0.5, 0.75, 1] as const;
/** Rounds and calls of a round, of the whole study and of a quick look. */
const WHOLE = { rounds: 5, calls: 200 };
const FEW = { rounds: 1, calls: 50 };
/** Goal of the dearest point, in units of the cheapest. */
const MAX_RATIO = 1.5;
const FIRST_AT_MS = 1_700_000_000_000;

export async function firstSync(context: StudyContext): Promise<Findings> {
  const { services, profiles, quick, notMet } = context;
  await using stack = new AsyncDisposableStack();
  const env = environment(services, profiles);
  const state = stack.use((await startServer('state', [], { env })).child);
  const { child, up } = await startServer('gateway', ['--ws-port', '0'], { env });
  const gateway = stack.use(child);
  const servers = [gateway, state, services.postgres];
  const [user, other] = (await new Seeds(services.store).users(2)) as [User, User];
  const messages = quick ? FEW_MESSAGES : MESSAGES;
  const log = await fill(services.store, user, other, messages);
  await services.settle();
  const open = (form: Form) => CallClient.open(up['ws'] as string, form, user.token);
  const lists: Record<string, Record<string, number>> = {};
  for (const form of ['proto', 'json'] as const) {
    using one = await open(form);
    const list = await readList(one);
    if (form === 'proto' && list.bytes > MAX_PAGE_BYTES) notMet(`the first page takes ${list.bytes} bytes`);
    lists[`first page of the list, ${form}`] = {
      conversations: list.conversations,
      bytes: list.bytes,
      'first, ms': list.firstMs,
      'median, ms': list.medianMs,
      'all pages': list.pages,
      'all pages, bytes': list.allBytes,
      'all pages, ms': list.allMs,
    };
  }
  using one = await open('proto');
  const points = await costs(one, servers, { log, messages, ...(quick ? FEW : WHOLE) });
  for (const [by, micros] of Object.entries(points)) {
    const ratio = Math.max(...Object.values(micros)) / Math.min(...Object.values(micros));
    if (ratio > MAX_RATIO) notMet(`by ${by}, the dearest point costs ${ratio.toFixed(2)} times the cheapest`);
    micros['dearest ÷ cheapest'] = ratio;
  }
  const named = Object.entries(points).map(([by, micros]) => [`history by ${by}, CPU µs a page`, micros]);
  return { ...lists, 'messages of the log': messages, ...(Object.fromEntries(named) as typeof points) };
}

/** Reads the list of conversations, its first page several times. */
async function readList(one: CallClient) {
  const page = async (after: string) =>
    one.call(0n, { $case: 'listConversations', listConversations: { after, limit: PAGE } }, 'conversations');
  const began = performance.now();
  const first = await page('');
  let { next } = first.result.conversations;
  let allBytes = first.bytes;
  let pages = 1;
  for (; next !== ''; pages++) {
    const { result, bytes } = await page(next);
    allBytes += bytes;
    ({ next } = result.conversations);
  }
  const allMs = performance.now() - began;
  const times: number[] = [];
  for (let n = 0; n < LIST_CALLS; n++) times.push((await page('')).ms);
  return {
    conversations: first.result.conversations.conversations.length,
    bytes: first.bytes,
    firstMs: first.ms,
    medianMs: median(times),
    pages,
    allBytes,
    allMs,
  };
}

/** CPU time of a page of history at each point, µs, by seq and by date. */
async function costs(
  one: CallClient,
  servers: readonly Tracked[],
  {
    log,
    messages,
    rounds,
    calls,
  }: {
    readonly log: bigint;
    readonly messages: number;
    readonly rounds: number;
    readonly calls: number;
  },
): Promise<Record<string, Record<string, number>>> {
  const ways: Readonly<Record<string, (seq: number) => client.HistoryPoint['point']>> = {
    seq: (seq) => ({ $case: 'aroundSeq', aroundSeq: BigInt(seq) }),
    date: (seq) => ({ $case: 'dateMs', dateMs: BigInt(FIRST_AT_MS + seq * 1000) }),
  };
  const read = async (way: string, from: number) => {
    const before = sample(servers).cpuMs;
    for (let n = 0; n < calls; n++) {
      // Each at another place, that none is answered from what the one before has read.
      const seq = Math.max(1, from - ((n * 97) % (messages / 1000)));
      const getHistory = { limit: 50, at: { point: ways[way]?.(seq) } };
      const { result } = await one.call(log, { $case: 'getHistory', getHistory }, 'history');
      if (result.history.anchorSeq !== BigInt(seq)) throw new Error(`${way} ${seq} was not found.`);
    }
    const after = sample(servers).cpuMs;
    const used = servers.reduce((ms, { name }) => ms + (after.get(name) ?? 0) - (before.get(name) ?? 0), 0);
    return (used * 1000) / calls;
  };
  const label = (part: number) => `at ${(100 * part).toFixed(1)} %`;
  const found: Record<string, Record<string, number>> = {};
  for (const way of Object.keys(ways)) {
    const micros = new Map(POINTS.map((part) => [part, [] as number[]]));
    // The first round does not count: V8 compiles.
    for (let round = 0; round <= rounds; round++) {
      for (const part of POINTS) {
        const cost = await read(way, Math.floor(messages * part));
        if (round > 0) micros.get(part)?.push(cost);
      }
    }
    found[way] = Object.fromEntries([...micros].map(([part, each]) => [label(part), median(each)]));
  }
  return found;
}

/** Makes rooms of two with a message each, and one with all the messages, straight into PostgreSQL; returns that one. */
async function fill(url: string, user: User, other: User, messages: number): Promise<bigint> {
  const ids = new Snowflake(SEED_NODE);
  const rooms = Array.from({ length: CONVERSATIONS }, () => ids.next());
  const log = rooms[0] as bigint;
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query('begin');
    await client.query(
      `insert into conversations
         (id, kind, name, last_seq, last_message_seq, active_at_ms, last_at_ms, member_count, owner)
       select id, 'room', 'bench-room-' || id, 1, 1, $2::bigint + n, $2::bigint + n, 2, $3
       from unnest($1::bigint[]) with ordinality as t (id, n)`,
      [rooms, FIRST_AT_MS, other.id],
    );
    await client.query(
      `insert into members (conversation, user_id, joined_seq)
       select id, u, 0 from unnest($1::bigint[]) as id, unnest($2::bigint[]) as u`,
      [rooms, [user.id, other.id]],
    );
    await client.query(
      `insert into messages (conversation, seq, id, sender, at_ms, client_msg_id, body)
       select id, 1, id + 1, $3, $2::bigint + n, 'first', $4
       from unnest($1::bigint[]) with ordinality as t (id, n) where n > 1`,
      [rooms, FIRST_AT_MS, other.id, TEXT],
    );
    await client.query(
      `insert into messages (conversation, seq, id, sender, at_ms, client_msg_id, body)
       select $1, n, $1 + n, $3, $2::bigint + n * 1000, n::text, $4
       from generate_series(1, $5::bigint) as n`,
      [log, FIRST_AT_MS, other.id, TEXT, messages],
    );
    await client.query(
      `update conversations
       set last_seq = $2, last_message_seq = $2, active_at_ms = $3, last_at_ms = $3 where id = $1`,
      [log, messages, FIRST_AT_MS + messages * 1000],
    );
    await client.query('commit');
  } finally {
    await client.end();
  }
  return log;
}
