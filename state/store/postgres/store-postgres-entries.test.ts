/** Tests of entries specific to PostgreSQL: nodes at once, and appends that wait for each other's locks. */
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ConversationId, UserId } from '../../../common/mod.ts';
import { eventually } from '../../../test/harness/eventually.ts';
import { type Scratch, scratchPostgres, World } from '../contract/scratch.contract.ts';
import type { Appended, Draft, Message } from '../store.ts';

let scratch: Scratch;

beforeAll(async () => {
  scratch = await scratchPostgres();
});

afterAll(async () => {
  await scratch[Symbol.asyncDispose]();
});

/** Returns the text of each message as its entries have left it, by seq; empty: retracted. */
function foldOf(
  entries: readonly Message[],
  texts: ReadonlyMap<number, string>,
): ReadonlyMap<number, string> {
  const folded = new Map<number, string>();
  const retracted = new Set<number>();
  for (const { seq, extra } of entries) {
    const text = texts.get(seq) ?? '';
    if (extra === undefined || extra.kind === 'message') folded.set(seq, text);
    else if (extra.kind === 'retract') retracted.add(extra.target);
    else if (extra.kind === 'edit') {
      expect(retracted.has(extra.target)).toBe(false);
      folded.set(extra.target, text);
    }
  }
  for (const seq of retracted) folded.set(seq, '');
  return folded;
}

test('two nodes edit, retract, quote and pin the same messages at once: each log folds to what is read, without a deadlock', async () => {
  const [a, b] = [await World.open(scratch), await World.open(scratch)];
  const users = [await a.user(), await a.user()] as const;
  const rooms = await Promise.all([a.room(...users), a.room(...users), a.room(...users)]);
  const texts = new Map<ConversationId, Map<number, string>>(rooms.map((room) => [room, new Map()]));
  const note = (drafts: readonly Draft[], answers: readonly Appended[]) => {
    for (const [index, answer] of answers.entries()) {
      const { conversation, text } = drafts[index] as Draft;
      if (answer.ok) texts.get(conversation)?.set(answer.seq, text);
    }
  };
  for (const user of users) {
    const drafts = rooms.flatMap((room) => Array.from({ length: 6 }, () => a.draft(room, user)));
    note(drafts, await a.append(drafts));
  }
  const codes = new Set<string>();
  const hammer = async (world: World, user: UserId, isReverse: boolean) => {
    for (let round = 0; round < 12; round++) {
      // Both nodes concern the same messages, in the opposite order of conversations.
      const drafts = rooms.flatMap((room) => [
        world.draft(room, user),
        world.entry(room, user, { kind: 'edit', target: 1 + (round % 12) }),
        world.entry(room, user, { kind: 'message', target: 1 + ((round + 3) % 12) }),
        world.entry(room, user, { kind: 'retract', target: 1 + ((round * 5) % 12) }),
        world.entry(room, user, { kind: 'pin', target: 1 + ((round + 7) % 12) }),
        world.entry(room, user, { kind: 'edit', target: 1 + (round % 12) }),
      ]);
      if (isReverse) drafts.reverse();
      const answers = await world.append(drafts);
      note(drafts, answers);
      for (const answer of answers) if (!answer.ok) codes.add(answer.code);
    }
  };
  await Promise.all([
    hammer(a, users[0], false),
    hammer(b, users[1], true),
    hammer(a, users[1], true),
    hammer(b, users[0], false),
  ]);
  expect(codes).toContain('TARGET_RETRACTED');
  expect(codes).toContain('NOT_AUTHOR');
  const [{ deadlocks } = {}] = await scratch.query(
    'select deadlocks from pg_stat_database where datname = current_database()',
  );
  expect(deadlocks).toBe(0n);
  for (const room of rooms) {
    const page = await b.page(users[0], room);
    const entries = page?.messages ?? [];
    expect(entries.map(({ seq }) => seq)).toEqual(Array.from({ length: page?.asOf ?? 0 }, (_, i) => i + 1));
    expect(entries.map(({ atMs }) => atMs)).toEqual(
      entries.map(({ atMs }) => atMs).toSorted((x, y) => x - y),
    );
    const messages = entries.filter(({ extra }) => extra === undefined || extra.kind === 'message');
    expect(new Map(messages.map(({ seq, text }) => [seq, text]))).toEqual(
      foldOf(entries, texts.get(room) ?? new Map()),
    );
    const skipped = entries.length - messages.length;
    expect(
      await scratch.query(`select skipped, last_message_seq from conversations where id = ${room}`),
    ).toEqual([{ skipped: BigInt(skipped), last_message_seq: BigInt(messages.at(-1)?.seq ?? 0) }]);
  }
  await Promise.all([a.store.close(), b.store.close()]);
});

