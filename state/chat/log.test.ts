/** Pages of the log: synchronisation, history, pins. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { ConversationId, UserId } from '../../common/mod.ts';
import { client, encodeFrame, frameToJson, FrameType } from '../../proto/mod.ts';
import { append, draft } from '../testing/drafts.ts';
import { testNode } from '../testing/test-node.ts';
import { DEFAULT_ENTRY_RULES } from '../policy.ts';

const ANN = { user: 1n as UserId, userName: 'ann', device: 'phone' };
const [BOB, CID] = [2n as UserId, 3n as UserId];
/** Most bytes of a client's frame, in the binary form and in JSON. */
const MAX_FRAME_BYTES = 256 * 1024;
const MAX_JSON_BYTES = 2 * MAX_FRAME_BYTES;
const ROOM = 7n as ConversationId;

const lengths = fc.array(fc.oneof(fc.nat(200), fc.integer({ min: 30_000, max: 229_300 })), { maxLength: 6 });

function sync(fields: Partial<client.Sync> = {}): client.Sync {
  return client.Sync.fromPartial({ limit: 200, ...fields });
}

function history(point?: client.HistoryPoint['point'], limit = 50): client.GetHistory {
  return { limit, at: point && { point } };
}

/** Size of an answer in JSON, bytes. */
function jsonBytes(result: NonNullable<client.Response['result']>): number {
  const payload = client.Response.encode({ result }).finish();
  return Buffer.byteLength(frameToJson(encodeFrame(FrameType.RESPONSE, 1, ROOM, payload)));
}

