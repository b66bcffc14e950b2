/** Contract: append and history. */
import { Buffer } from 'node:buffer';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { ConversationId, MessageId, UserId } from '../../../common/mod.ts';
import type { Appended, Draft } from '../mod.ts';
import { MAX_PINS } from '../store.ts';
import { type Nodes, RULES, type World } from './scratch.contract.ts';
import { PAGE_TEXT_BYTES } from '../sync-page.ts';

const UNSTORABLE = (2n ** 64n - 1n) as ConversationId;
/** Lengths of texts, of which a page holds many or not even one. */
const texts = fc.array(fc.oneof(fc.nat(100), fc.integer({ min: 40_000, max: 150_000 })), {
  minLength: 1,
  maxLength: 9,
});
const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
const REFUSED: Appended = { ok: false, code: 'NOT_A_MEMBER' };

export function describeLog(nodes: () => Nodes): void {
  describe('append', () => {
    test('seqs ascend from 1 in the order of the drafts, per conversation', async () => {
      const { a, b } = nodes();
      const user = await a.user();
      const [one, two] = [await a.room(user), await a.room(user)];
      const drafts = [one, two, one, one, two].map((room) => a.draft(room, user));
      const answers = await a.append(drafts);
      expect(answers).toEqual(
        [1, 1, 2, 3, 2].map((seq, index) => ({
          ok: true,
          seq,
          id: drafts[index]?.id,
          atMs: drafts[index]?.atMs,
          duplicate: false,
          memberVersion: 1,
          target: 0,
          quote: undefined,
        })),
      );
      expect(await b.append([b.draft(two, user), b.draft(one, user)])).toMatchObject([
        { seq: 3 },
        { seq: 4 },
      ]);
      expect(await a.append([])).toEqual([]);
    });

    test('non-members are refused and leave no gap, whatever else is in the batch', async () => {
      const { a } = nodes();
      const [ann, eve] = [await a.user(), await a.user()];
      const room = await a.room(ann);
      const answers = await a.append([
        a.draft(room, eve),
        a.draft(room, ann),
        a.draft(a.conversationId(), ann),
        a.draft(UNSTORABLE, ann),
        a.draft(room, ann),
        a.draft(room, eve),
      ]);
      expect(answers).toMatchObject([REFUSED, { seq: 1 }, REFUSED, REFUSED, { seq: 2 }, REFUSED]);
      expect(await a.append([a.draft(UNSTORABLE, ann)])).toEqual([REFUSED]);
      expect(await a.append([a.draft(room, eve)])).toEqual([REFUSED]);
      expect((await a.history(ann, room, 0, 10))?.messages).toHaveLength(2);
    });

    test('refused and repeated messages do not change the time of their conversation', async () => {
      const { a, scratch } = nodes();
      const [ann, eve] = [await a.user(), await a.user()];
      const [quiet, old, room] = [await a.room(ann), await a.room(ann), await a.room(ann)];
      const atMs = Date.now() + 1000;
      const original = a.draft(old, ann, { atMs });
      await a.append([original]);
      await a.append([a.draft(room, ann, { atMs: atMs + 1 })]);
      const times = async () => {
        const rows = await scratch.query(
          `select id, active_at_ms from conversations where id in (${quiet}, ${old}, ${room}) order by id`,
        );
        return rows.map((row) => Number(row['active_at_ms']));
      };
      const [made] = await times();
      const later = Date.now() + 60_000;
      expect(
        await a.append([
          a.draft(quiet, eve, { atMs: later }),
          a.draft(old, eve, { atMs: later }),
          a.draft(old, ann, { clientMsgId: original.clientMsgId, atMs: later }),
          a.draft(room, eve, { atMs: later }),
        ]),
      ).toMatchObject([REFUSED, REFUSED, { seq: 1, duplicate: true }, REFUSED]);
      const [remade, ...others] = await times();
      expect(others).toEqual([atMs, atMs + 1]);
      // PostgreSQL has its own clock for the making, which its store may fall back on.
      expect(Math.abs((remade as number) - (made as number))).toBeLessThan(30_000);
      expect(await a.append([a.draft(quiet, ann), a.draft(old, ann)])).toMatchObject([
        { seq: 1 },
        { seq: 2 },
      ]);
    });

    test('a duplicate is answered with the original, within a batch and later, on any node', async () => {
      const { a, b } = nodes();
      const [ann, bob] = [await a.user(), await a.user()];
      const room = await a.room(ann, bob);
      const draft = a.draft(room, ann, { clientMsgId: 'x' });
      const again = () => a.draft(room, ann, { clientMsgId: 'x', text: 'other' });
      const original = { ok: true, seq: 1, id: draft.id, atMs: draft.atMs };
      expect(
        await a.append([draft, again(), a.draft(room, bob, { clientMsgId: 'x' }), again()]),
      ).toMatchObject([
        { ...original, duplicate: false },
        { ...original, duplicate: true },
        { seq: 2, duplicate: false },
        { ...original, duplicate: true },
      ]);
      expect(await b.append([b.draft(room, ann), again()])).toMatchObject([
        { seq: 3, duplicate: false },
        { ...original, duplicate: true },
      ]);
      const texts = (await a.history(ann, room, 0, 10))?.messages.map(({ text }) => text);
      expect(texts?.[0]).toBe(draft.text);
      expect(texts).toHaveLength(3);
    });

    test('a repeated entry is answered with the original, whatever has become of its target and its sender', async () => {
      const { a, b } = nodes();
      const [ann, bob] = [await a.user(), await a.user()];
      const room = await a.room(ann, bob);
      await a.setRole(room, ann, bob, 'moderator');
      await a.fill(room, bob, MAX_PINS + 7);
      const sunk = 2;
      const firstPin = 4;
      const [edited, quoted, late, retracted, pinned] = [4, 5, 6, 7, 8].map((seq) => MAX_PINS + seq);
      const drafts = [
        a.entry(room, bob, { kind: 'edit', target: edited }),
        a.entry(room, bob, { target: quoted }),
        a.entry(room, bob, { kind: 'edit', target: late }),
        a.entry(room, bob, { kind: 'edit', target: sunk }),
        a.entry(room, bob, { kind: 'retract', target: retracted }),
        a.entry(room, bob, { kind: 'retract', range: { sender: bob, fromSeq: 1, toSeq: 3 } }),
        a.entry(room, bob, { kind: 'pin', target: pinned }),
        a.entry(room, bob, { kind: 'unpin', target: pinned }),
      ];
      const first = await a.append(drafts);
      expect(first.every(({ ok }) => ok)).toBe(true);
      await a.append([
        ...[edited, quoted].map((target) => a.entry(room, bob, { kind: 'retract', target })),
        ...Array.from({ length: MAX_PINS }, (_, i) =>
          a.entry(room, bob, { kind: 'pin', target: i + firstPin }),
        ),
      ]);
      await a.setRole(room, ann, bob, 'member');
      await a.execute(`update conversations set floor_seq = 3 where id = ${room}`);
      const again = drafts.map((draft, i) => ({ ...draft, atMs: draft.atMs + RULES.editWindowMs + i + 1 }));
      const repeated = first.map((answer) => ({
        ...answer,
        duplicate: true,
        quote: undefined,
        memberVersion: 2,
      }));
      const [said, refused] = [a.draft(room, bob), a.entry(room, bob, { kind: 'edit', target: edited })];
      // Among others, in an order of their own, and on a node that has not seen the sender repeat.
      expect(await b.append([said, ...again, refused])).toMatchObject([
        { ok: true, duplicate: false },
        ...repeated,
        { ok: false, code: 'TARGET_RETRACTED' },
      ]);
      await a.leaveRoom(room, bob);
      expect(await a.append(again)).toEqual(repeated.map((answer) => ({ ...answer, memberVersion: 3 })));
    });

    test('the same client_msg_id in two conversations is two messages', async () => {
      const { a } = nodes();
      const user = await a.user();
      const drafts = [await a.room(user), await a.room(user)].map((room) =>
        a.draft(room, user, { clientMsgId: 'x' }),
      );
      expect(await a.append(drafts)).toMatchObject([{ duplicate: false }, { duplicate: false }]);
    });

    test('the member version is that of the commit', async () => {
      const { a, b } = nodes();
      const [ann, bob] = [await a.user(), await a.user()];
      const room = await a.room(ann);
      const draft = a.draft(room, ann);
      expect(await a.append([draft])).toMatchObject([{ memberVersion: 1 }]);
      await b.joinRoom(room, bob);
      expect(await a.append([a.draft(room, bob), draft])).toMatchObject([
        { memberVersion: 2, duplicate: false },
        { memberVersion: 2, duplicate: true },
      ]);
    });

    test('any text comes back as it was, except U+0000 and lone surrogates', async () => {
      const { a } = nodes();
      const user = await a.user();
      const room = await a.room(user);
      await fc.assert(
        fc.asyncProperty(
          fc.array(fc.tuple(fc.string({ unit: 'binary', minLength: 1 }), fc.string({ unit: 'grapheme' })), {
            minLength: 1,
            maxLength: 20,
          }),
          async (pairs) => {
            const drafts = pairs.map(([text, suffix]) =>
              a.draft(room, user, { text, clientMsgId: `${a.messageId()}${suffix}` }),
            );
            await a.append(drafts);
            const page = await a.history(user, room, 0, drafts.length);
            const clean = (text: string) => text.toWellFormed().replaceAll('\0', '\uFFFD');
            expect(page?.messages.map(({ text }) => text)).toEqual(drafts.map(({ text }) => clean(text)));
            expect(page?.messages.map(({ clientMsgId }) => clientMsgId)).toEqual(
              drafts.map(({ clientMsgId }) => clean(clientMsgId)),
            );
          },
        ),
        { numRuns: 25 },
      );
      const nasty = ['NULL', '{', '}', ',', '"', '\\', "'", '\uD800', 'a\0b', ' ', '\n', 'x'.repeat(16_384)];
      await a.append(nasty.map((text) => a.draft(room, user, { text, clientMsgId: text })));
      const page = await a.history(user, room, 0, nasty.length);
      expect(page?.messages.map(({ text }) => text)).toEqual(
        nasty.map((text) => text.replace('\uD800', '\uFFFD').replace('\0', '\uFFFD')),
      );
    });

    test('random batches with duplicates and non-members do what a simple model does', async () => {
      const { a, b } = nodes();
      await fc.assert(
        fc.asyncProperty(
          fc.array(
            fc.array(fc.record({ room: fc.nat(2), user: fc.nat(2), cid: fc.nat(5) }), {
              minLength: 1,
              maxLength: 30,
            }),
            { minLength: 1, maxLength: 6 },
          ),
          async (batches) => {
            const users = [await a.user(), await a.user(), await a.user()] as const;
            // The third user is in no room, the second in one of the three.
            const rooms = [await a.room(users[0], users[1]), await a.room(users[0]), await a.room(users[0])];
            const model = new Model([
              [rooms[0], users[0]],
              [rooms[0], users[1]],
              [rooms[1], users[0]],
              [rooms[2], users[0]],
            ]);
            for (const [index, batch] of batches.entries()) {
              const world = index % 2 ? b : a;
              const drafts = batch.map(({ room, user, cid }) =>
                world.draft(rooms[room] as ConversationId, users[user] as UserId, { clientMsgId: `c${cid}` }),
              );
              const answers = await world.append(drafts);
              expect(answers).toMatchObject(drafts.map((draft) => model.append(draft)));
            }
            for (const room of rooms) {
              const page = await b.history(users[0], room, 0, 1000);
              expect(page?.messages.map(({ seq, id }) => [seq, id])).toEqual(
                model.log(room).map((draft, index) => [index + 1, draft.id]),
              );
            }
          },
        ),
        { numRuns: 25 },
      );
    });

    test('two nodes at once with overlapping ids: contiguous, unique, everyone told the same', async () => {
      const { a, b } = nodes();
      const users = await Promise.all(Array.from({ length: 4 }, () => a.user()));
      const rooms = await Promise.all(Array.from({ length: 6 }, () => a.room(...users)));
      const answered = new Map<string, { seq: number; id: MessageId }>();
      let originals = 0;
      const outsider = await a.user();
      const hammer = async (world: World, reverse: boolean) => {
        for (let round = 0; round < 15; round++) {
          // Every id of the round is sent by both nodes, in the opposite order of conversations.
          const drafts = rooms.flatMap((room) =>
            users.flatMap((user) =>
              [0, 1].map((n) => world.draft(room, user, { clientMsgId: `${round}.${n}` })),
            ),
          );
          // Beside them one account that is refused everywhere.
          drafts.splice(round, 0, ...rooms.map((room) => world.draft(room, outsider)));
          if (reverse) drafts.reverse();
          const answers = await world.append(drafts);
          for (const [index, answer] of answers.entries()) {
            const { conversation, sender, clientMsgId } = drafts[index] as Draft;
            expect(answer.ok).toBe(sender !== outsider);
            if (!answer.ok) continue;
            if (!answer.duplicate) originals++;
            const key = `${conversation} ${sender} ${clientMsgId}`;
            const before = answered.get(key);
            if (before) expect([answer.seq, answer.id]).toEqual([before.seq, before.id]);
            answered.set(key, answer);
          }
        }
      };
      await Promise.all([hammer(a, false), hammer(b, true), hammer(a, true), hammer(b, false)]);
      const perRoom = users.length * 15 * 2;
      expect(originals).toBe(rooms.length * perRoom);
      for (const room of rooms) {
        const page = await a.history(users[0] as UserId, room, 0, 10_000);
        expect(page?.messages.map(({ seq }) => seq)).toEqual(
          Array.from({ length: perRoom }, (_, i) => i + 1),
        );
        for (const { sender, clientMsgId, seq, id } of page?.messages ?? [])
          expect(answered.get(`${room} ${sender} ${clientMsgId}`)).toMatchObject({ seq, id });
      }
    });

    test('joins and appends at once: the member version never falls as the seq grows', async () => {
      const { a, b } = nodes();
      const ann = await a.user();
      const room = await a.room(ann);
      const joiners = await Promise.all(Array.from({ length: 10 }, () => a.user()));
      const versions: number[] = [];
      const send = async (world: World) => {
        for (let round = 0; round < 20; round++) {
          const [answer] = await world.append([world.draft(room, ann)]);
          if (answer?.ok) versions[answer.seq] = answer.memberVersion;
        }
      };
      const join = async () => {
        for (const joiner of joiners) {
          await b.joinRoom(room, joiner);
          // Who has joined may send at once, on any node.
          const [answer] = await a.append([a.draft(room, joiner)]);
          expect(answer).toMatchObject({ ok: true });
          if (answer?.ok) versions[answer.seq] = answer.memberVersion;
        }
      };
      await Promise.all([send(a), send(b), join()]);
      // The joins have entries, too.
      const seen = versions.slice(1).filter((version) => version !== undefined);
      expect(seen).toHaveLength(50);
      expect(seen).toEqual(seen.toSorted((x, y) => x - y));
      expect(seen.at(0)).toBeLessThan(seen.at(-1) ?? 0);
    });
  });

  describe('history', () => {
    test('pages back to the first message', async () => {
      const { a } = nodes();
      const user = await a.user();
      const room = await a.room(user);
      const drafts = Array.from({ length: 7 }, () => a.draft(room, user));
      await a.append(drafts);
      const newest = await a.history(user, room, 0, 3);
      expect(newest).toEqual({
        messages: drafts.slice(4).map((draft, index) => ({ ...draft, seq: index + 5 })),
        more: true,
        moreAfter: false,
        asOf: 7,
        anchorSeq: 0,
        floorSeq: 0,
      });
      const middle = await a.history(user, room, 5, 3);
      expect(middle).toMatchObject({ messages: [{ seq: 2 }, { seq: 3 }, { seq: 4 }], more: true });
      const oldest = await a.history(user, room, 2, 3);
      expect(oldest).toMatchObject({ messages: [{ seq: 1 }], more: false });
      expect(await a.history(user, room, 1, 3)).toMatchObject({ messages: [], more: false });
      expect(await a.history(user, room, 1e15, 7)).toMatchObject({ more: false });
      // A page moves on whatever is asked for.
      expect(await a.history(user, room, 0, 0)).toMatchObject({
        messages: [{ seq: 7 }],
        more: true,
      });
    });

    test('texts of any size: each page has at least one message and hardly exceeds PAGE_TEXT_BYTES', async () => {
      const { a } = nodes();
      await fc.assert(
        fc.asyncProperty(texts, fc.integer({ min: 1, max: 12 }), async (sizes, limit) => {
          const user = await a.user();
          const room = await a.room(user);
          await a.append(sizes.map((size) => a.draft(room, user, { text: 'ä'.repeat(size) })));
          const seqs: number[] = [];
          for (let more = true; more; ) {
            const page = await a.history(user, room, seqs[0] ?? 0, limit);
            const bytes = page?.messages.map(({ text }) => Buffer.byteLength(text)) ?? [];
            expect(bytes.length).toBeGreaterThan(0);
            expect(sum(bytes.slice(1))).toBeLessThan(PAGE_TEXT_BYTES);
            seqs.unshift(...(page?.messages.map(({ seq }) => seq) ?? []));
            more = page?.more === true;
          }
          expect(seqs).toEqual(sizes.map((_, at) => at + 1));
        }),
        { numRuns: 15 },
      );
    });

    test('undefined for non-members and for conversations that do not exist; empty for a room without messages', async () => {
      const { a } = nodes();
      const [ann, eve] = [await a.user(), await a.user()];
      const room = await a.room(ann);
      expect(await a.history(ann, room, 0, 10)).toMatchObject({ messages: [], more: false });
      await a.fill(room, ann, 1);
      expect(await a.history(eve, room, 0, 10)).toBeUndefined();
      expect(await a.history(ann, a.conversationId(), 0, 10)).toBeUndefined();
      expect(await a.history(ann, UNSTORABLE, 0, 10)).toBeUndefined();
    });

    test('ends where the member may see no more', async () => {
      const { a, scratch } = nodes();
      const [ann, bob] = [await a.user(), await a.user()];
      const room = await a.room(ann, bob);
      await a.fill(room, ann, 5);
      await scratch.execute(
        `update members set visible_after_seq = 3 where conversation = ${room} and user_id = ${bob}`,
      );
      const page = await a.history(bob, room, 0, 10);
      expect(page).toMatchObject({ messages: [{ seq: 4 }, { seq: 5 }], more: false });
      expect((await a.history(ann, room, 0, 10))?.messages).toHaveLength(5);
    });
  });

  test('the log: is read and written without the accounts', async () => {
    const { a, scratch } = nodes();
    const [ann, bob] = [await a.user(), await a.user()];
    const room = await a.room(ann, bob);
    const move = { user: bob, device: '', conversation: room, deliveredSeq: 1, readSeq: 1 };
    await scratch.execute('alter table accounts rename to accounts_elsewhere');
    try {
      await a.fill(room, ann, 2);
      await a.store.moveCursors([move]);
      expect((await a.history(bob, room, 0, 10))?.messages).toMatchObject([{ sender: ann }, { sender: ann }]);
      const page = await a.sync({ user: bob, device: '', cursors: new Map(), limit: 10 });
      expect(page.conversations).toMatchObject([{ messages: [{ seq: 2, sender: ann }] }]);
      expect(await a.conversations(bob, '')).toMatchObject([{ id: room, readSeq: 1 }]);
      expect((await a.store.membersOf(room))?.members).toMatchObject([{ user: ann }, { user: bob }]);
      expect((await a.store.memberChanges(room, 1))?.joined).toMatchObject([{ user: bob }]);
    } finally {
      await scratch.execute('alter table accounts_elsewhere rename to accounts');
    }
  });
}

/** The log as a map from conversation to drafts. */
class Model {
  readonly #members: Set<string>;
  readonly #logs = new Map<ConversationId, Draft[]>();

  constructor(members: readonly (readonly [ConversationId | undefined, UserId])[]) {
    this.#members = new Set(members.map(([room, user]) => `${room} ${user}`));
  }

  log(room: ConversationId): readonly Draft[] {
    return this.#logs.get(room) ?? [];
  }

  append(draft: Draft): object {
    const { conversation, sender, clientMsgId } = draft;
    if (!this.#members.has(`${conversation} ${sender}`)) return REFUSED;
    const log = this.#logs.get(conversation) ?? [];
    this.#logs.set(conversation, log);
    const index = log.findIndex((old) => old.sender === sender && old.clientMsgId === clientMsgId);
    const original = log[index];
    if (original) return { ok: true, seq: index + 1, id: original.id, atMs: original.atMs, duplicate: true };
    // Times never go back.
    const atMs = Math.max(draft.atMs, log.at(-1)?.atMs ?? 0);
    return { ok: true, seq: log.push({ ...draft, atMs }), id: draft.id, atMs, duplicate: false };
  }
}
