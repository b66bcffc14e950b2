/** Lists of conversations, rooms and members, page by page. */
import { describe, expect, test } from 'vitest';
import type { ConversationId, UserId } from '../../common/mod.ts';
import { client } from '../../proto/mod.ts';
import { append } from '../testing/drafts.ts';
import { testNode } from '../testing/test-node.ts';

const ANN = { user: 1n as UserId, userName: 'ann', device: 'phone' };

/** Calls a list until its last page. */
async function pages<Page extends { readonly next: string }>(list: (after: string) => Promise<Page>) {
  const all: Page[] = [];
  for (let after = ''; ; ) {
    const page = await list(after);
    all.push(page);
    if (page.next === '') return all;
    after = page.next;
  }
}

describe('list_conversations', () => {
  test('by descending activity, in pages, each with its last message cut at a grapheme', async () => {
    const { node, store } = await testNode();
    for (let n = 1; n <= 5; n++) await store.addRoom(BigInt(n), `room${n}`, [1n, 2n]);
    const rooms = [3n, 1n, 5n, 2n] as ConversationId[];
    const start = Date.now() + 60_000;
    for (const [at, room] of rooms.entries())
      await append(store, room, { sender: 2n as UserId, text: `${at}`.repeat(200), atMs: start + at });
    await append(store, 4n as ConversationId, {
      sender: 2n as UserId,
      atMs: start + 9,
      text: `${'x'.repeat(99)}e\u0301 and more`,
    });
    const all = await pages((after) => node.rooms.conversations(ANN, { after, limit: 2 }));
    const listed = all.flatMap(({ conversations }) => conversations);
    expect(all.map(({ conversations }) => conversations.length)).toEqual([2, 2, 1]);
    expect(listed.map(({ id }) => id)).toEqual([4n, 2n, 5n, 1n, 3n]);
    expect(listed.map(({ unread }) => unread)).toEqual([1n, 1n, 1n, 1n, 1n]);
    expect(listed[0]?.lastMessage).toMatchObject({ text: 'x'.repeat(99), from: 'user2', clientMsgId: '' });
    expect(listed[1]?.lastMessage?.text).toBe('3'.repeat(100));
    expect(listed.map(({ activeAtMs }) => Number(activeAtMs) - start)).toEqual([9, 3, 2, 1, 0]);
  });

  test('500 conversations with texts of any script: at most 200 kB', async () => {
    const { node, store } = await testNode();
    await store.addUser(1n);
    const texts = [
      'x'.repeat(300),
      '李'.repeat(300),
      '\u{1f468}\u200d\u{1f469}\u200d\u{1f467}'.repeat(60),
      '\u0007'.repeat(300),
    ];
    const drafts = [];
    for (let n = 0; n < 500; n++) {
      const room = BigInt(n + 1) + (1n << 61n);
      const made = await store.createRoom(room as ConversationId, `r${'o'.repeat(27)}${1000 + n}`, ANN.user);
      drafts.push({ conversation: made?.id as ConversationId, text: texts[n % 4] as string });
    }
    await store.setDisplayName(ANN.user, 'Ä'.repeat(64));
    for (const { conversation, text } of drafts)
      await append(store, conversation, { sender: ANN.user, text });
    const page = await node.rooms.conversations(ANN, { after: '', limit: 500 });
    expect([page.conversations.length, page.next]).toEqual([500, '']);
    expect(client.Conversations.encode(page).finish().length).toBeLessThanOrEqual(200_000);
    const shown = page.conversations.map(({ lastMessage }) => lastMessage?.text.length ?? 0);
    expect(Math.min(...shown)).toBeGreaterThan(20);
  });
});

describe('get_members', () => {
  test('by ascending id, in pages, with how many there are, who is online, and display names', async () => {
    const { node, store, worker } = await testNode();
    const room = await store.addRoom(7n, 'room', [1n, 2n, 3n, 4n, 5n]);
    await store.setDisplayName(2n as UserId, 'Bob the Builder');
    const w = worker();
    w.attach(1, 3n);
    const all = await pages((after) => node.rooms.members(ANN, room, { after, limit: 2 }));
    const members = all.flatMap((page) => page.members);
    expect(all.map((page) => [page.members.length, page.count])).toEqual([
      [2, 5],
      [2, 5],
      [1, 5],
    ]);
    expect(members.map(({ user }) => user)).toEqual([1n, 2n, 3n, 4n, 5n]);
    expect(members.map(({ online }) => online)).toEqual([false, false, true, false, false]);
    expect(members[1]).toMatchObject({ name: 'user2', displayName: 'Bob the Builder' });
    expect(members[2]).toMatchObject({ name: 'user3', displayName: 'user3' });
  });
});

test('list_rooms: in pages, with what is unread', async () => {
  const { node, store } = await testNode();
  for (let n = 1; n <= 3; n++) await store.addRoom(BigInt(n), `room${n}`, n === 2 ? [2n] : [1n, 2n]);
  await append(store, 1n as ConversationId, { sender: 2n as UserId, text: 'x' });
  const all = await pages((after) => node.rooms.listRooms(ANN.user, { after, limit: 2 }));
  expect(all.flatMap(({ rooms }) => rooms.map(({ id, joined, unread }) => [id, joined, unread]))).toEqual([
    [1n, true, 1n],
    [2n, false, 0n],
    [3n, true, 0n],
  ]);
});

test('pages: a key that is none, and too many items, are ARGUMENT_INVALID', async () => {
  const { node, store } = await testNode();
  const room = await store.addRoom(7n, 'room', [1n]);
  const invalid = expect.objectContaining({ code: 'ARGUMENT_INVALID' });
  for (const after of ['x', '-1', '1.2.3', '9'.repeat(40), '\0']) {
    await expect(node.rooms.conversations(ANN, { after, limit: 0 })).rejects.toEqual(invalid);
    await expect(node.rooms.members(ANN, room, { after, limit: 0 })).rejects.toEqual(invalid);
    await expect(node.rooms.listRooms(ANN.user, { after, limit: 0 })).rejects.toEqual(invalid);
    await expect(node.log.pins(ANN, room, { after })).rejects.toEqual(invalid);
  }
  await expect(node.rooms.conversations(ANN, { after: '', limit: 501 })).rejects.toEqual(invalid);
  await expect(node.rooms.members(ANN, room, { after: '', limit: 1001 })).rejects.toEqual(invalid);
  await expect(node.rooms.listRooms(ANN.user, { after: '', limit: 201 })).rejects.toEqual(invalid);
});