describe('sync', () => {
  test('texts of any length come without a hole, in pages that move on and fit a frame', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(lengths, { maxLength: 4 }),
        fc.constantFrom('x', '"', '\u0007'),
        async (rooms, character) => {
          const { node, store } = await testNode();
          for (const [at, texts] of rooms.entries()) {
            const id = await store.addRoom(BigInt(at + 1), `r${at}`, [ANN.user]);
            const drafts = texts.map((length) =>
              draft(id, { sender: ANN.user, text: character.repeat(Math.ceil(length / 2)) }),
            );
            await store.append(drafts, DEFAULT_ENTRY_RULES);
          }
          const seqs = new Map<bigint, bigint[]>();
          for (let more = true; more; ) {
            const cursors = [...seqs].map(([conversation, seen]) => ({
              conversation,
              seq: seen.at(-1) ?? 0n,
            }));
            const page = await node.log.sync(ANN, sync({ cursors }));
            expect(client.SyncPage.encode(page).finish().length).toBeLessThan(MAX_FRAME_BYTES);
            const count = page.conversations.reduce((sum, { messages }) => sum + messages.length, 0);
            // The first message comes in any case.
            if (count > 1) expect(jsonBytes({ $case: 'sync', sync: page })).toBeLessThan(MAX_JSON_BYTES);
            if (page.more) expect(count).toBeGreaterThan(0);
            for (const { conversation, messages } of page.conversations) {
              const id = conversation?.id ?? 0n;
              seqs.set(id, [...(seqs.get(id) ?? []), ...messages.map(({ seq }) => seq)]);
            }
            more = page.more;
          }
          for (const [at, texts] of rooms.entries())
            expect(seqs.get(BigInt(at + 1)) ?? []).toEqual(texts.map((_, n) => BigInt(n + 1)));
        },
      ),
      // With what goes with it, this text alone is more than a page.
      { numRuns: 30, examples: [[[[458_600, 10]], 'x']] },
    );
  });

  test('what is gone and does not fit beside the messages comes after them', async () => {
    const { node, store } = await testNode();
    const room = await store.addRoom(7n, 'room', [ANN.user]);
    for (let n = 0; n < 2; n++) await append(store, room, { sender: ANN.user, text: 'x'.repeat(105_000) });
    const foreign = Array.from({ length: 999 }, (_, n) => ({ conversation: BigInt(n + 100), seq: 1n }));
    const at = (seq: bigint) =>
      node.log.sync(ANN, sync({ cursors: [{ conversation: room, seq }, ...foreign] }));
    const first = await at(0n);
    expect([first.conversations[0]?.messages.length, first.more, first.gone]).toEqual([2, true, []]);
    const last = await at(2n);
    expect([last.conversations, last.more, last.gone.length]).toEqual([[], false, 999]);
  });

  test('newest: a long absence begins with the newest entries, and says what it skips', async () => {
    const { node, store } = await testNode();
    const room = await store.addRoom(7n, 'room', [ANN.user]);
    for (let n = 1; n <= 10; n++) await append(store, room, { sender: ANN.user, text: `m${n}` });
    const cursors = [{ conversation: room, seq: 2n }];
    const page = await node.log.sync(ANN, sync({ cursors, newest: 3 }));
    expect(page.conversations[0]).toMatchObject({ afterSeq: 7n, asOf: 10n });
    expect(page.conversations[0]?.messages.map(({ text }) => text)).toEqual(['m8', 'm9', 'm10']);
    const near = await node.log.sync(ANN, sync({ cursors: [{ conversation: room, seq: 8n }], newest: 3 }));
    expect(near.conversations[0]).toMatchObject({ afterSeq: 8n, asOf: 10n });
  });

  test('by ranges of ids: only the conversations of the range', async () => {
    const { node, store } = await testNode();
    for (let n = 1; n <= 4; n++) {
      const room = await store.addRoom(BigInt(n), `r${n}`, [ANN.user]);
      await append(store, room, { sender: ANN.user, text: 'x' });
    }
    const ids = async (fields: Partial<client.Sync>) =>
      (await node.log.sync(ANN, sync(fields))).conversations
        .map(({ conversation }) => conversation?.id ?? 0n)
        .toSorted((a, b) => Number(a - b));
    expect(await ids({ after: 0n, until: 2n })).toEqual([1n, 2n]);
    expect(await ids({ after: 2n, until: 0n })).toEqual([3n, 4n]);
    expect(await ids({ after: 4n })).toEqual([]);
  });

  test('too many cursors, and what no seq or conversation can be: ARGUMENT_INVALID', async () => {
    const { node } = await testNode();
    const invalid = expect.objectContaining({ code: 'ARGUMENT_INVALID' });
    const some = (count: number) =>
      Array.from({ length: count }, (_, n) => ({ conversation: BigInt(n + 1), seq: 1n }));
    for (const fields of [
      { cursors: some(1001) },
      { cursors: some(600), pushed: some(401) },
      { limit: 1001 },
      { cursors: [{ conversation: 0n, seq: 1n }] },
      { cursors: [{ conversation: 1n << 63n, seq: 1n }] },
      { cursors: [{ conversation: 1n, seq: 1n << 53n }] },
      { pushed: [{ conversation: 1n, seq: 1n << 53n }] },
    ])
      await expect(node.log.sync(ANN, sync(fields))).rejects.toEqual(invalid);
  });
});

