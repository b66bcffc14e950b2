import { describe, expect, test } from 'vitest';
import type { UserId } from '../../common/mod.ts';
import { client } from '../../proto/mod.ts';
import { settle, testNode } from '../testing/test-node.ts';

const ANN = 1n as UserId;

function send(fields: Partial<client.Send>): client.Send {
  return client.Send.fromPartial({ clientMsgId: 'p1', text: 'hello', ...fields });
}

/** Users 1 and 2 in a room; both have a connection. */
async function room(limits: Parameters<typeof testNode>[0] = {}) {
  const made = await testNode(limits);
  const id = await made.store.addRoom(7n, 'room', [1n, 2n]);
  await made.store.setDisplayName(ANN, 'Ann');
  const w = made.worker();
  w.attach(1, 1n);
  w.attach(2, 2n);
  w.take();
  return { ...made, id, w };
}

describe('a post', () => {
  test('is committed and pushed to all, the author’s connections included', async () => {
    const { node, id, w } = await room();
    expect(await node.posts.post(ANN, id, send({}))).toMatchObject({
      clientMsgId: 'p1',
      seq: 1n,
      duplicate: false,
    });
    await settle();
    expect(w.lines()).toEqual(['1: MESSAGE 7#1 Ann: hello', '2: MESSAGE 7#1 Ann: hello']);
  });

  test('again: is answered with the original', async () => {
    const { node, id } = await room();
    const first = await node.posts.post(ANN, id, send({}));
    expect(await node.posts.post(ANN, id, send({ text: 'other' }))).toEqual({ ...first, duplicate: true });
  });

  test('of other kinds: the same', async () => {
    const { node, id, store } = await room();
    await node.posts.post(ANN, id, send({}));
    const edit = {
      clientMsgId: 'e',
      text: 'new',
      kind: client.EntryKind.ENTRY_KIND_EDIT,
      targetClientMsgId: 'p1',
    };
    expect(await node.posts.post(ANN, id, send(edit))).toMatchObject({ seq: 2n, target: 1n });
    expect(store.log(id).map(({ text }) => text)).toEqual(['new']);
  });

  test('many at once: each gets its own answer', async () => {
    const { node, id } = await room();
    const ids = Array.from({ length: 20 }, (_, n) => `p${n}`);
    const answers = await Promise.all(
      ids.map((clientMsgId) => node.posts.post(ANN, id, send({ clientMsgId }))),
    );
    expect(answers.map(({ clientMsgId }) => clientMsgId)).toEqual(ids);
    expect(new Set(answers.map(({ seq }) => seq)).size).toBe(20);
  });

  test('that is refused: rejects with the code', async () => {
    const { node, id, store } = await room({ textBytes: 10 });
    const refused = async (key: bigint, fields: Partial<client.Send> | undefined) =>
      node.posts.post(ANN, key, fields && send(fields)).then(
        () => 'done',
        (error: { code: string; retryAfterMs?: number }) => error.code,
      );
    expect(await refused(99n, {})).toBe('NOT_A_MEMBER');
    expect(await refused(0n, {})).toBe('NOT_A_MEMBER');
    expect(await refused(1n << 63n, {})).toBe('NOT_A_MEMBER');
    expect(await refused(id, undefined)).toBe('CLIENT_MSG_ID_INVALID');
    expect(await refused(id, { text: '' })).toBe('TEXT_EMPTY');
    expect(await refused(id, { text: 'x'.repeat(11) })).toBe('TEXT_TOO_LONG');
    expect(await refused(id, { target: 1n })).toBe('ARGUMENT_INVALID');
    expect(await refused(id, { replyTo: 99n })).toBe('TARGET_NOT_FOUND');
    const other = { clientMsgId: 'other' };
    store.failing.add('append');
    expect(await refused(id, other)).toBe('STORE_UNAVAILABLE');
    store.failing.delete('append');
    expect(await refused(id, other)).toBe('done');
  });

  test('while the queue is full: OVERLOADED, with a time to come back', async () => {
    const { node, id, store } = await room({ queueRows: 1 });
    store.holding = true;
    const first = node.posts.post(ANN, id, send({ clientMsgId: 'a' }));
    await settle();
    const second = node.posts.post(ANN, id, send({ clientMsgId: 'b' }));
    await settle();
    await expect(node.posts.post(ANN, id, send({ clientMsgId: 'c' }))).rejects.toMatchObject({
      code: 'OVERLOADED',
      retryAfterMs: expect.any(Number),
    });
    store.holding = false;
    store.release();
    await Promise.all([first, second]);
  });

  test('at a node that drains: STATE_UNAVAILABLE, as another one takes it', async () => {
    const { node, id } = await room();
    await node.drain();
    await expect(node.posts.post(ANN, id, send({}))).rejects.toMatchObject({ code: 'STATE_UNAVAILABLE' });
  });
});
