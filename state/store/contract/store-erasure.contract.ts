/** The part of the store's contract about what a retraction leaves: a tombstone, evidence, and no text anywhere else. */
import { describe, expect, test } from 'vitest';
import type { ConversationId, UserId } from '../../../common/mod.ts';
import { MAX_RANGES } from '../store.ts';
import { type Nodes, RULES } from './scratch.contract.ts';

const CANARY = 'canary-7f3a';

export function describeErasure(nodes: () => Nodes): void {
  /** Returns the rows of a conversation in each table; of a table without conversations, all. */
  async function rowsOf(room: ConversationId): Promise<ReadonlyMap<string, readonly object[]>> {
    const { scratch } = nodes();
    const tables = await scratch.query(
      scratch.url.startsWith('sqlite:')
        ? "select name from sqlite_schema where type = 'table'"
        : "select tablename as name from pg_tables where schemaname = 'public'",
    );
    const found = new Map<string, readonly object[]>();
    for (const { name } of tables) {
      const [first] = await scratch.query(`select * from ${String(name)} limit 1`);
      const where = first !== undefined && 'conversation' in first ? `where conversation = ${room}` : '';
      found.set(String(name), await scratch.query(`select * from ${String(name)} ${where}`));
    }
    return found;
  }

  /** Returns the tables that have a text of a conversation. */
  async function tablesWith(text: string, room: ConversationId): Promise<string[]> {
    const isIn = (row: object) =>
      Object.values(row).some((value) => typeof value === 'string' && value.includes(text));
    return Array.from(await rowsOf(room))
      .flatMap(([table, rows]) => (rows.some(isIn) ? [table] : []))
      .toSorted();
  }

  /** Makes a room in which bob has said something, edited it twice and been quoted; with a text of its own. */
  async function makeRoom(): Promise<{ room: ConversationId; ann: UserId; bob: UserId; text: string }> {
    const { a } = nodes();
    const [ann, bob] = [await a.user(), await a.user()];
    const room = await a.room(ann, bob);
    const text = `${CANARY}-${room}`;
    await a.append(
      [
        a.draft(room, bob, { text: `${text} 1`, atMs: 1000 }),
        a.entry(room, bob, { kind: 'edit', target: 1, text: `${text} 2` }),
        a.entry(room, bob, { kind: 'edit', target: 1, text: `${text} 3` }),
        a.entry(room, ann, { target: 1, text: 'a reply' }),
        a.entry(room, ann, { kind: 'pin', target: 1 }),
      ].map((draft) => ({ ...draft, atMs: 1000 })),
    );
    return { room, ann, bob, text };
  }

  async function eraseAll(nowMs = 0): Promise<void> {
    while (await nodes().b.store.erase(3, nowMs));
  }

  describe('erasure', () => {
    test("an author's own retraction: the text is nowhere as soon as it is answered", async () => {
      const { a, b } = nodes();
      const { room, ann, bob, text } = await makeRoom();
      expect(await tablesWith(text, room)).toEqual(['messages', 'revisions']);
      await a.append([a.entry(room, bob, { kind: 'retract', target: 1, reason: 'why' })]);
      expect(await tablesWith(text, room)).toEqual([]);
      expect(await b.store.evidenceOf(room, 0)).toEqual([]);
      const page = await b.page(ann, room);
      const retraction = { seq: 6, by: bob, reason: 'why' };
      expect(page?.messages[0]).toMatchObject({
        seq: 1,
        sender: bob,
        text: '',
        extra: { version: 6, retraction },
      });
      expect(page?.messages[3]).toMatchObject({
        text: 'a reply',
        extra: { quote: { state: 'retracted', text: '' } },
      });
      expect(await b.store.conversationOf(room, ann, '')).toMatchObject({ pinsVersion: 6 });
    });

    test("a moderator's: all its texts are kept as evidence until it expires", async () => {
      const { a, b } = nodes();
      const { room, ann, bob, text } = await makeRoom();
      const retract = { ...a.entry(room, ann, { kind: 'retract', target: 1, reason: 'spam' }), atMs: 2000 };
      await a.append([retract]);
      expect(await tablesWith(text, room)).toEqual(['evidence']);
      const expiresAtMs = 2000 + RULES.evidenceMs;
      const evidence = [
        {
          conversation: room,
          seq: 1,
          sender: bob,
          atMs: 1000,
          texts: [`${text} 1`, `${text} 2`, `${text} 3`],
          retraction: { seq: 6, by: ann, atMs: 2000, reason: 'spam' },
          expiresAtMs,
        },
      ];
      expect(await b.store.evidenceOf(room, expiresAtMs - 1)).toEqual(evidence);
      expect(await b.store.evidenceOf(room, expiresAtMs)).toEqual([]);
      await eraseAll(expiresAtMs - 1);
      expect(await b.store.evidenceOf(room, 0)).toEqual(evidence);
      await eraseAll(expiresAtMs);
      expect(await tablesWith(text, room)).toEqual([]);
    });

    test('a range: is hidden at once, and nowhere once it is erased', async () => {
      const { a, b } = nodes();
      const { room, ann, bob, text } = await makeRoom();
      await a.append([
        ...Array.from({ length: 6 }, () => a.draft(room, bob, { text })),
        a.draft(room, ann, { text: 'kept' }),
        a.entry(room, ann, {
          kind: 'retract',
          range: { sender: bob, fromSeq: 1, toSeq: 10 },
          reason: 'spam',
        }),
        a.draft(room, bob, { text: 'after' }),
      ]);
      const read = async () => {
        const page = await b.page(ann, room);
        return page?.messages.map(({ seq, extra, text: shown }) => [seq, extra?.retraction?.seq, shown]);
      };
      const hidden = await read();
      expect(
        JSON.stringify([hidden, (await b.sync({ user: ann })).conversations[0]?.messages.map((m) => m.text)]),
      ).toMatch(/kept/);
      expect(hidden?.filter(([, seq]) => seq === 13).map(([seq]) => seq)).toEqual([1, 6, 7, 8, 9, 10]);
      expect(hidden?.filter(([seq]) => seq === 11 || seq === 12 || seq === 14)).toEqual([
        [11, undefined, text],
        [12, undefined, 'kept'],
        [14, undefined, 'after'],
      ]);
      const shown = [await b.store.entriesAt(room, [1, 2, 3, 6]), await b.conversations(ann)];
      expect(shown.flat().some((item) => 'text' in item && item.text.includes(text))).toBe(false);
      expect(await b.append([b.entry(room, bob, { kind: 'edit', target: 6 })])).toEqual([
        { ok: false, code: 'TARGET_RETRACTED' },
      ]);
      await a.append([a.entry(room, bob, { kind: 'retract', target: 11 })]);
      while (await b.store.erase(3, 0)) expect((await read())?.slice(0, 10)).toEqual(hidden?.slice(0, 10));
      expect((await read())?.slice(0, 10)).toEqual(hidden?.slice(0, 10));
      expect(await tablesWith(text, room)).toEqual(['evidence']);
      const evidence = await b.store.evidenceOf(room, 0);
      expect(evidence.map(({ seq, texts }) => [seq, texts.length])).toEqual([
        [1, 3],
        [6, 1],
        [7, 1],
        [8, 1],
        [9, 1],
        [10, 1],
      ]);
      expect(evidence[1]).toMatchObject({ sender: bob, retraction: { seq: 13, by: ann, reason: 'spam' } });
    });

    test('a range: does not wait for a deleted room to be erased', async () => {
      const { a, b } = nodes();
      const deleted = await makeRoom();
      await a.append([a.draft(deleted.room, deleted.bob, { text: deleted.text })]);
      const { room, bob, text } = await makeRoom();
      await eraseAll();
      await a.deleteRoom(deleted.room, deleted.ann);
      await a.append([a.entry(room, bob, { kind: 'retract', range: { sender: bob, fromSeq: 1, toSeq: 3 } })]);
      await b.store.erase(3, 0);
      expect(await tablesWith(text, room)).toEqual([]);
      expect(await tablesWith(deleted.text, deleted.room)).toEqual(['messages']);
    });

    test('a deleted room, a floor: do not wait until there are no ranges', async () => {
      const { a, b } = nodes();
      const [deleted, sunk, { room, bob }] = [await makeRoom(), await makeRoom(), await makeRoom()];
      await eraseAll();
      await a.deleteRoom(deleted.room, deleted.ann);
      await a.store.raiseFloor(sunk.room, 3);
      for (const { text, room: of } of [deleted, sunk])
        for (let calls = 0; (await tablesWith(text, of)).length > 0; calls++) {
          expect(calls, 'calls until the text is gone').toBeLessThan(20);
          await a.append([
            a.entry(room, bob, { kind: 'retract', range: { sender: bob, fromSeq: 1, toSeq: 99 } }),
          ]);
          await b.store.erase(3, 0);
        }
    });

    test('a range: does not wait for the many of another conversation', async () => {
      const { a, b } = nodes();
      const [many, one] = [await makeRoom(), await makeRoom()];
      await eraseAll();
      const retract = ({ room, bob }: typeof one) =>
        a.entry(room, bob, { kind: 'retract', range: { sender: bob, fromSeq: 1, toSeq: 99 } });
      await a.append(Array.from({ length: MAX_RANGES }, () => retract(many)));
      await a.append([retract(one)]);
      while ((await tablesWith(one.text, one.room)).length > 0) await b.store.erase(3, 0);
      // Two calls erase the one, 72 all of the others: that these come first happens once in 2^64 times.
      expect((await rowsOf(many.room)).get('erasures')?.length).toBeGreaterThan(0);
    });

    test("a range of one's own leaves no evidence; the last of two retractions is shown", async () => {
      const { a, b } = nodes();
      const { room, ann, bob, text } = await makeRoom();
      await a.append([
        a.entry(room, bob, { kind: 'retract', range: { sender: bob, fromSeq: 1, toSeq: 99 } }),
      ]);
      const retracted = async () => (await b.page(ann, room))?.messages[0]?.extra?.retraction?.seq;
      expect(await retracted()).toBe(6);
      await a.append([
        a.entry(room, ann, { kind: 'retract', range: { sender: bob, fromSeq: 1, toSeq: 99 } }),
      ]);
      expect(await retracted()).toBe(7);
      await eraseAll();
      expect(await retracted()).toBe(7);
      expect(await tablesWith(text, room)).toEqual([]);
    });

    test('a floor that rises over a range does not take its evidence; a deleted room keeps it, too', async () => {
      const { a, b } = nodes();
      const { room, ann, bob, text } = await makeRoom();
      await a.append([
        a.draft(room, bob, { text }),
        a.entry(room, ann, {
          kind: 'retract',
          range: { sender: bob, fromSeq: 1, toSeq: 99 },
          reason: 'spam',
        }),
      ]);
      await a.store.raiseFloor(room, 99);
      await eraseAll();
      const evidence = await b.store.evidenceOf(room, 0);
      expect(evidence).toMatchObject([{ seq: 1 }, { seq: 6, retraction: { reason: 'spam' } }]);
      await a.deleteRoom(room, ann);
      await eraseAll();
      expect(await b.store.evidenceOf(room, 0)).toEqual(evidence);
      expect(await tablesWith(text, room)).toEqual(['evidence']);
      const other = await makeRoom();
      const range = { sender: other.bob, fromSeq: 1, toSeq: 99 };
      await a.append([a.entry(other.room, other.ann, { kind: 'retract', range })]);
      await a.deleteRoom(other.room, other.ann);
      await eraseAll();
      expect(await b.store.evidenceOf(other.room, 0)).toMatchObject([{ seq: 1 }]);
      expect(await tablesWith(other.text, other.room)).toEqual(['evidence']);
    });

    test('a deleted room: nothing of it is left in any table', async () => {
      const { a } = nodes();
      const { room, ann, bob, text } = await makeRoom();
      await a.append([
        a.draft(room, bob, { text }),
        a.entry(room, bob, { kind: 'retract', target: 6 }),
        a.entry(room, ann, { kind: 'retract', range: { sender: ann, fromSeq: 4, toSeq: 4 } }),
      ]);
      await a.store.raiseFloor(room, 1);
      await a.deleteRoom(room, ann);
      await eraseAll();
      expect(await tablesWith(text, room)).toEqual([]);
      const left = Array.from(await rowsOf(room)).filter(([, rows]) =>
        rows.some((row) => 'conversation' in row),
      );
      expect(left).toEqual([]);
    });
  });
}
