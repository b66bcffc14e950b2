import { describe, expect, test } from 'vitest';
import { Conversation, ConversationKind, Message } from '../../proto/client.ts';
import { Inbox } from './inbox.ts';

const ROOM = 7n;
const MAX_AHEAD = 4096;

function makeInbox() {
  const delivered: number[] = [];
  const cursors: number[] = [];
  const inbox = new Inbox(
    (_, { seq }) => delivered.push(Number(seq)),
    (_, seq) => cursors.push(seq),
  );
  const push = (seq: number) => inbox.push(ROOM, seq, messageOf(seq));
  const page = (...seqs: number[]) =>
    inbox.page({ conversation: conversation(), messages: seqs.map(messageOf) });
  return { inbox, delivered, cursors, push, page };
}

function messageOf(seq: number): Message {
  return Message.fromPartial({ seq: BigInt(seq), text: `m${seq}` });
}

function conversation(fields: Partial<Conversation> = {}): Conversation {
  const kind = ConversationKind.CONVERSATION_KIND_ROOM;
  return Conversation.fromPartial({ id: ROOM, kind, name: 'lobby', ...fields });
}

describe('Inbox', () => {
  test('push: in order is delivered, repeated is dropped, ahead is kept until the gap is filled', () => {
    const { inbox, delivered, cursors, push } = makeInbox();
    inbox.adopt(conversation(), 0);
    for (const seq of [1, 1, 3, 4, 3]) push(seq);
    expect(delivered).toEqual([1]);
    expect(inbox.incomplete).toBe(true);
    push(2);
    expect(delivered).toEqual([1, 2, 3, 4]);
    expect(cursors).toEqual([1, 2, 3, 4]);
    expect(inbox.incomplete).toBe(false);
  });

  test('push: the client’s own send moves the cursor and is not delivered', () => {
    const { inbox, delivered, push } = makeInbox();
    inbox.adopt(conversation(), 0);
    inbox.push(ROOM, 2, undefined);
    push(1);
    push(3);
    expect(delivered).toEqual([1, 3]);
    expect(inbox.cursors()).toEqual([{ conversation: ROOM, seq: 3n }]);
  });

  test('page: fills the gap; what was kept follows, and nothing comes twice', () => {
    const { inbox, delivered, push, page } = makeInbox();
    inbox.adopt(conversation(), 0);
    push(5);
    expect(page(1, 2, 3)).toBe(3);
    expect(page(3, 4, 5, 6)).toBe(3);
    expect(delivered).toEqual([1, 2, 3, 4, 5, 6]);
    expect(inbox.incomplete).toBe(false);
  });

  test('page: an unknown conversation begins with its first message', () => {
    const { inbox, delivered, push, page } = makeInbox();
    push(12);
    expect(inbox.knows(ROOM)).toBe(false);
    page(10, 11);
    expect(delivered).toEqual([10, 11, 12]);
    expect(inbox.conversation(ROOM)).toMatchObject({ id: '7', name: 'lobby', kind: 'room' });
  });

  test('page: one without a conversation is ignored', () => {
    const { inbox } = makeInbox();
    expect(inbox.page({ conversation: undefined, messages: [messageOf(1)] })).toBe(0);
  });

  test('endSync: an unknown conversation missing from the answer is asked for from the pushed seq on', () => {
    const { inbox, delivered, push, page } = makeInbox();
    push(9);
    push(8);
    inbox.endSync(inbox.beginSync());
    expect(inbox.pushed()).toEqual([{ conversation: ROOM, seq: 7n }]);
    expect(inbox.cursors()).toEqual([]);
    push(8);
    expect(inbox.knows(ROOM)).toBe(false);
    // The device had come to 5.
    page(6, 7, 8);
    expect(delivered).toEqual([6, 7, 8, 9]);
    expect(inbox.pushed()).toEqual([]);
    expect(inbox.cursors()).toEqual([{ conversation: ROOM, seq: 9n }]);
  });

  test('endSync: a conversation missing even when asked for is forgotten', () => {
    const { inbox, push } = makeInbox();
    push(8);
    inbox.endSync(inbox.beginSync());
    const round = inbox.beginSync();
    push(9);
    inbox.endSync(round);
    expect(inbox.pushed()).toEqual([]);
    expect(inbox.incomplete).toBe(true);
    inbox.endSync(inbox.beginSync());
    expect(inbox.pushed()).toEqual([{ conversation: ROOM, seq: 8n }]);
    inbox.forget(ROOM);
    expect(inbox.pushed()).toEqual([]);
    expect(inbox.incomplete).toBe(false);
  });

  test('endSync: more unknown conversations than one request holds take turns', () => {
    const { inbox } = makeInbox();
    const asked = new Set<bigint>();
    for (let id = 1n; id <= 1500n; id++) inbox.push(id, 5, messageOf(5));
    while (inbox.incomplete) {
      inbox.endSync(inbox.beginSync());
      expect(inbox.pushed().length).toBeLessThanOrEqual(1024);
      for (const { conversation } of inbox.pushed()) asked.add(conversation);
    }
    expect(asked.size).toBe(1500);
  });

  test('endSync: a gap that the log does not fill is given up, a newer one is not', () => {
    const { inbox, push } = makeInbox();
    inbox.adopt(conversation(), 1);
    push(5);
    const round = inbox.beginSync();
    push(9);
    inbox.endSync(round);
    expect(inbox.incomplete).toBe(true);
    inbox.endSync(inbox.beginSync());
    expect(inbox.incomplete).toBe(false);
  });

  test('bound: pushes ahead beyond it are dropped, and read from the log', () => {
    const { inbox, delivered, push, page } = makeInbox();
    inbox.adopt(conversation(), 0);
    for (let seq = 2; seq <= MAX_AHEAD + 10; seq++) push(seq);
    push(1);
    expect(delivered).toHaveLength(MAX_AHEAD + 1);
    expect(inbox.incomplete).toBe(true);
    inbox.beginSync();
    expect(inbox.incomplete).toBe(false);
    page(...Array.from({ length: 9 }, (_, i) => MAX_AHEAD + 2 + i));
    expect(delivered).toEqual(Array.from({ length: MAX_AHEAD + 10 }, (_, i) => i + 1));
  });

  test('cursors: at most as many as a Sync takes, the most recently active ones', () => {
    const { inbox } = makeInbox();
    for (let id = 1n; id <= 9_000n; id++) inbox.adopt(conversation({ id }), 0);
    inbox.push(1n, 1, messageOf(1));
    const cursors = inbox.cursors();
    expect(cursors).toHaveLength(8_192);
    expect(cursors.at(-1)).toEqual({ conversation: 1n, seq: 1n });
    expect(cursors.at(0)?.conversation).toBe(810n);
  });
});
