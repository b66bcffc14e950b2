import { describe, expect, test } from 'vitest';
import { Conversation, ConversationKind, EntryKind, Message } from '../../proto/client.ts';
import { toConversation } from './convert.ts';
import { Inbox } from './inbox.ts';
import { Names } from './names.ts';

const ROOM = 7n;
const MAX_AHEAD = 4096;

function makeInbox() {
  const delivered: number[] = [];
  const cursors: number[] = [];
  const skipped: [number, number][] = [];
  const inbox = new Inbox({
    toConversation: (wire) => toConversation(wire, new Names(() => undefined)),
    deliver: (_, { seq, text }) => delivered.push(text === 'folded' ? -Number(seq) : Number(seq)),
    onCursor: (_, seq) => cursors.push(seq),
    onSkipped: (_, from, to) => skipped.push([from, to]),
  });
  const push = (seq: number) => inbox.push(ROOM, seq, messageOf(seq));
  const pageAfter = (after: number, messages: Message[], fields: Partial<Conversation> = {}) =>
    inbox.page({ conversation: conversation(fields), messages, afterSeq: BigInt(after), asOf: 0n });
  const page = (...seqs: number[]) => pageAfter((seqs[0] as number) - 1, seqs.map(messageOf));
  const named = () => inbox.range(0n, 1000);
  return { inbox, delivered, cursors, skipped, push, page, pageAfter, named };
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
    const { inbox, delivered, push, named } = makeInbox();
    inbox.adopt(conversation(), 0);
    inbox.push(ROOM, 2, undefined);
    push(1);
    push(3);
    expect(delivered).toEqual([1, 3]);
    expect(named().cursors).toEqual([{ conversation: ROOM, seq: 3n }]);
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
    expect(inbox.page({ conversation: undefined, messages: [messageOf(1)], afterSeq: 0n, asOf: 1n })).toBe(0);
  });

  test('endSync: an unknown conversation missing from the answer is asked for from the pushed seq on', () => {
    const { inbox, delivered, push, page, named } = makeInbox();
    push(9);
    push(8);
    inbox.endSync(inbox.beginSync());
    expect(named().pushed).toEqual([{ conversation: ROOM, seq: 7n }]);
    expect(named().cursors).toEqual([]);
    push(8);
    expect(inbox.knows(ROOM)).toBe(false);
    // The device had come to 5.
    page(6, 7, 8);
    expect(delivered).toEqual([6, 7, 8, 9]);
    expect(named().pushed).toEqual([]);
    expect(named().cursors).toEqual([{ conversation: ROOM, seq: 9n }]);
  });

  test('endSync: a conversation missing even when asked for is forgotten', () => {
    const { inbox, push, named } = makeInbox();
    push(8);
    inbox.endSync(inbox.beginSync());
    const round = inbox.beginSync();
    push(9);
    inbox.endSync(round);
    expect(named().pushed).toEqual([]);
    expect(inbox.incomplete).toBe(true);
    inbox.endSync(inbox.beginSync());
    expect(named().pushed).toEqual([{ conversation: ROOM, seq: 8n }]);
    inbox.forget(ROOM);
    expect(named().pushed).toEqual([]);
    expect(inbox.incomplete).toBe(false);
  });

  test('endSync: more unknown conversations than one request holds take turns', () => {
    const { inbox } = makeInbox();
    const asked = new Set<bigint>();
    for (let id = 1n; id <= 1500n; id++) inbox.push(id, 5, messageOf(5));
    while (inbox.incomplete) {
      inbox.endSync(inbox.beginSync());
      expect(inbox.range(0n, 2000).pushed.length).toBeLessThanOrEqual(1024);
      for (const { conversation } of inbox.range(0n, 2000).pushed) asked.add(conversation);
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

  test('page: one that begins beyond the cursor jumps over what is between, and tells', () => {
    const { inbox, delivered, cursors, skipped, push, page } = makeInbox();
    inbox.adopt(conversation(), 0);
    push(1);
    push(6);
    push(9);
    page(8);
    expect(skipped).toEqual([[2, 7]]);
    expect(delivered).toEqual([1, 8, 9]);
    expect(cursors).toEqual([1, 7, 8, 9]);
    expect(inbox.incomplete).toBe(false);
  });

  test('page: an unknown conversation jumps from the cursor of the device', () => {
    const { skipped, pageAfter, delivered } = makeInbox();
    pageAfter(10, [messageOf(11)], { deliveredSeq: 10n });
    expect([skipped, delivered]).toEqual([[], [11]]);
    const other = makeInbox();
    other.pageAfter(10, [messageOf(11)], { deliveredSeq: 4n });
    expect([other.skipped, other.delivered]).toEqual([[[5, 10]], [11]]);
    const empty = makeInbox();
    empty.pageAfter(0, [], { lastSeq: 7n });
    expect([empty.skipped, empty.named().cursors]).toEqual([[], [{ conversation: ROOM, seq: 7n }]]);
  });

  test('page: its entry counts and not the pushed one, which may have changed since; an own one stays the client’s', () => {
    const { inbox, delivered, push, pageAfter } = makeInbox();
    const folded = (seq: number) => ({ ...messageOf(seq), text: 'folded' });
    inbox.adopt(conversation(), 0);
    push(2);
    inbox.push(ROOM, 3, undefined);
    pageAfter(0, [folded(1), folded(2), folded(3)]);
    expect(delivered).toEqual([-1, -2]);
    expect(inbox.incomplete).toBe(false);
  });

  test('page: entries of all kinds move the cursor, and messages are counted', () => {
    const { inbox, pageAfter, named } = makeInbox();
    inbox.adopt(conversation(), 0);
    const pin = { ...messageOf(2), kind: EntryKind.ENTRY_KIND_PIN };
    expect(pageAfter(0, [messageOf(1), pin])).toBe(1);
    expect(named().cursors).toEqual([{ conversation: ROOM, seq: 2n }]);
  });

  test('range: conversations by ascending id, as many as fit, and the last part has no end', () => {
    const { inbox, push } = makeInbox();
    for (const id of [30n, 10n, 40n]) inbox.adopt(conversation({ id }), Number(id));
    push(5);
    inbox.endSync(inbox.beginSync());
    const cursor = (conversation: bigint) => ({ conversation, seq: conversation });
    const pushed = { conversation: ROOM, seq: 4n };
    expect(inbox.range(0n, 2)).toEqual({ cursors: [cursor(10n)], pushed: [pushed], after: 0n, until: 10n });
    expect(inbox.range(10n, 2)).toEqual({
      cursors: [cursor(30n), cursor(40n)],
      pushed: [],
      after: 10n,
      until: 0n,
    });
    expect(inbox.range(40n, 2)).toEqual({ cursors: [], pushed: [], after: 40n, until: 0n });
  });
});