describe('get_history', () => {
  async function room(texts: readonly string[]) {
    const made = await testNode();
    await made.store.addRoom(ROOM, 'room', [1n, 2n]);
    for (const text of texts) await append(made.store, ROOM, { sender: BOB, text });
    const read = async (point?: client.HistoryPoint['point'], limit?: number) => {
      const page = await made.node.log.history(ANN, ROOM, history(point, limit));
      return { ...page, seqs: page.messages.map(({ seq }) => Number(seq)) };
    };
    return { ...made, read };
  }

  test('before, after, around, the first unread, a date, or the newest', async () => {
    const { store, read } = await room(Array.from({ length: 9 }, (_, n) => `m${n + 1}`));
    expect(await read(undefined, 3)).toMatchObject({
      seqs: [7, 8, 9],
      more: true,
      moreAfter: false,
      asOf: 9n,
    });
    expect(await read({ $case: 'beforeSeq', beforeSeq: 0n }, 3)).toMatchObject({ seqs: [7, 8, 9] });
    const before = await read({ $case: 'beforeSeq', beforeSeq: 3n }, 3);
    expect(before).toMatchObject({ seqs: [1, 2], more: false, moreAfter: true });
    const after = await read({ $case: 'afterSeq', afterSeq: 3n }, 3);
    expect(after).toMatchObject({ seqs: [4, 5, 6], more: true, moreAfter: true });
    const around = await read({ $case: 'aroundSeq', aroundSeq: 5n }, 3);
    expect(around).toMatchObject({ anchorSeq: 5n, more: true, moreAfter: true });
    expect(around.seqs).toContain(5);
    await store.moveCursors([
      { user: ANN.user, device: '', conversation: ROOM, deliveredSeq: 0, readSeq: 6 },
    ]);
    expect(await read({ $case: 'firstUnread', firstUnread: true }, 3)).toMatchObject({ anchorSeq: 7n });
    expect(await read({ $case: 'dateMs', dateMs: 1n }, 3)).toMatchObject({ anchorSeq: 0n, seqs: [7, 8, 9] });
  });

  test('a page that would not fit a frame: ends at the sides away from the point, and is marked', async () => {
    const big = '\u0007'.repeat(16_384);
    const { node, read } = await room(Array.from({ length: 9 }, () => big));
    const before = await read({ $case: 'beforeSeq', beforeSeq: 9n });
    expect(before).toMatchObject({ seqs: [7, 8], more: true, moreAfter: true });
    expect(await read({ $case: 'afterSeq', afterSeq: 1n })).toMatchObject({ seqs: [2, 3], moreAfter: true });
    const around = await read({ $case: 'aroundSeq', aroundSeq: 5n });
    expect(around).toMatchObject({ more: true, moreAfter: true, anchorSeq: 5n });
    expect(around.seqs).toContain(5);
    const page = await node.log.history(ANN, ROOM, history());
    expect(jsonBytes({ $case: 'history', history: page })).toBeLessThan(MAX_JSON_BYTES);
  });

  test('what no seq or date can be: ARGUMENT_INVALID', async () => {
    const { read } = await room([]);
    const invalid = expect.objectContaining({ code: 'ARGUMENT_INVALID' });
    const wide = 1n << 53n;
    for (const point of [
      { $case: 'beforeSeq', beforeSeq: wide },
      { $case: 'afterSeq', afterSeq: wide },
      { $case: 'aroundSeq', aroundSeq: wide },
      { $case: 'dateMs', dateMs: wide },
      { $case: 'firstUnread', firstUnread: false },
    ] as const)
      await expect(read(point)).rejects.toEqual(invalid);
    await expect(read(undefined, 201)).rejects.toEqual(invalid);
  });

  test('entries: with what they say, names included', async () => {
    const { node, store } = await testNode();
    await store.addRoom(ROOM, 'room', [1n, 2n, 3n]);
    await store.setDisplayName(BOB, 'Bob');
    await append(store, ROOM, { sender: BOB, text: 'tpyo' });
    await append(store, ROOM, { sender: BOB, text: 'typo', entry: { kind: 'edit', target: 1 } });
    await append(store, ROOM, { sender: CID, text: 'yes', entry: { target: 1 } });
    await append(store, ROOM, { sender: ANN.user, entry: { kind: 'pin', target: 1 } });
    await store.leave(ROOM, CID);
    const { messages } = await node.log.history(ANN, ROOM, history());
    expect(messages).toMatchObject([
      { seq: 1n, kind: 0, from: 'Bob', text: 'typo', version: 2n },
      { seq: 2n, kind: 1, target: 1n, text: 'typo', version: 2n },
      { seq: 3n, kind: 0, from: 'user3', quote: { seq: 1n, from: 'Bob', text: 'typo', version: 2n } },
      { seq: 4n, kind: 3, target: 1n, text: '' },
      { seq: 5n, kind: 5, sender: CID, clientMsgId: '', system: { event: 2, user: CID, name: 'user3' } },
    ]);
    const retract = { sender: ANN.user, entry: { kind: 'retract', target: 1, reason: 'spam' } } as const;
    await append(store, ROOM, retract);
    const after = await node.log.history(ANN, ROOM, history());
    expect(after.messages[0]).toMatchObject({
      text: '',
      version: 6n,
      retraction: { seq: 6n, by: 1n, reason: 'spam' },
    });
    expect(after.messages[2]?.quote).toMatchObject({ retracted: true, text: '', sender: BOB });
    expect(after.messages[5]).toMatchObject({ kind: 2, target: 1n, reason: 'spam' });
  });
});

