/** Databases of earlier releases (fixtures/): migrated, they have all that their users had, and take new entries. */
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ConversationId, UserId } from '../../common/mod.ts';
import { accessCheck } from '../policy.ts';
import { type Scratch, scratchPostgres, scratchSqlite, World } from './contract/scratch.contract.ts';
import type { Engine } from './migrations.ts';
import type { DraftEntry, EntryRules, Message } from './store.ts';

/** What the store of the release has returned; ids in decimal. */
interface Expected {
  /** Conversations by what they are. */
  readonly names: Readonly<Record<string, string>>;
  readonly deleted: readonly string[];
  readonly accounts: readonly { readonly id: string; readonly name: string; readonly passwordHash: string }[];
  readonly conversations: Readonly<
    Record<string, { readonly members: unknown; readonly roles: object; readonly log: readonly Row[] }>
  >;
  readonly users: readonly {
    readonly user: string;
    readonly name: string;
    /** Conversations by device, in the order of their list. */
    readonly devices: Readonly<Record<string, readonly Listed[]>>;
    /** First and last seq of what the user can read, by conversation; a missing one is refused. */
    readonly readable: Readonly<Record<string, Range>>;
    /** The same of a sync from nothing, and of one of the user's phone. */
    readonly synced: Readonly<Record<string, Range>>;
    readonly resumed: Readonly<Record<string, Range>>;
    /** Of a sync with a cursor in each conversation. */
    readonly gone: readonly unknown[];
  }[];
  readonly rooms: readonly { readonly id: string }[];
  readonly revocations: readonly unknown[];
  readonly kid: string;
}

type Range = readonly [] | readonly [first: number, last: number];
type Row = readonly [
  seq: number,
  id: string,
  sender: string,
  atMs: number,
  clientMsgId: string,
  text: string,
];

interface Listed {
  readonly id: string;
  readonly readSeq: number;
  readonly lastSeq: number;
  readonly visibleAfterSeq: number;
}

const ENGINES: [Engine, () => Promise<Scratch>][] = [
  ['sqlite', scratchSqlite],
  ['postgres', scratchPostgres],
];
const NO_END = 2n ** 63n - 1n;
const RULES: EntryRules = {
  editWindowMs: Number.MAX_SAFE_INTEGER,
  pin: 'moderator',
  retract: 'moderator',
  evidenceMs: 1000,
};

function fixture(file: string): string {
  return readFileSync(new URL(`./fixtures/0.2.0/${file}`, import.meta.url), 'utf8');
}

/** Returns a value as JSON has it, ids in decimal. */
function plain(value: unknown): unknown {
  const text = JSON.stringify(value, (_, field: unknown) =>
    typeof field === 'bigint' ? String(field) : field instanceof Map ? Object.fromEntries(field) : field,
  );
  return JSON.parse(text);
}

function rowOf({ seq, id, sender, atMs, clientMsgId, text, extra }: Message): Row {
  expect(extra).toBeUndefined();
  return [seq, String(id), String(sender), atMs, clientMsgId, text];
}

function rangeOf(messages: readonly Message[]): Range {
  const [first] = messages;
  return first === undefined ? [] : [first.seq, messages.at(-1)?.seq ?? 0];
}

