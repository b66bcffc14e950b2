import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { client, decodeHeader, encodeFrame, framePayload, FrameType } from '../../proto/mod.ts';
import type { ServerMessage } from './simple-messages.ts';
import { SimpleSession } from './simple-session.ts';

const ANN = 1n;
const ROOM = 7n;

let forwarded: Uint8Array[];
let told: ServerMessage[];
let session: SimpleSession;

beforeEach(() => {
  vi.useFakeTimers();
  forwarded = [];
  told = [];
  session = new SimpleSession({
    forward: (frame) => forwarded.push(frame),
    tell: (message) => told.push(message),
  });
  const conversation = client.Conversation.create({ id: ROOM, lastSeq: 9n });
  const welcome = client.Welcome.create({ user: ANN, userName: 'ann', conversation });
  take(FrameType.WELCOME, 0, 0n, client.Welcome.encode(welcome).finish());
  answerWatch();
  told.length = 0;
});
afterEach(() => {
  session.close();
  vi.useRealTimers();
});

function take(type: FrameType, ref: number, key: bigint, payload?: Uint8Array): void {
  session.onFrame(encodeFrame(type, ref, key, payload));
}

/** Answers the WATCH that was forwarded last, and drops what was forwarded. */
function answerWatch(receipts: readonly [user: bigint, seq: bigint][] = []): readonly bigint[] {
  const frame = forwarded.splice(0).findLast((each) => decodeHeader(each).type === FrameType.WATCH);
  if (frame === undefined) throw new Error('no WATCH was sent');
  const { conversations } = client.Watch.decode(framePayload(frame));
  const watched = client.Watched.fromPartial({
    conversations: conversations.map((conversation) => ({
      conversation,
      receipts: receipts.map(([user, readSeq]) => ({ user, readSeq })),
    })),
  });
  take(FrameType.WATCHED, decodeHeader(frame).ref, 0n, client.Watched.encode(watched).finish());
  return conversations;
}

/** What was forwarded since the last call: SENDs with their id and text, others by type and ref. */
function sent(): unknown[] {
  return forwarded.splice(0).map((frame) => {
    const { type, ref, key } = decodeHeader(frame);
    if (type !== FrameType.SEND) return { type, ref };
    const { clientMsgId, text } = client.Send.decode(framePayload(frame));
    return { ref, key, clientMsgId, text };
  });
}

const say = (content: string) => session.take({ type: 'message', content });
const ids = (list: unknown[]) => list.map((each) => (each as { clientMsgId: string }).clientMsgId);
const nack = (refused: unknown, code: string, retryable: boolean) => {
  const { ref, clientMsgId } = refused as { ref: number; clientMsgId: string };
  const fields = { code, message: code, retryable, retryAfterMs: 50, clientMsgId };
  take(FrameType.NACK, ref, ROOM, client.Nack.encode(client.Nack.create(fields)).finish());
};
const acknowledge = (clientMsgId: string, seq: bigint) =>
  take(FrameType.SENT, 0, ROOM, client.Sent.encode(client.Sent.create({ clientMsgId, seq })).finish());
const push = (seq: bigint, fields: Partial<client.Message> = {}) =>
  take(
    FrameType.MESSAGE,
    0,
    ROOM,
    client.Message.encode(client.Message.create({ seq, sender: 2n, text: `m${seq}`, ...fields })).finish(),
  );
const texts = () => told.splice(0).map((message) => ('content' in message ? message.content : message.type));

describe('messages of the client', () => {
  test('RESYNC: it is answered, and what is not acknowledged goes again, in order, under the same ids', () => {
    say('a');
    say('b');
    const first = sent();
    acknowledge(ids(first)[0] as string, 10n);
    expect(told).toMatchObject([{ type: 'sent', room_id: '7', message_id: 10 }]);
    say('c');
    const third = sent();
    nack(third[0], 'RESYNC_REQUIRED', true);
    take(FrameType.RESYNC, 3, 0n);
    const [resynced, ...again] = sent();
    expect(resynced).toEqual({ type: FrameType.RESYNCED, ref: 3 });
    expect(ids(again.slice(0, 2))).toEqual([ids(first)[1], ids(third)[0]]);
    // Then what was pushed meanwhile.
    expect(again.slice(2)).toMatchObject([{ type: FrameType.REQUEST }, { type: FrameType.WATCH }]);
    expect(told).toHaveLength(1);
  });

  test('a refusal that may pass: sent again with all behind it; one for good is told', () => {
    say('a');
    say('b');
    const first = sent();
    nack(first[0], 'OVERLOADED', true);
    say('c');
    expect(sent()).toEqual([]);
    vi.advanceTimersByTime(50);
    const again = sent();
    expect(again.map((each) => (each as { text: string }).text)).toEqual(['a', 'b', 'c']);
    expect(ids(again).slice(0, 2)).toEqual(ids(first));
    nack(again[1], 'TEXT_TOO_LONG', false);
    expect(told).toEqual([{ type: 'error', code: 'TEXT_TOO_LONG', message: 'TEXT_TOO_LONG' }]);
  });

  test('a refusal that does not pass: told after five attempts', () => {
    say('a');
    for (let attempt = 1; attempt <= 5; attempt++) {
      const [last] = sent();
      expect(told).toEqual([]);
      nack(last, 'OVERLOADED', true);
      vi.advanceTimersByTime(50);
    }
    expect(told).toMatchObject([{ type: 'error', code: 'OVERLOADED' }]);
    expect(sent()).toEqual([]);
  });

  test('more than may wait: RATE_LIMITED', () => {
    for (let i = 0; i < 101; i++) say('x');
    expect(sent()).toHaveLength(100);
    expect(told).toMatchObject([{ type: 'error', code: 'RATE_LIMITED' }]);
  });
});

