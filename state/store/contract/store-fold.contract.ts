/**
 * The part of the store's contract about folding: what pages show of messages that later entries have changed, and to whom.
 * The golden vectors (proto/vectors/fold.json) have the cases that clients fold, too.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { ConversationId, UserId } from '../../../common/mod.ts';
import { cutQuote } from '../../../proto/client.ts';
import {
  type FoldDraft,
  type FoldEntry,
  type FoldPage,
  readFoldVectors,
} from '../../../proto/testing/fold-vectors.ts';
import { accessCheck } from '../../policy.ts';
import type { Draft, DraftEntry, Message, Quote } from '../store.ts';
import type { Nodes, World } from './scratch.contract.ts';

const PEOPLE = ['owner', 'alice', 'bob', 'mona', 'reader'] as const;

/** The people of the vectors. Mona is a moderator; the reader takes no part. */
class Cast {
  readonly #ids: ReadonlyMap<string, UserId>;
  readonly #names: ReadonlyMap<UserId, string>;

  constructor(ids: readonly UserId[]) {
    this.#ids = new Map(PEOPLE.map((name, index) => [name, ids[index] as UserId]));
    this.#names = new Map(Array.from(this.#ids, ([name, id]) => [id, name]));
  }

  static async make(world: World): Promise<Cast> {
    return new Cast(await Promise.all(PEOPLE.map(() => world.user())));
  }

  id(name: string): UserId {
    return this.#ids.get(name) as UserId;
  }

  async room(world: World): Promise<ConversationId> {
    const room = await world.room(...PEOPLE.map((name) => this.id(name)));
    await world.execute(
      `update members set role = 1 where conversation = ${room} and user_id = ${this.id('mona')}`,
    );
    return room;
  }

  draft(
    world: World,
    room: ConversationId,
    { by, text, kind, target, reply_to, range, reason }: FoldDraft,
  ): Draft {
    const entry: DraftEntry = {
      kind: kind ?? 'message',
      target: target ?? reply_to ?? 0,
      thread: 0,
      targetClientMsgId: '',
      range: range && { sender: this.id(range.sender), fromSeq: range.from_seq, toSeq: range.to_seq },
      reason: reason ?? '',
    };
    const isPlain = entry.kind === 'message' && entry.target === 0;
    return world.draft(room, this.id(by), { text: text ?? '', entry: isPlain ? undefined : entry });
  }

  /** Returns an entry as the vectors write it. */
  written({ seq, sender, text, extra }: Message): FoldEntry {
    const {
      kind = 'message',
      version = seq,
      target = 0,
      quote,
      retraction,
      range,
      reason,
      bare,
    } = extra ?? {};
    const isMessage = kind === 'message';
    return given({
      seq,
      kind: isMessage ? undefined : kind,
      by: this.#names.get(sender),
      text,
      version: isMessage || (kind === 'edit' && bare !== true) ? unless(seq, version) : 0,
      target: isMessage ? 0 : target,
      quote: quote && this.#writtenQuote(quote),
      retraction: retraction && given({ ...retraction, by: this.#names.get(retraction.by), atMs: 0 }),
      range: range && { sender: this.#names.get(range.sender), from_seq: range.fromSeq, to_seq: range.toSeq },
      reason,
      bare,
    }) as FoldEntry;
  }

  #writtenQuote({ seq, state, sender, text, version }: Quote): object {
    return given({
      seq,
      by: this.#names.get(sender),
      ...cutQuote(text),
      retracted: state === 'retracted',
      expired: state === 'expired',
      version: unless(seq, version),
    });
  }
}

/** Who reads. */
type Bounds = Pick<FoldPage, 'visible_after' | 'left_at' | 'floor'>;

/** Gives the reader of a room these bounds; a floor is for everybody. */
async function bound(world: World, cast: Cast, room: ConversationId, bounds: Bounds): Promise<void> {
  const [of, { visible_after = 0, left_at, floor = 0 }] = [cast.id('reader'), bounds];
  await world.execute(`
    delete from members where conversation = ${room} and user_id = ${of};
    delete from former_members where conversation = ${room} and user_id = ${of};
    ${
      left_at === undefined
        ? `insert into members (conversation, user_id, joined_seq, visible_after_seq)
           values (${room}, ${of}, 0, ${visible_after})`
        : `insert into former_members (conversation, user_id, visible_after_seq, left_seq, reason)
           values (${room}, ${of}, ${visible_after}, ${left_at}, 'left')`
    }`);
  if (floor > 0) await world.store.raiseFloor(room, floor);
}

async function eraseAll(world: World): Promise<void> {
  while (await world.store.erase(5, 0));
}

function unless<T>(usual: T, value: T): T | undefined {
  return value === usual ? undefined : value;
}

/** Leaves out what is zero, empty or missing. */
function given(fields: object): object {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => Boolean(value)));
}