describe.each(ENGINES)('a database of 0.2.0 on %s', (engine, makeScratch) => {
  const expected = JSON.parse(fixture(`${engine}.json`)) as Expected;
  const conversation = (name: string) => BigInt(expected.names[name] ?? '') as ConversationId;
  const user = (name: string) =>
    BigInt(expected.accounts.find((account) => account.name === name)?.id ?? '') as UserId;
  const logOf = (id: string): readonly Row[] => expected.conversations[id]?.log ?? [];
  /** The unread messages of a user: since then, the user's own are none. */
  const unreadOf = (reader: string, { id, readSeq, visibleAfterSeq }: Listed) =>
    logOf(id).filter(([seq, , sender]) => seq > Math.max(readSeq, visibleAfterSeq) && sender !== reader)
      .length;
  let scratch: Scratch;
  let world: World;

  beforeAll(async () => {
    scratch = await makeScratch();
    const sql = fixture(`${engine}.sql`);
    // pg_dump has changed the settings of the connection.
    await scratch.execute(engine === 'postgres' ? `${sql}; reset all` : sql);
    world = await World.open(scratch);
  });

  afterAll(async () => {
    await world.store.close();
    await scratch[Symbol.asyncDispose]();
  });

  /** Reads all that a user may read; undefined: refused. */
  async function read(id: ConversationId, reader: UserId): Promise<Message[] | undefined> {
    const messages: Message[] = [];
    for (let more = true; more; ) {
      const point = { at: 'before', seq: messages[0]?.seq ?? 0 } as const;
      const page = await world.store.history(id, accessCheck('getHistory', reader), point, 37);
      if (typeof page === 'string') return undefined;
      messages.unshift(...page.messages);
      ({ more } = page);
    }
    return messages;
  }

  async function sync(reader: UserId, cursors: Map<ConversationId, number>) {
    const read = new Map<string, Message[]>();
    for (;;) {
      const request = {
        user: reader,
        device: 'phone',
        cursors,
        after: 0n,
        until: NO_END,
        newest: 0,
        limit: 50,
      };
      const { conversations, more, gone } = await world.store.sync(request);
      for (const { conversation: of, messages } of conversations) {
        const id = String(of.id);
        read.set(id, [...(read.get(id) ?? []), ...messages]);
        const last = messages.at(-1);
        if (last !== undefined) cursors.set(of.id, last.seq);
      }
      if (!more) return { read, gone };
    }
  }

  test('accounts, revocations and the signing key are kept', async () => {
    for (const account of expected.accounts)
      expect(plain(await world.store.findAccount(account.name))).toMatchObject(account);
    const ids = expected.accounts.map(({ id }) => BigInt(id) as UserId);
    expect([...(await world.store.profilesOf(ids)).values()].toSorted(byName)).toEqual(
      expected.accounts.map(({ name }) => ({ name, displayName: '' })).toSorted(byName),
    );
    expect(plain(await world.store.revocations(100))).toEqual(expected.revocations);
    expect((await world.store.signingKeys()).map(({ kid }) => kid)).toEqual([expected.kid]);
  });

  test('lists: each device has its cursors, counts, roles and last messages, in the same order', async () => {
    for (const { user: id, devices } of expected.users) {
      for (const [device, listed] of Object.entries(devices)) {
        const page = await world.store.conversationsOf(BigInt(id) as UserId, device, '', 100);
        expect(page.next).toBeUndefined();
        expect(plain(page.items)).toMatchObject(
          listed.map((each) => ({ ...each, unread: unreadOf(id, each) })),
        );
        for (const [index, { lastMessage, activeAtMs, floorSeq, pinsVersion }] of page.items.entries()) {
          const { id: of, visibleAfterSeq } = listed[index] as Listed;
          const last = logOf(of).at(-1);
          expect(lastMessage && rowOf(lastMessage)).toEqual(
            last !== undefined && last[0] > visibleAfterSeq ? last : undefined,
          );
          if (last !== undefined) expect(activeAtMs).toBe(last[3]);
          expect([floorSeq, pinsVersion]).toEqual([0, 0]);
        }
      }
    }
  });

  test('members, roles and the list of rooms are kept', async () => {
    for (const [id, { members, roles }] of Object.entries(expected.conversations)) {
      const of = BigInt(id) as ConversationId;
      expect(plain((await world.store.membersOf(of)) ?? null)).toEqual(members);
      expect(plain(await world.store.rolesOf(of))).toEqual(roles);
    }
    const rooms = await world.store.listRooms(user('ann'), '', 200);
    const hers = expected.users.find(({ name }) => name === 'ann')?.devices['phone'] ?? [];
    expect(plain(rooms.items)).toEqual(
      expected.rooms.map((room) => {
        const listed = hers.find(({ id }) => id === room.id);
        return listed === undefined ? room : { ...room, unread: unreadOf(String(user('ann')), listed) };
      }),
    );
  });

  test('history: everybody, who has left too, reads the texts that they could read', async () => {
    for (const { user: id, readable } of expected.users) {
      for (const of of Object.values(expected.names)) {
        const messages = await read(BigInt(of) as ConversationId, BigInt(id) as UserId);
        const range = readable[of];
        expect(messages && rangeOf(messages)).toEqual(range);
        const [first, last] = range ?? [];
        expect(messages?.map(rowOf) ?? []).toEqual(
          logOf(of).filter(([seq]) => first !== undefined && seq >= first && seq <= (last ?? 0)),
        );
      }
    }
  });

  test('history by first unread message and by date: of what was there', async () => {
    const bob = accessCheck('getHistory', user('bob'));
    const [garden, log] = [conversation('garden'), logOf(expected.names['garden'] ?? '')];
    const anchor = async (point: Parameters<typeof world.store.history>[2]) => {
      const page = await world.store.history(garden, bob, point, 10);
      return typeof page === 'string' ? page : page.anchorSeq;
    };
    // Bob has read up to 85.
    expect(await anchor({ at: 'firstUnread' })).toBe(86);
    const [, , , ms = 0] = log[40] ?? [];
    expect(await anchor({ at: 'date', ms })).toBe(log.find(([, , , atMs]) => atMs >= ms)?.[0]);
  });

  test('sync: what a new device gets, what a phone gets that was away, and what is gone', async () => {
    for (const { user: id, synced, resumed, gone } of expected.users) {
      const reader = BigInt(id) as UserId;
      const nothing = new Map(
        Object.values(expected.names).map((of) => [BigInt(of) as ConversationId, 0] as const),
      );
      const all = await sync(reader, nothing);
      const ranges = new Map([...all.read].map(([of, messages]) => [of, rangeOf(messages)]));
      expect(plain(new Map([...ranges].filter(([, range]) => range.length > 0)))).toEqual(synced);
      expect(plain(all.gone.toSorted(byConversation))).toEqual(
        plain((gone as typeof all.gone).toSorted(byConversation)),
      );
      const rest = await sync(reader, new Map());
      expect(plain(new Map([...rest.read].map(([of, messages]) => [of, rangeOf(messages)])))).toEqual(
        resumed,
      );
    }
  });

  test('the room that was deleted is erased to the end', async () => {
    const dusk = conversation('dusk');
    const left = () => scratch.query(`select count(*) as n from messages where conversation = ${dusk}`);
    expect(await left()).toEqual([{ n: 14n }]);
    while (await world.store.erase(5, Date.now()));
    expect(await left()).toEqual([{ n: 0n }]);
  });

  test('new entries: a repeated send, a text, an edit, a retraction and a reply', async () => {
    const garden = conversation('garden');
    const log = logOf(expected.names['garden'] ?? '');
    const [ann, cid, eve] = [user('ann'), user('cid'), user('eve')];
    const own = log.find(([, , sender]) => sender === String(ann)) as Row;
    const other = log.find(([, , sender]) => sender === String(eve)) as Row;
    const entry = (fields: Partial<DraftEntry>): DraftEntry => ({
      kind: 'message',
      target: 0,
      thread: 0,
      targetClientMsgId: '',
      range: undefined,
      reason: '',
      ...fields,
    });
    const drafts = [
      world.draft(garden, ann, { clientMsgId: own[4], text: own[5] }),
      world.draft(garden, ann, { text: 'new', atMs: Date.now() }),
      world.draft(garden, ann, { text: 'edited', entry: entry({ kind: 'edit', target: own[0] }) }),
      world.draft(garden, cid, {
        text: '',
        entry: entry({ kind: 'retract', target: other[0], reason: 'off topic' }),
      }),
      world.draft(garden, ann, { text: 'as I said', entry: entry({ target: own[0] }) }),
    ];
    expect(await world.store.append(drafts, RULES)).toMatchObject([
      { ok: true, seq: own[0], duplicate: true },
      { ok: true, seq: 91, duplicate: false },
      { ok: true, seq: 92, target: own[0] },
      { ok: true, seq: 93, target: other[0] },
      { ok: true, seq: 94, quote: { seq: own[0], state: 'kept', text: 'edited', version: 92 } },
    ]);
    const messages = (await read(garden, eve)) ?? [];
    expect(messages[own[0] - 1]).toMatchObject({ text: 'edited', extra: { version: 92 } });
    expect(messages[other[0] - 1]).toMatchObject({
      text: '',
      extra: { retraction: { seq: 93, by: cid, reason: 'off topic' } },
    });
    const untouched = messages.filter(({ seq }) => seq <= 90 && seq !== own[0] && seq !== other[0]);
    expect(untouched.map(rowOf)).toEqual(log.filter(([seq]) => seq !== own[0] && seq !== other[0]));
    // She had read 10. Her own messages, and what was retracted, are not unread.
    const unread = messages.filter(
      ({ seq, sender, extra }) =>
        seq > 10 &&
        sender !== eve &&
        (extra?.kind ?? 'message') === 'message' &&
        extra?.retraction === undefined,
    );
    expect(await world.store.conversationOf(garden, eve, 'phone')).toMatchObject({ unread: unread.length });
    expect(await world.store.evidenceOf(garden, 0)).toMatchObject([{ seq: other[0], texts: [other[5]] }]);
  });
});

function byName(a: { readonly name: string }, b: { readonly name: string }): number {
  return a.name < b.name ? -1 : 1;
}

function byConversation(
  a: { readonly conversation: unknown },
  b: { readonly conversation: unknown },
): number {
  return String(a.conversation) < String(b.conversation) ? -1 : 1;
}
