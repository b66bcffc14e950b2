import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { ConversationId, UserId } from '../../common/mod.ts';
import { client } from '../../proto/mod.ts';
import { testNode } from '../testing/test-node.ts';

const ANN = { user: 1n as UserId, userName: 'ann', device: 'phone' };
/** Most bytes of a client's frame. */
const MAX_FRAME_BYTES = 256 * 1024;

const lengths = fc.array(fc.oneof(fc.nat(200), fc.integer({ min: 30_000, max: 229_300 })), { maxLength: 6 });

describe('pages', () => {
  test('sync: texts of any length come without a gap, in pages that progress and fit a frame', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(lengths, { maxLength: 4 }), async (rooms) => {
        const { node, store } = await testNode();
        for (const [at, texts] of rooms.entries()) {
          const id = await store.addRoom(BigInt(at + 1), `r${at}`, [ANN.user]);
          await store.append(
            texts.map((length, n) => ({
              conversation: id,
              sender: ANN.user,
              clientMsgId: `m${n}`,
              id: BigInt(n + 1) as never,
              text: 'x'.repeat(length),
              atMs: 0,
            })),
          );
        }
        const seqs = new Map<bigint, bigint[]>();
        for (let more = true; more; ) {
          const cursors = [...seqs].map(([conversation, seen]) => ({ conversation, seq: seen.at(-1) ?? 0n }));
          const page = await node.rooms.sync(ANN, { cursors, limit: 200, pushed: [] });
          expect(client.SyncPage.encode(page).finish().length).toBeLessThan(MAX_FRAME_BYTES);
          const count = page.conversations.reduce((sum, { messages }) => sum + messages.length, 0);
          if (page.more) expect(count).toBeGreaterThan(0);
          for (const { conversation, messages } of page.conversations) {
            const id = conversation?.id ?? 0n;
            seqs.set(id, [...(seqs.get(id) ?? []), ...messages.map(({ seq }) => seq)]);
          }
          more = page.more;
        }
        for (const [at, texts] of rooms.entries())
          expect(seqs.get(BigInt(at + 1)) ?? []).toEqual(texts.map((_, n) => BigInt(n + 1)));
      }),
      // With what goes with it, this text alone is more than a page.
      { numRuns: 30, examples: [[[[229_300, 10]]]] },
    );
  });

  test('sync: gone conversations that do not fit beside the messages come after them', async () => {
    const { node, store } = await testNode();
    const room = await store.addRoom(7n, 'room', [ANN.user]);
    const draft = { conversation: room, sender: ANN.user, text: 'x'.repeat(100_000), atMs: 0 };
    await store.append([1, 2].map((n) => ({ ...draft, clientMsgId: `m${n}`, id: BigInt(n) as never })));
    const foreign = Array.from({ length: 5000 }, (_, n) => ({ conversation: BigInt(n + 100), seq: 1n }));
    const sync = (seq: bigint) =>
      node.rooms.sync(ANN, { cursors: [{ conversation: room, seq }, ...foreign], limit: 0, pushed: [] });
    const first = await sync(0n);
    expect([first.conversations[0]?.messages.length, first.more, first.gone]).toEqual([2, true, []]);
    const last = await sync(2n);
    expect([last.conversations, last.more, last.gone.length]).toEqual([[], false, 5000]);
  });
});

test('names: of senders, peers and members, read from the store once', async () => {
  const { node, store } = await testNode();
  const room = await store.addRoom(7n, 'room', [1n, 2n, 3n]);
  const direct = await store.openDirect(8n as ConversationId, ANN.user, 2n as UserId);
  const draft = { clientMsgId: 'm', text: 'x', atMs: 0 };
  await store.append([
    { ...draft, conversation: room, sender: 2n as UserId, id: 1n as never },
    { ...draft, conversation: room, sender: 3n as UserId, id: 2n as never },
    { ...draft, conversation: direct.id, sender: 2n as UserId, id: 3n as never },
  ]);
  for (let times = 0; times < 2; times++) {
    const history = await node.rooms.history(ANN.user, room, 0n, 10);
    expect(history.messages.map(({ from }) => from)).toEqual(['user2', 'user3']);
    const { conversations } = await node.rooms.sync(ANN, { cursors: [], limit: 0, pushed: [] });
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
    const listed = await node.rooms.conversations(ANN);
    expect(listed.conversations.map(({ name }) => name).toSorted()).toEqual(['room', 'user2']);
    expect((await node.rooms.conversation(ANN, direct.id)).name).toBe('user2');
  }
  expect(store.calls.get('namesOf')).toBe(1);
  const { members } = await node.rooms.members(ANN, room);
  expect(members.map(({ name }) => name)).toEqual(['user1', 'user2', 'user3']);
  expect(store.calls.get('namesOf')).toBe(2);
});

test('members: those online first, then by name, and other work goes on while many are sorted', async () => {
  const { node, store, worker } = await testNode();
  const users = Array.from({ length: 30_000 }, (_, n) => BigInt(n + 1));
  const room = await store.addRoom(7n, 'hall', users);
  const w = worker();
  for (const user of [29_999n, 3n, 20_000n]) w.attach(Number(user), user);
  let turns = 0;
  let isOver = false;
  const turn = () => {
    turns++;
    if (!isOver) setImmediate(turn);
  };
  setImmediate(turn);
  const { members } = await node.rooms.members(ANN, room);
  isOver = true;
  expect(members).toHaveLength(2000);
  expect(members.slice(0, 3).map(({ user }) => user)).toEqual([20_000n, 29_999n, 3n]);
  expect(members.map(({ online }) => online)).toEqual(members.map((_, at) => at < 3));
  const names = members.slice(3).map(({ name }) => name);
  expect(names).toEqual(names.toSorted((a, b) => (a < b ? -1 : 1)));
  expect(turns).toBeGreaterThanOrEqual(5);
});