describe('list_pins', () => {
  test('the newest pin first, in pages that fit a frame', async () => {
    const { node, store } = await testNode();
    await store.addRoom(ROOM, 'room', [1n]);
    for (let n = 1; n <= 5; n++)
      await append(store, ROOM, { sender: ANN.user, text: '\u0007'.repeat(16_384) });
    for (const target of [3, 1, 5, 2, 4])
      await append(store, ROOM, { sender: ANN.user, entry: { kind: 'pin', target } });
    const pages: client.Pins[] = [];
    for (let after = ''; ; after = pages.at(-1)?.next ?? '') {
      pages.push(await node.log.pins(ANN, ROOM, { after }));
      if (pages.at(-1)?.next === '') break;
    }
    expect(pages.map(({ pins }) => pins.map(({ message }) => message?.seq))).toEqual([
      [4n, 2n],
      [5n, 1n],
      [3n],
    ]);
    expect(pages.map(({ pinsVersion }) => pinsVersion)).toEqual([10n, 10n, 10n]);
    for (const pins of pages) expect(jsonBytes({ $case: 'pins', pins })).toBeLessThan(MAX_JSON_BYTES);
  });

  test('many short ones: a page reads no more than it may show', async () => {
    const { node, store } = await testNode();
    await store.addRoom(ROOM, 'room', [1n]);
    for (let n = 1; n <= 50; n++) await append(store, ROOM, { sender: ANN.user, text: 'short' });
    for (let target = 1; target <= 50; target++)
      await append(store, ROOM, { sender: ANN.user, entry: { kind: 'pin', target } });
    const seqs: number[][] = [];
    for (let after: string | undefined = ''; after !== undefined; ) {
      const { pins, next }: client.Pins = await node.log.pins(ANN, ROOM, { after });
      seqs.push(pins.map(({ message }) => Number(message?.seq)));
      after = next || undefined;
    }
    expect(seqs.map(({ length }) => length)).toEqual([20, 20, 10]);
    expect(seqs.flat()).toEqual(Array.from({ length: 50 }, (_, n) => 50 - n));
    expect((await node.log.pins(ANN, ROOM, { after: '99' })).pins).toEqual([]);
  });

  test('of a conversation that one is not in: NOT_A_MEMBER', async () => {
    const { node, store } = await testNode();
    await store.addRoom(ROOM, 'room', [2n]);
    for (const key of [ROOM, 99n, 0n, 1n << 63n])
      await expect(node.log.pins(ANN, key, { after: '' })).rejects.toEqual(
        expect.objectContaining({ code: 'NOT_A_MEMBER' }),
      );
  });
});

test('names: of senders, peers and members, asked of the store once', async () => {
  const { node, store } = await testNode();
  const room = await store.addRoom(7n, 'room', [1n, 2n, 3n]);
  const direct = await store.openDirect(8n as ConversationId, ANN.user, BOB);
  await append(store, room, { sender: BOB, text: 'x' });
  await append(store, room, { sender: CID, text: 'x' });
  await append(store, direct.id, { sender: BOB, text: 'x' });
  store.calls.clear();
  for (let times = 0; times < 2; times++) {
    const page = await node.log.history(ANN, room, history());
    expect(page.messages.map(({ from }) => from)).toEqual(['user2', 'user3']);
    const { conversations } = await node.log.sync(ANN, sync());
    const shown = conversations.map(({ conversation, messages }) => [
      conversation?.name,
      messages.map(({ from }) => from),
    ]);
    expect(new Map(shown as [string, string[]][])).toEqual(
      new Map([
        ['room', ['user2', 'user3']],
        ['user2', ['user2']],
      ]),
    );
    const listed = await node.rooms.conversations(ANN, { after: '', limit: 0 });
    expect(listed.conversations.map(({ name }) => name).toSorted()).toEqual(['room', 'user2']);
    expect(await node.rooms.conversation(ANN, direct.id)).toMatchObject({ name: 'user2', peer: BOB });
  }
  expect(store.calls.get('profilesOf')).toBe(1);
});
