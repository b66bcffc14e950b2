/** Entries of every kind, from SEND to what connections get. */
import { describe, expect, test } from 'vitest';
import type { ConversationId, UserId } from '../../common/mod.ts';
import { client, encodeFrame, FrameType } from '../../proto/mod.ts';
import type { FakeWorker } from '../testing/fake-stream.ts';
import { settle, type TestNode, testNode } from '../testing/test-node.ts';

const ROOM = 7n as ConversationId;
const { ENTRY_KIND_EDIT, ENTRY_KIND_PIN, ENTRY_KIND_RETRACT, ENTRY_KIND_UNPIN } = client.EntryKind;

type Fields = Partial<client.Send>;

/** Users 1 (the owner), 2 and 3 in a room, each with a connection of that number. User 3 sees nothing up to seq 2. */
async function room(limits: Parameters<typeof testNode>[0] = {}): Promise<TestNode & { w: FakeWorker }> {
  const made = await testNode(limits);
  const { store, worker } = made;
  await store.addUser(1n);
  await store.createRoom(ROOM, 'room', 1n as UserId, true);
  await store.addMember(ROOM, 2n);
  const w = worker();
  w.attach(1, 1n);
  w.attach(2, 2n);
  send(w, 1, { clientMsgId: 'm1', text: 'first' });
  send(w, 2, { clientMsgId: 'm2', text: 'second' });
  await settle();
  await store.addMember(ROOM, 3n);
  w.attach(3, 3n);
  w.take();
  return { ...made, w };
}

function send(w: FakeWorker, conn: number, fields: Fields, key: bigint = ROOM): void {
  const payload = client.Send.encode(client.Send.fromPartial(fields)).finish();
  w.frames([conn, encodeFrame(FrameType.SEND, 1, key, payload)]);
}

/** Sends an entry and returns what each connection gets of it. */
async function sent(w: FakeWorker, conn: number, fields: Fields) {
  send(w, conn, fields);
  await settle();
  const frames = w.delivered();
  const answer = frames.find(({ type }) => type === FrameType.SENT || type === FrameType.NACK);
  const messages = frames
    .filter(({ type }) => type === FrameType.MESSAGE)
    .map((frame) => [frame.conn, client.Message.decode(frame.payload)] as const);
  return {
    answer:
      answer &&
      (answer.type === FrameType.SENT
        ? client.Sent.decode(answer.payload)
        : client.Nack.decode(answer.payload)),
    got: new Map(messages),
  };
}

describe('an entry about a message', () => {
  test('EDIT: whole to who may read the message, bare to others', async () => {
    const { w } = await room();
    const { answer, got } = await sent(w, 1, {
      clientMsgId: 'e',
      text: 'new',
      kind: ENTRY_KIND_EDIT,
      target: 1n,
    });
    expect(answer).toMatchObject({ seq: 3n, target: 0n, duplicate: false });
    expect(got.size).toBe(2);
    expect(got.get(2)).toMatchObject({
      kind: ENTRY_KIND_EDIT,
      seq: 3n,
      target: 1n,
      text: 'new',
      bare: false,
    });
    expect(got.get(3)).toMatchObject({ kind: ENTRY_KIND_EDIT, seq: 3n, target: 0n, text: '', bare: true });
  });

  test('RETRACT, PIN, UNPIN: the same', async () => {
    const { w } = await room();
    const pin = await sent(w, 1, { clientMsgId: 'p', kind: ENTRY_KIND_PIN, target: 2n });
    expect(pin.got.get(2)).toMatchObject({ kind: ENTRY_KIND_PIN, target: 2n, bare: false });
    expect(pin.got.get(3)).toMatchObject({ kind: ENTRY_KIND_PIN, target: 0n, bare: true });
    const unpin = await sent(w, 1, { clientMsgId: 'u', kind: ENTRY_KIND_UNPIN, target: 2n });
    expect(unpin.got.get(2)).toMatchObject({ kind: ENTRY_KIND_UNPIN, target: 2n });
    const fields = { clientMsgId: 'r', kind: ENTRY_KIND_RETRACT, target: 2n, reason: 'spam' };
    const { answer, got } = await sent(w, 1, fields);
    expect(answer).toMatchObject({ seq: 5n, target: 0n });
    expect(got.get(2)).toMatchObject({ kind: ENTRY_KIND_RETRACT, target: 2n, reason: 'spam', bare: false });
    expect(got.get(3)).toMatchObject({ kind: ENTRY_KIND_RETRACT, target: 0n, reason: '', bare: true });
  });

  test('a reply: quotes the message as it is, to who may read it; others get its text', async () => {
    const { w } = await room();
    await sent(w, 1, { clientMsgId: 'e', text: 'x'.repeat(300), kind: ENTRY_KIND_EDIT, target: 1n });
    const { answer, got } = await sent(w, 2, { clientMsgId: 'r', text: 'yes', replyTo: 1n });
    expect(answer).toMatchObject({ seq: 4n, target: 0n });
    const quote = { seq: 1n, sender: 1n, from: 'user1', text: 'x'.repeat(280), cut: true, version: 3n };
    expect(got.get(1)).toMatchObject({ text: 'yes', target: 0n, quote, bare: false });
    expect(got.get(3)).toMatchObject({ text: 'yes', quote: undefined, bare: true });
  });

  test('a range: whole to who may read any of it', async () => {
    const { w } = await room();
    await sent(w, 2, { clientMsgId: 'm4', text: 'third' });
    const range = { sender: 2n, fromSeq: 1n, toSeq: 99n };
    const { got } = await sent(w, 2, { clientMsgId: 'r', kind: ENTRY_KIND_RETRACT, range });
    expect(got.get(1)).toMatchObject({ range, target: 0n, bare: false });
    expect(got.get(3)).toMatchObject({ range, bare: false });
    const early = { sender: 2n, fromSeq: 1n, toSeq: 2n };
    const second = await sent(w, 2, {
      clientMsgId: 's',
      kind: ENTRY_KIND_RETRACT,
      range: early,
      reason: 'x',
    });
    expect(second.got.get(1)).toMatchObject({ range: early, reason: 'x', bare: false });
    expect(second.got.get(3)).toMatchObject({ range: undefined, reason: '', bare: true });
  });

  test('a message that has no seq yet: is found behind its commit, and SENT says which it is', async () => {
    const { store, w } = await room();
    store.holding = true;
    send(w, 1, { clientMsgId: 'other', text: 'x' });
    send(w, 2, { clientMsgId: 'new', text: 'tpyo' });
    send(w, 2, { clientMsgId: 'fix', text: 'typo', kind: ENTRY_KIND_EDIT, targetClientMsgId: 'new' });
    store.holding = false;
    store.release();
    await settle();
    const answers = w
      .delivered()
      .filter(({ conn, type }) => conn === 2 && type === FrameType.SENT)
      .map(({ payload }) => client.Sent.decode(payload));
    expect(answers.map(({ clientMsgId, seq, target }) => [clientMsgId, seq, target])).toEqual([
      ['new', 4n, 0n],
      ['fix', 5n, 4n],
    ]);
  });
});