/** An entry of a random log that was accepted. */
type Logged = FoldDraft & { readonly seq: number };

/** What a reader sees of a log, written down as plainly as possible. */
function model(
  log: readonly Logged[],
  { visible_after = 0, left_at = log.length, floor = 0 }: Bounds,
): FoldEntry[] {
  const after = Math.max(visible_after, floor);
  const find = (seq: number) => log[seq - 1] as Logged;
  const retractionOf = (seq: number) =>
    log.findLast(({ kind, target, range, seq: entry }) => {
      if (kind !== 'retract' || find(seq).kind !== undefined || seq >= entry) return false;
      if (range === undefined) return target === seq;
      return range.sender === find(seq).by && seq >= range.from_seq && seq <= range.to_seq;
    });
  const textOf = (seq: number) =>
    log.findLast((entry) => entry.kind === 'edit' && entry.target === seq && entry.seq <= left_at) ??
    find(seq);
  const quoteOf = (seq: number) => {
    const [{ by, text = '' }, retraction] = [{ ...textOf(seq), by: find(seq).by }, retractionOf(seq)];
    if (seq <= floor) return { seq, expired: true };
    if (retraction) return { seq, by, retracted: true, version: retraction.seq };
    return given({ seq, by, ...cutQuote(text), version: unless(seq, textOf(seq).seq) });
  };
  const seen = ({ seq, by, kind, target = 0, reply_to = 0, range, reason }: Logged): object => {
    if (kind === undefined) {
      const retraction = retractionOf(seq);
      if (retraction !== undefined) {
        const { seq: version, by: moderator, reason: why } = retraction;
        return { seq, by, version, retraction: given({ seq: version, by: moderator, reason: why }) };
      }
      const newest = textOf(seq);
      const message = { seq, by, text: newest.text, version: unless(seq, newest.seq) };
      if (reply_to === 0) return message;
      return reply_to <= visible_after
        ? { ...message, bare: true }
        : { ...message, quote: quoteOf(reply_to) };
    }
    const about = range === undefined ? target : Math.min(range.to_seq, seq - 1);
    if (about <= after) return { seq, kind, by, bare: true };
    const entry = { seq, kind, by, target, reason };
    if (range !== undefined) return { ...entry, range };
    if (kind !== 'edit') return entry;
    const retraction = retractionOf(target);
    if (retraction !== undefined) return { ...entry, version: unless(seq, retraction.seq) };
    return { ...entry, text: textOf(target).text, version: unless(seq, textOf(target).seq) };
  };
  return log
    .filter(({ seq }) => seq > after && seq <= left_at)
    .map((entry) => given(seen(entry)) as FoldEntry);
}

/** The first messages of random logs; what follows is mostly about them. */
const FIRST: readonly FoldDraft[] = ['alice', 'bob', 'alice', 'mona'].map((by, index) => ({
  by,
  text: `f${index}`,
}));

/** Entries of which most are allowed: edits are by the author. */
const drafts = fc.array(
  fc.record({
    by: fc.constantFrom('alice', 'bob', 'mona'),
    kind: fc.constantFrom('message', 'reply', 'edit', 'edit', 'edit', 'retract', 'range', 'pin', 'unpin'),
    target: fc.integer({ min: 1, max: FIRST.length + 2 }),
  }),
  { minLength: 4, maxLength: 20, size: 'max' },
);