describe('an append that waits for the room', () => {
  /** Begins an append that must wait for what `script` has changed, and commits that. */
  async function appendBehind(world: World, script: string, drafts: readonly Draft[]) {
    const client = new pg.Client({ connectionString: scratch.url });
    await client.connect();
    await client.query(`begin; ${script}`);
    const appended = world.append(drafts);
    await eventually('one waits for a lock', async () => {
      const waiting = `select pid from pg_stat_activity
        where wait_event_type = 'Lock' and datname = current_database()`;
      expect(await scratch.query(waiting)).toHaveLength(1);
    });
    await client.query('commit');
    await client.end();
    return await appended;
  }

  const lock = (room: ConversationId) => `select from conversations where id = ${room} for no key update;`;

  test.each<[string, (room: ConversationId, bob: UserId) => string, string]>([
    [
      'the sender leaves meanwhile',
      (room, bob) => `delete from members where conversation = ${room} and user_id = ${bob}`,
      'NOT_A_MEMBER',
    ],
    [
      'the message is retracted meanwhile',
      (room) => `update messages set version = 1, retracted = true where conversation = ${room} and seq = 1`,
      'TARGET_RETRACTED',
    ],
    [
      'a range with it is retracted meanwhile',
      (room, bob) =>
        `insert into erasures (conversation, entry_seq, sender, from_seq, to_seq) values (${room}, 1, ${bob}, 1, 1)`,
      'TARGET_RETRACTED',
    ],
    [
      'the floor rises meanwhile',
      (room) => `update conversations set floor_seq = 1 where id = ${room}`,
      'TARGET_EXPIRED',
    ],
  ])('%s: the edit is refused, the rest is written', async (_, script, code) => {
    const world = await World.open(scratch);
    const [ann, bob] = [await world.user(), await world.user()];
    const room = await world.room(ann, bob);
    await world.fill(room, bob, 1);
    const answers = await appendBehind(world, lock(room) + script(room, bob), [
      world.draft(room, ann),
      world.entry(room, bob, { kind: 'edit', target: 1 }),
      world.draft(room, ann),
    ]);
    expect(answers).toMatchObject([
      { ok: true, seq: 2 },
      { ok: false, code },
      { ok: true, seq: 3 },
    ]);
    expect(
      await scratch.query(`select last_seq, skipped, last_message_seq from conversations where id = ${room}`),
    ).toEqual([{ last_seq: 3n, skipped: 0n, last_message_seq: 3n }]);
    await world.store.close();
  });

  test('a moderator loses the role meanwhile: the retraction of a message is refused', async () => {
    const world = await World.open(scratch);
    const [ann, bob] = [await world.user(), await world.user()];
    const room = await world.room(ann, bob);
    await world.setRole(room, ann, bob, 'moderator');
    const cid = await world.user();
    await world.addMembers(room, [cid], 3);
    const [target] = await world.append([world.draft(room, cid)]);
    expect(target).toMatchObject({ ok: true, seq: 2 });
    const answers = await appendBehind(
      world,
      `${lock(room)} update members set role = 0 where conversation = ${room} and user_id = ${bob}`,
      [world.entry(room, bob, { kind: 'retract', target: 2 }), world.draft(room, ann)],
    );
    expect(answers).toMatchObject([
      { ok: false, code: 'ROLE_TOO_LOW' },
      { ok: true, seq: 3 },
    ]);
    await world.store.close();
  });
});