describe('messages of others', () => {
  /** Answers the request for a page. */
  const page = (seqs: readonly bigint[], moreAfter = false) => {
    const request = forwarded.map(decodeHeader).find(({ type }) => type === FrameType.REQUEST);
    forwarded.length = 0;
    const messages = seqs.map((seq) => client.Message.create({ seq, sender: 2n, text: `m${seq}` }));
    const history = client.HistoryPage.create({ messages, moreAfter });
    const response = client.Response.encode({ result: { $case: 'history', history } }).finish();
    take(FrameType.RESPONSE, request?.ref ?? 0, ROOM, response);
  };

  test('in order, each once; other entries are not shown', () => {
    push(10n);
    push(10n);
    push(11n, { kind: client.EntryKind.ENTRY_KIND_PIN });
    push(12n);
    expect(texts()).toEqual(['m10', 'm12']);
    expect(forwarded).toEqual([]);
  });

  test('a gap: what is missing is fetched before what came, page by page', () => {
    push(13n);
    push(14n);
    expect(told).toEqual([]);
    page([10n, 11n, 12n], true);
    page([13n, 14n]);
    push(15n);
    expect(texts()).toEqual(['m10', 'm11', 'm12', 'm13', 'm14', 'm15']);
  });

  test('its own messages: moved over, not told', () => {
    say('mine');
    const [id = ''] = ids(sent());
    acknowledge(id, 12n);
    expect(texts()).toEqual(['sent']);
    page([10n, 11n]);
    push(12n, { sender: ANN, clientMsgId: id });
    push(13n, { sender: ANN, clientMsgId: 'of-another-device' });
    expect(texts()).toEqual(['m10', 'm11', 'm13']);
  });

  test('a room that was left: nothing', () => {
    session.take({ type: 'leave' });
    told.length = 0;
    push(10n);
    expect(told).toEqual([]);
  });
});

describe('what others have read', () => {
  const read = (...receipts: readonly [user: bigint, seq: bigint][]) => {
    const news = client.Read.fromPartial({
      receipts: receipts.map(([user, readSeq]) => ({ user, readSeq })),
    });
    take(FrameType.READ, 0, ROOM, client.Read.encode(news).finish());
  };
  const reads = () =>
    told
      .splice(0)
      .flatMap((news) => (news.type === 'read' ? [[news.user_id, news.room_id, news.message_id]] : []));

  test('told as it moves on, of others; not what was read before, nor again', () => {
    take(FrameType.RESYNC, 3, 0n);
    expect(answerWatch([[2n, 5n]])).toEqual([ROOM]);
    read([2n, 5n], [ANN, 9n], [3n, 1n]);
    read([2n, 4n], [3n, 1n]);
    read([2n, 6n]);
    expect(reads()).toEqual([
      ['3', '7', 1],
      ['2', '7', 6],
    ]);
  });

  test('of the rooms joined last; one WATCH is under way at a time; a room that is left is watched no longer', () => {
    const follow = (id: bigint) => {
      session.take({ type: 'join', room: String(id) });
      const asked = forwarded.findLast((each) => decodeHeader(each).type === FrameType.REQUEST);
      const conversation = client.Conversation.create({ id, lastSeq: 1n });
      const response = client.Response.create({ result: { $case: 'conversation', conversation } });
      const ref = asked === undefined ? 0 : decodeHeader(asked).ref;
      take(FrameType.RESPONSE, ref, 0n, client.Response.encode(response).finish());
    };
    for (let id = 10n; id < 20n; id++) follow(id);
    // The first of them is under way; the rest is one more.
    expect(answerWatch()).toEqual([ROOM, 10n]);
    expect(answerWatch()).toEqual([12n, 13n, 14n, 15n, 16n, 17n, 18n, 19n]);
    session.take({ type: 'leave', roomId: 19n });
    expect(answerWatch()).toEqual([11n, 12n, 13n, 14n, 15n, 16n, 17n, 18n]);
  });

  test('a refusal for now: again later; it is not told', () => {
    session.take({ type: 'leave' });
    const [watch] = forwarded.splice(0);
    const refusal = client.Nack.create({ code: 'RATE_LIMITED', retryable: true, retryAfterMs: 50 });
    take(
      FrameType.NACK,
      watch === undefined ? 0 : decodeHeader(watch).ref,
      0n,
      client.Nack.encode(refusal).finish(),
    );
    expect(forwarded).toEqual([]);
    vi.advanceTimersByTime(50);
    expect(answerWatch()).toEqual([]);
    expect(told).toMatchObject([{ type: 'leave' }]);
  });
});