export function describeFold(nodes: () => Nodes): void {
  describe('fold', () => {
    test.each(readFoldVectors().map((vector) => [vector.name, vector] as const))(
      'golden vectors: %s',
      async (_, { log, pages }) => {
        const { a, b } = nodes();
        const cast = await Cast.make(a);
        for (const { as_of, entries, pins, pins_version = 0, ...bounds } of pages) {
          const room = await cast.room(a);
          const answers = await a.append(log.slice(0, as_of).map((draft) => cast.draft(a, room, draft)));
          expect(answers.every((answer) => answer.ok)).toBe(true);
          await bound(a, cast, room, bounds);
          const reader = cast.id('reader');
          const read = async () =>
            (await b.page(reader, room))?.messages.map((message) => cast.written(message));
          const expected = entries.map((entry) =>
            given({ ...entry, version: unless(entry.seq, entry.version) }),
          );
          expect(await read()).toEqual(expected);
          await eraseAll(b);
          expect(await read()).toEqual(expected);
          if (pins === undefined) continue;
          const list = await b.store.pinsOf(room, accessCheck('listPins', reader));
          expect(list).toMatchObject({
            pinsVersion: pins_version,
            pins: pins.map((seq) => ({ message: { seq } })),
          });
        }
      },
    );

    test('random logs: members, those who joined later, those who have left, and with a floor', async () => {
      const { a, b } = nodes();
      const cast = await Cast.make(a);
      const reader = cast.id('reader');
      const places = fc.record({
        visible: fc.nat(8),
        left: fc.integer({ min: 1, max: 24 }),
        floor: fc.nat(6),
      });
      await fc.assert(
        fc.asyncProperty(drafts, places, async (raw, { visible, left, floor }) => {
          const room = await cast.room(a);
          const sent = FIRST.concat(
            raw.map(({ by, kind, target }, index): FoldDraft => {
              if (kind === 'message') return { by, text: `t${index}` };
              if (kind === 'reply') return { by, text: `t${index}`, reply_to: target };
              if (kind === 'edit')
                return { by: FIRST[target - 1]?.by ?? by, kind, target, text: `e${index}` };
              if (kind === 'range')
                return {
                  by,
                  kind: 'retract',
                  range: { sender: 'alice', from_seq: target, to_seq: target + 5 },
                };
              return kind === 'retract' ? { by, kind, target, reason: `r${index}` } : { by, kind, target };
            }),
          );
          const answers = await a.append(sent.map((draft) => cast.draft(a, room, draft)));
          const log: Logged[] = [];
          for (const [index, answer] of answers.entries())
            if (answer.ok) log.push({ ...(sent[index] as FoldDraft), seq: answer.seq });
          const end = log.length;
          for (const bounds of [
            {},
            { visible_after: Math.min(visible, end) },
            { left_at: Math.min(left, end) },
            { visible_after: Math.min(visible, end), left_at: Math.min(left, end) },
            { floor: Math.min(floor, end), visible_after: 1 },
          ]) {
            await bound(a, cast, room, bounds);
            const page = await b.page(reader, room);
            expect(page?.messages.map((message) => cast.written(message))).toEqual(model(log, bounds));
          }
        }),
        { numRuns: 25 },
      );
    });

    test('entriesAt: entries as they were appended, for who may read all; what was erased is empty', async () => {
      const { a, b } = nodes();
      const [ann, bob] = [await a.user(), await a.user()];
      const room = await a.room(ann, bob);
      await a.append([
        a.draft(room, ann, { text: 'one' }),
        a.draft(room, ann, { text: 'two' }),
        a.entry(room, ann, { kind: 'edit', target: 1, text: 'uno' }),
        a.entry(room, ann, { kind: 'edit', target: 1, text: 'eins' }),
        a.entry(room, ann, { kind: 'edit', target: 2, text: 'due' }),
        a.entry(room, bob, { target: 1, text: 'reply' }),
        a.entry(room, ann, { kind: 'retract', target: 2, reason: 'why' }),
      ]);
      const entries = await b.store.entriesAt(room, [7, 1, 2, 3, 4, 5, 6, 99]);
      expect(entries.map(({ seq, text, extra }) => [seq, text, extra?.version])).toEqual([
        [1, 'one', undefined],
        [2, '', 7],
        [3, 'uno', 3],
        [4, 'eins', 4],
        [5, '', 7],
        [6, 'reply', 6],
        [7, '', 7],
      ]);
      expect(entries[1]?.extra?.retraction).toMatchObject({ seq: 7, reason: 'why' });
      // A quote is of now.
      expect(entries[5]?.extra?.quote).toMatchObject({ seq: 1, text: 'eins', version: 4 });
      expect(await b.store.entriesAt(room, [])).toEqual([]);
      expect(await b.store.entriesAt(b.conversationId(), [1])).toEqual([]);
      await a.store.raiseFloor(room, 1);
      const kept = await b.store.entriesAt(room, [1, 3, 6]);
      expect(kept.map(({ seq, text }) => [seq, text])).toEqual([
        [3, ''],
        [6, 'reply'],
      ]);
      expect(kept[1]?.extra?.quote).toMatchObject({ seq: 1, state: 'expired', text: '' });
    });

    test('a conversation of plain texts reads the same before and after its first other entry', async () => {
      const { a } = nodes();
      const ann = await a.user();
      const room = await a.room(ann);
      await a.fill(room, ann, 3);
      const before = await a.page(ann, room);
      await a.append([a.entry(room, ann, { kind: 'pin', target: 1 })]);
      expect((await a.page(ann, room))?.messages.slice(0, 3)).toEqual(before?.messages);
    });
  });
}
