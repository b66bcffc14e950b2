/** The part of the store's contract about appending entries other than plain messages: who may, in which order it is checked. */
import { describe, expect, test } from 'vitest';
import type { ConversationId, UserId } from '../../../common/mod.ts';
import { accessCheck } from '../../policy.ts';
import { type DraftEntry, MAX_PINS, MAX_RANGES, QUOTE_CHARACTERS, type SendRefusal } from '../store.ts';
import { type Nodes, RULES, type World } from './scratch.contract.ts';

const SENDERS = ['stranger', 'former', 'author', 'member', 'moderator', 'owner'] as const;
type Sender = (typeof SENDERS)[number];
/** Of which each has a message in the log. */
const AUTHORS = ['former', 'author', 'member', 'moderator', 'owner'] as const;

/** What an entry may name, with its seq on the stage. Who joined late sees none of what came before. */
const TARGETS = {
  none: 0,
  hidden: 2,
  sunk: 3,
  tooOld: 4,
  former: 5,
  author: 6,
  member: 7,
  moderator: 8,
  owner: 9,
  retracted: 10,
  edit: 11,
  retract: 12,
  system: 13,
  missing: 14,
} as const;
type Target = keyof typeof TARGETS;
const LAST_SEQ = 13;

const KINDS = ['message', 'edit', 'retract', 'pin', 'unpin'] as const satisfies readonly DraftEntry['kind'][];
const T0 = 1_700_000_000_000;
/** Time of the stage's end: what is too old is just beyond the edit window. */
const T1 = T0 + RULES.editWindowMs + 1;

type Cast = Readonly<Record<Sender, UserId>>;

async function makeCast(world: World): Promise<Cast> {
  const users = await Promise.all(SENDERS.map(() => world.user()));
  return Object.fromEntries(SENDERS.map((sender, index) => [sender, users[index]])) as Cast;
}

/** Makes a room with the targets. Its members may not read up to `hidden`, and `sunk` is at the floor. */
async function stage(world: World, cast: Cast): Promise<ConversationId> {
  const room = await world.room(cast.owner, cast.former, cast.author, cast.member, cast.moderator);
  await world.execute(
    `update members set role = 1 where conversation = ${room} and user_id = ${cast.moderator}`,
  );
  const say = (user: UserId, atMs = T0) => world.draft(room, user, { atMs });
  await world.append([
    say(cast.member),
    say(cast.author),
    say(cast.author),
    say(cast.author),
    ...AUTHORS.map((author) => say(cast[author], T1)),
    say(cast.member, T1),
    { ...world.entry(room, cast.member, { kind: 'edit', target: TARGETS.member }), atMs: T1 },
    { ...world.entry(room, cast.member, { kind: 'retract', target: TARGETS.retracted }), atMs: T1 },
  ]);
  await world.setRole(room, cast.owner, cast.member, 'moderator');
  await world.execute(`
    update members set role = 0 where conversation = ${room} and user_id = ${cast.member};
    update members set visible_after_seq = ${TARGETS.hidden} where conversation = ${room};
    delete from members where conversation = ${room} and user_id = ${cast.former};
    insert into former_members (conversation, user_id, visible_after_seq, left_seq, reason)
      values (${room}, ${cast.former}, 0, ${LAST_SEQ}, 'left')`);
  await world.store.raiseFloor(room, TARGETS.sunk);
  return room;
}

const RANKS: Readonly<Record<Sender, number>> = {
  stranger: -1,
  former: -1,
  author: 0,
  member: 0,
  moderator: 1,
  owner: 2,
};

/** The rules, once more. */
function refusalOf(kind: DraftEntry['kind'], sender: Sender, target: Target): SendRefusal | undefined {
  if (sender === 'stranger' || sender === 'former') return 'NOT_A_MEMBER';
  if (target === 'missing' || target === 'none' || target === 'hidden') return 'TARGET_NOT_FOUND';
  if (target === 'sunk') return 'TARGET_EXPIRED';
  if (target === 'edit' || target === 'retract' || target === 'system') return 'TARGET_INVALID';
  if (target === 'retracted') return 'TARGET_RETRACTED';
  const author = target === 'tooOld' ? 'author' : target;
  if (kind === 'edit' && author !== sender) return 'NOT_AUTHOR';
  if (kind === 'retract' && author !== sender && (RANKS[sender] < 1 || RANKS[sender] <= RANKS[author]))
    return 'ROLE_TOO_LOW';
  if ((kind === 'pin' || kind === 'unpin') && RANKS[sender] < 1) return 'ROLE_TOO_LOW';
  return kind === 'edit' && target === 'tooOld' ? 'EDIT_TOO_LATE' : undefined;
}