test('an entry whose target comes with it: its conversation alone is appended in turns', async () => {
  const world = await World.open(scratch);
  const user = await world.user();
  const [room, other] = [await world.room(user), await world.room(user)];
  const drafts = [
    world.draft(room, user),
    world.draft(other, user),
    world.entry(room, user, { kind: 'edit', target: 1, text: 'edited' }),
    world.draft(room, user),
    world.entry(room, user, { kind: 'message', target: 3 }),
    world.entry(room, user, { kind: 'edit', target: 9 }),
    world.draft(other, user),
  ];
  expect(await world.append(drafts)).toMatchObject([
    { ok: true, seq: 1 },
    { ok: true, seq: 1 },
    { ok: true, seq: 2, target: 1 },
    { ok: true, seq: 3 },
    { ok: true, seq: 4, quote: { seq: 3 } },
    { ok: false, code: 'TARGET_NOT_FOUND' },
    { ok: true, seq: 2 },
  ]);
  expect((await world.page(user, room))?.messages[0]?.text).toBe('edited');
  await world.store.close();
});

test('the feed: a row per commit with the new entries of each conversation, none if it is off', async () => {
  const world = await World.open(scratch);
  const [user, eve] = [await world.user(), await world.user()];
  const [room, other] = [await world.room(user), await world.room(user)];
  await world.fill(room, user, 2);
  const rules = { editWindowMs: 1000, pin: 'member', retract: 'moderator', evidenceMs: 0 } as const;
  await world.store.append(
    [
      world.draft(room, user),
      world.draft(other, eve),
      world.entry(room, user, { kind: 'edit', target: 1 }),
      world.entry(room, user, { kind: 'edit', target: 7 }),
    ],
    rules,
    true,
  );
  await world.store.append([world.draft(other, eve)], rules, true);
  expect(await scratch.query('select conversations, first_seqs, last_seqs from feed')).toEqual([
    { conversations: [String(room)], first_seqs: ['3'], last_seqs: ['4'] },
  ]);
  await world.store.close();
});

test('what is refused: its conversation keeps its last message, behind any number of edits and beyond the floor', async () => {
  const world = await World.open(scratch);
  const [user, eve] = [await world.user(), await world.user()];
  const room = await world.room(user);
  const row = () =>
    scratch.query(`
      select last_seq, last_message_seq, skipped, last_at_ms, active_at_ms from conversations where id = ${room}`);
  const atMs = Date.now() + 60_000;
  await world.append([world.draft(room, user, { atMs }), world.draft(room, user, { atMs: atMs + 1 })]);
  for (let round = 0; round < 4; round++) {
    const before = await row();
    expect(before).toMatchObject([{ last_message_seq: 2n, active_at_ms: BigInt(atMs + 1) }]);
    const refused = [
      world.draft(room, eve, { atMs: atMs + 9 }),
      world.entry(room, user, { kind: 'edit', target: 99 }),
    ];
    expect((await world.append(refused)).map(({ ok }) => ok)).toEqual([false, false]);
    expect(await row()).toEqual(before);
    await world.append([{ ...world.entry(room, user, { kind: 'edit', target: 1 }), atMs: atMs + 2 + round }]);
  }
  await world.store.raiseFloor(room, 3);
  await world.append([world.draft(room, eve, { atMs: atMs + 9 })]);
  expect(await row()).toMatchObject([{ last_seq: 6n, last_message_seq: 0n, skipped: 4n }]);
  await world.store.close();
});