export function describeEntries(nodes: () => Nodes): void {
  /** All that the database has of a conversation. */
  async function dump(room: ConversationId): Promise<unknown[]> {
    const { scratch } = nodes();
    const tables = ['messages', 'extras', 'revisions', 'pins', 'erasures', 'evidence'];
    const rows = tables.map((table) =>
      scratch.query(`select * from ${table} where conversation = ${room} order by 1, 2, 3`),
    );
    const [conversation] = await scratch.query(`
      select last_seq, last_at_ms, last_message_seq, active_at_ms, skipped, floor_seq, floor_skipped, pins_version
      from conversations where id = ${room}`);
    return [conversation, ...(await Promise.all(rows))];
  }

  /** Makes a room of a member's messages with these texts. */
  async function roomOf(...texts: string[]): Promise<{ room: ConversationId; ann: UserId; bob: UserId }> {
    const { a } = nodes();
    const [ann, bob] = [await a.user(), await a.user()];
    const room = await a.room(ann, bob);
    await a.append(texts.map((text) => a.draft(room, bob, { text })));
    return { room, ann, bob };
  }

  describe('entries', () => {
    const cases = KINDS.flatMap((kind) =>
      SENDERS.flatMap((sender) =>
        (Object.keys(TARGETS) as Target[]).map((target) => ({
          kind,
          sender,
          target,
          code: refusalOf(kind, sender, target),
        })),
      ),
    );

    test('every kind, by everybody, about everything: the first reason to refuse it, and nothing changes', async () => {
      const { a } = nodes();
      const cast = await makeCast(a);
      const room = await stage(a, cast);
      const before = await dump(room);
      const refused = cases.filter(({ code }) => code !== undefined);
      const answers = await a.append(
        refused.map(({ kind, sender, target }) => ({
          ...a.entry(room, cast[sender], { kind, target: TARGETS[target] }),
          atMs: T1,
        })),
      );
      expect(
        answers.map((answer, index) => ({ ...refused[index], code: answer.ok ? undefined : answer.code })),
      ).toEqual(refused);
      expect(await dump(room)).toEqual(before);
    });

    test('every kind that is allowed: is the next entry', async () => {
      const { a } = nodes();
      const cast = await makeCast(a);
      for (const { kind, sender, target } of cases.filter(({ code }) => code === undefined)) {
        const room = await stage(a, cast);
        const draft = { ...a.entry(room, cast[sender], { kind, target: TARGETS[target] }), atMs: T1 };
        const next = { ok: true, seq: LAST_SEQ + 1, atMs: T1, duplicate: false, target: TARGETS[target] };
        expect([kind, sender, target, await a.append([draft])]).toMatchObject([kind, sender, target, [next]]);
      }
    });

    test('in a direct conversation: only authors retract, both pin', async () => {
      const { a } = nodes();
      const [ann, bob] = [await a.user(), await a.user()];
      const { id } = await a.store.openDirect(a.conversationId(), ann, bob);
      await a.fill(id, ann, 2);
      expect(
        await a.append([
          a.entry(id, bob, { kind: 'edit', target: 1 }),
          a.entry(id, bob, { kind: 'retract', target: 1 }),
          a.entry(id, bob, { kind: 'retract', range: { sender: ann, fromSeq: 1, toSeq: 2 } }),
          a.entry(id, bob, { kind: 'pin', target: 1 }),
          a.entry(id, ann, { kind: 'unpin', target: 1 }),
          a.entry(id, ann, { kind: 'retract', target: 1 }),
        ]),
      ).toMatchObject([
        { code: 'NOT_AUTHOR' },
        { code: 'ROLE_TOO_LOW' },
        { code: 'ROLE_TOO_LOW' },
        { seq: 3 },
        { seq: 4 },
        { seq: 5 },
      ]);
    });

    test('a range: by its sender, or by a moderator whose rank is higher; of messages that there are', async () => {
      const { a } = nodes();
      const cast = await makeCast(a);
      const room = await stage(a, cast);
      const retract = (sender: Sender, of: Sender, fromSeq: number, toSeq: number) =>
        a.entry(room, cast[sender], { kind: 'retract', range: { sender: cast[of], fromSeq, toSeq } });
      const before = await dump(room);
      const refused = [
        [retract('stranger', 'stranger', 4, 9), 'NOT_A_MEMBER'],
        [retract('former', 'former', 4, 9), 'NOT_A_MEMBER'],
        [retract('member', 'member', 9, 4), 'TARGET_NOT_FOUND'],
        [retract('member', 'member', LAST_SEQ + 1, LAST_SEQ + 9), 'TARGET_NOT_FOUND'],
        [retract('moderator', 'author', 1, TARGETS.hidden), 'TARGET_NOT_FOUND'],
        [retract('moderator', 'author', TARGETS.hidden, 99), 'TARGET_NOT_FOUND'],
        [retract('author', 'author', TARGETS.hidden, 99), 'TARGET_NOT_FOUND'],
        [retract('moderator', 'author', TARGETS.hidden + 1, TARGETS.sunk), 'TARGET_EXPIRED'],
        [retract('member', 'author', 4, 9), 'ROLE_TOO_LOW'],
        [retract('member', 'former', 4, 9), 'ROLE_TOO_LOW'],
        [retract('moderator', 'owner', 4, 9), 'ROLE_TOO_LOW'],
      ] as const;
      const answers = await a.append(refused.map(([draft]) => draft));
      expect(answers).toEqual(refused.map(([, code]) => ({ ok: false, code })));
      expect(await dump(room)).toEqual(before);
      const allowed = [
        retract('author', 'author', TARGETS.hidden + 1, 99),
        retract('moderator', 'member', 4, 9),
        retract('moderator', 'former', 4, 9),
        retract('moderator', 'moderator', 4, 9),
        retract('owner', 'moderator', 4, 9),
        retract('moderator', 'stranger', 4, 9),
      ];
      expect(await a.append(allowed)).toMatchObject(
        allowed.map((_, index) => ({ seq: LAST_SEQ + 1 + index, target: 0 })),
      );
    });

    test('ranges that are still to be erased: at most so many of authors and of moderators; one more costs only itself', async () => {
      const { a, b } = nodes();
      const { room, ann, bob } = await roomOf('one', 'two');
      const retract = (by: UserId) =>
        a.entry(room, by, { kind: 'retract', range: { sender: bob, fromSeq: 1, toSeq: 2 } });
      const fill = (by: UserId) => a.append(Array.from({ length: MAX_RANGES }, () => retract(by)));
      const full = { ok: false, code: 'RANGES_FULL' };
      expect((await fill(bob)).every(({ ok }) => ok)).toBe(true);
      expect(await a.append([retract(bob), a.draft(room, bob), retract(ann)])).toMatchObject([
        full,
        { ok: true },
        { ok: true },
      ]);
      await fill(ann);
      expect(await a.append([retract(ann), retract(bob)])).toEqual([full, full]);
      while (await b.store.erase(3, 0));
      expect(await a.append([retract(ann), retract(bob)])).toMatchObject([{ ok: true }, { ok: true }]);
    });

    test('what is refused costs only itself, and leaves no hole', async () => {
      const { a } = nodes();
      const { room, ann, bob } = await roomOf('one', 'two');
      expect(
        await a.append([
          a.draft(room, ann),
          a.entry(room, ann, { kind: 'edit', target: 1 }),
          a.entry(room, bob, { kind: 'edit', target: 1 }),
          a.entry(room, bob, { kind: 'pin', target: 1 }),
          a.entry(room, bob, { target: 99 }),
          a.draft(room, ann),
          a.entry(room, ann, { target: 1 }),
        ]),
      ).toMatchObject([
        { seq: 3 },
        { code: 'NOT_AUTHOR' },
        { seq: 4 },
        { code: 'ROLE_TOO_LOW' },
        { code: 'TARGET_NOT_FOUND' },
        { seq: 5 },
        { seq: 6 },
      ]);
      expect((await a.page(ann, room))?.messages.map(({ seq }) => seq)).toEqual([1, 2, 3, 4, 5, 6]);
    });

    test('entries of one batch see those before them', async () => {
      const { a, b } = nodes();
      const { room, ann, bob } = await roomOf();
      const message = a.draft(room, bob, { text: 'helo' });
      expect(
        await a.append([
          message,
          a.entry(room, bob, { kind: 'edit', targetClientMsgId: message.clientMsgId, text: 'hello' }),
          a.entry(room, ann, { target: 1, text: 'hi' }),
          a.entry(room, ann, { kind: 'pin', target: 1 }),
          a.entry(room, bob, { kind: 'edit', target: 1, text: 'hello!' }),
          a.entry(room, ann, { target: 1, text: 'hi again' }),
          a.entry(room, bob, { kind: 'retract', target: 1 }),
          a.entry(room, ann, { target: 1, text: 'what?' }),
          a.entry(room, ann, { kind: 'retract', range: { sender: ann, fromSeq: 1, toSeq: 99 } }),
          a.entry(room, ann, { kind: 'edit', target: 3 }),
        ]),
      ).toMatchObject([
        { seq: 1 },
        { seq: 2, target: 1 },
        { seq: 3, quote: { text: 'hello', version: 2 } },
        { seq: 4 },
        { seq: 5 },
        { seq: 6, quote: { text: 'hello!', version: 5 } },
        { seq: 7 },
        { code: 'TARGET_RETRACTED' },
        { seq: 8 },
        { code: 'TARGET_RETRACTED' },
      ]);
      const page = await b.page(ann, room);
      expect(page?.messages.map(({ extra }) => extra?.retraction?.seq)).toEqual([
        7,
        undefined,
        8,
        undefined,
        undefined,
        8,
        undefined,
        undefined,
      ]);
    });

    test('a target without a seq: the message of the same sender with this client_msg_id', async () => {
      const { a, b } = nodes();
      const { room, ann, bob } = await roomOf();
      const elsewhere = await a.room(ann, bob);
      const send = (to: ConversationId, user: UserId, clientMsgId: string) =>
        a.draft(to, user, { clientMsgId });
      await a.append([
        send(room, bob, 'both'),
        send(room, ann, 'both'),
        send(room, bob, 'bobs'),
        send(elsewhere, ann, 'elsewhere'),
      ]);
      const edit = (targetClientMsgId: string) => b.entry(room, ann, { kind: 'edit', targetClientMsgId });
      const first = edit('both');
      expect(
        await b.append([
          first,
          edit('bobs'),
          edit('elsewhere'),
          edit('nothing'),
          edit(''),
          edit(first.clientMsgId),
          b.entry(room, ann, { kind: 'retract', targetClientMsgId: 'both' }),
        ]),
      ).toMatchObject([
        { seq: 4, target: 2 },
        { code: 'TARGET_NOT_FOUND' },
        { code: 'TARGET_NOT_FOUND' },
        { code: 'TARGET_NOT_FOUND' },
        { code: 'TARGET_NOT_FOUND' },
        { code: 'TARGET_INVALID' },
        { seq: 5, target: 2 },
      ]);
    });

    test('a repeated entry: is answered with the original and its target, whatever has become of it', async () => {
      const { a, b } = nodes();
      const { room, bob } = await roomOf('one', 'two');
      const edit = a.entry(room, bob, { kind: 'edit', target: 1, text: 'uno' });
      const reply = a.entry(room, bob, { target: 2, text: 'reply' });
      const [first, second] = await a.append([edit, reply]);
      await a.append([
        a.entry(room, bob, { kind: 'retract', target: 1 }),
        a.entry(room, bob, { kind: 'retract', target: 4 }),
      ]);
      const before = await dump(room);
      const repeated = [
        { ...first, duplicate: true },
        { ...second, duplicate: true, quote: undefined },
      ];
      expect(await b.append([edit, reply])).toEqual(repeated);
      expect(await dump(room)).toEqual(before);
      await b.leaveRoom(room, bob);
      const [again, unknown] = await b.append([edit, b.entry(room, bob, { kind: 'edit', target: 2 })]);
      expect([again, unknown]).toMatchObject([{ seq: 3, duplicate: true }, { code: 'NOT_A_MEMBER' }]);
    });

    test('the edit window: from the commit of the message to that of the edit', async () => {
      const { a } = nodes();
      const { room, bob } = await roomOf();
      const end = T0 + RULES.editWindowMs;
      const edit = (atMs: number) => ({ ...a.entry(room, bob, { kind: 'edit', target: 1 }), atMs });
      // The second message carries the time on, whatever a node's clock says.
      expect(
        await a.append([a.draft(room, bob, { atMs: T0 }), edit(end), a.draft(room, bob, { atMs: end + 1 })]),
      ).toMatchObject([{ seq: 1 }, { seq: 2 }, { seq: 3 }]);
      expect(await a.append([edit(end), edit(end + 1)])).toEqual([
        { ok: false, code: 'EDIT_TOO_LATE' },
        { ok: false, code: 'EDIT_TOO_LATE' },
      ]);
    });

    test('times never go back, and only messages move the place in the list', async () => {
      const { a } = nodes();
      const { room, ann, bob } = await roomOf();
      const later = Date.now() + 60_000;
      const at = (draft: ReturnType<World['draft']>, atMs: number) => ({ ...draft, atMs });
      expect(
        await a.append([
          a.draft(room, bob, { atMs: later }),
          a.draft(room, bob, { atMs: later - 10 }),
          at(a.entry(room, ann, { kind: 'pin', target: 1 }), later + 100),
          at(a.entry(room, bob, { kind: 'edit', target: 1 }), later),
        ]),
      ).toMatchObject([{ atMs: later }, { atMs: later }, { atMs: later + 100 }, { atMs: later + 100 }]);
      const [listed] = await a.conversations(bob);
      expect(listed).toMatchObject({ activeAtMs: later, lastMessage: { seq: 2 } });
      await a.append([at(a.entry(room, bob, { target: 1 }), later)]);
      expect((await a.conversations(bob))[0]).toMatchObject({
        activeAtMs: later + 100,
        lastMessage: { seq: 5 },
      });
    });

    test('a quote: the newest text, whole or its beginning, never half a character', async () => {
      const { a } = nodes();
      const { room, ann, bob } = await roomOf('😀'.repeat(QUOTE_CHARACTERS + 10));
      const [reply] = await a.append([a.entry(room, ann, { target: 1 })]);
      const quote = { seq: 1, state: 'kept', sender: bob, text: '😀'.repeat(QUOTE_CHARACTERS), version: 1 };
      expect(reply).toMatchObject({ target: 1, quote });
      await a.append([a.entry(room, bob, { kind: 'edit', target: 1, text: 'short' })]);
      const [second] = await a.append([a.entry(room, ann, { target: 1 })]);
      expect(second).toMatchObject({ quote: { ...quote, text: 'short', version: 3 } });
      // A quote of a quote is a quote of its message.
      expect(await a.append([a.entry(room, ann, { target: 2 })])).toMatchObject([
        { target: 2, quote: { sender: ann } },
      ]);
    });

    test('pins: at most MAX_PINS; a pinned one can be pinned again', async () => {
      const { a } = nodes();
      const { room, ann } = await roomOf();
      await a.fill(room, ann, MAX_PINS + 1);
      const pin = (kind: 'pin' | 'unpin', target: number) => a.entry(room, ann, { kind, target });
      await a.append(Array.from({ length: MAX_PINS }, (_, index) => pin('pin', index + 1)));
      const last = MAX_PINS + 1;
      expect(
        await a.append([pin('pin', last), pin('pin', 1), pin('unpin', 2), pin('pin', last)]),
      ).toMatchObject([{ code: 'PINS_FULL' }, { ok: true }, { ok: true }, { ok: true }]);
      const list = await a.store.pinsOf(room, accessCheck('listPins', ann));
      if (typeof list === 'string') throw new Error(list);
      const seqs = list.pins.map(({ message }) => message.seq);
      expect([seqs.length, seqs[0], seqs.includes(1), seqs.includes(2)]).toEqual([
        MAX_PINS,
        last,
        true,
        false,
      ]);
      expect(list.pins[0]).toMatchObject({ by: ann, message: { sender: ann } });
      expect(list.pinsVersion).toBe(2 * MAX_PINS + 4);
      const some = { ...list, pins: list.pins.slice(3, 5) };
      expect(await a.store.pinsOf(room, accessCheck('listPins', ann), 3, 2)).toEqual(some);
    });

    test('the feed: a row for each commit with what it appended, if it is wanted', async () => {
      const { a, scratch } = nodes();
      const { room, ann } = await roomOf();
      const rows = async () => Number((await scratch.query('select count(*) as n from feed'))[0]?.['n']);
      const before = await rows();
      await a.fill(room, ann, 1);
      expect(await rows()).toBe(before);
      await a.store.append([a.draft(room, ann), a.draft(room, ann)], RULES, true);
      expect(await rows()).toBe(before + 1);
      await a.store.append([a.draft(room, await a.user())], RULES, true);
      expect(await rows()).toBe(before + 1);
    });
  });
}
