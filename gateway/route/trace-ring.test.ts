import { PassThrough } from 'node:stream';
import { describe, expect, test } from 'vitest';
import { client, encodeFrame, FrameType } from '../../proto/mod.ts';
import { Connection } from '../connections/connection.ts';
import { fakeTransport } from '../testing/test-transport.ts';
import { TraceRing } from './trace-ring.ts';

const ROOM = (5n << 32n) | 9n;
/** More than a ring holds. */
const MANY = 20_000;
const NO_SENDS = { number: 1, conversation: 0n, sender: 0n, fingerprint: 0 };

function connect(conn: number, user: bigint): Connection {
  const connection = new Connection(conn, fakeTransport, new PassThrough(), {});
  connection.user = user;
  return connection;
}

const send = (ref: number, clientMsgId: string, room = ROOM) =>
  encodeFrame(
    FrameType.SEND,
    ref,
    room,
    client.Send.encode(client.Send.fromPartial({ clientMsgId, text: 'secret' })).finish(),
  );
const sent = (ref: number, clientMsgId: string, id: bigint, seq = 1n) => {
  const body = client.Sent.encode(client.Sent.fromPartial({ clientMsgId, seq, id, atMs: 1n })).finish();
  return Buffer.from(encodeFrame(FrameType.SENT, ref, ROOM, body));
};
const message = (id: bigint, seq = 1n) => {
  const body = client.Message.encode(client.Message.fromPartial({ seq, id, text: 'secret' })).finish();
  return Buffer.from(encodeFrame(FrameType.MESSAGE, 0, ROOM, body));
};
const nack = (ref: number, code: string) => {
  const body = client.Nack.encode(client.Nack.fromPartial({ code })).finish();
  return Buffer.from(encodeFrame(FrameType.NACK, ref, ROOM, body));
};

describe('TraceRing', () => {
  test.each([1n, 127n, 128n, 0x0fff_ffffn, 0x1000_0000n, 0xffff_ffffn, 1n << 35n, (1n << 63n) - 1n])(
    'a message with id %i: is found by it, whatever its seq',
    (id) => {
      const traces = new TraceRing();
      for (const seq of [1n, 300n, 1n << 40n]) traces.delivered(message(id, seq), undefined, 3);
      traces.delivered(message(id ^ 64n), undefined, 1);
      const hops = traces.find({ ...NO_SENDS, message: id });
      expect(hops.map(({ what, sockets }) => `${what} ${sockets}`)).toEqual([
        'pushed 3',
        'pushed 3',
        'pushed 3',
      ]);
    },
  );

  test('slow and closed connections: are distinguished from those that got the frame', () => {
    const traces = new TraceRing();
    const number = traces.delivered(message(7n), undefined, 5);
    traces.slow(number);
    traces.slow(number);
    traces.gone(number);
    traces.slow(-1);
    expect(traces.find({ ...NO_SENDS, message: 7n })).toMatchObject([{ sockets: 2, slow: 2, gone: 1 }]);
  });

  test('attempts to send: are found by what they share with the acknowledgement, refusals included', () => {
    const traces = new TraceRing();
    const [ann, bob] = [connect(1, 11n), connect(2, 22n)];
    traces.refused(ann, send(1, 'a-1'), 'RESYNC_REQUIRED');
    traces.received(ann, send(2, 'a-1'), 'state:1');
    traces.delivered(nack(2, 'STORE_UNAVAILABLE'), ann, 1);
    traces.received(ann, send(3, 'a-1'), 'state:2');
    traces.received(ann, send(4, 'a-2'), 'state:2');
    traces.received(ann, send(5, 'a-1', 3n), 'state:2');
    traces.received(bob, send(6, 'a-1'), 'state:2');
    traces.delivered(sent(3, 'a-1', 77n), ann, 1);
    const [ack] = traces.find({ ...NO_SENDS, message: 77n });
    expect(ack).toMatchObject({ what: 'acknowledged', conn: 1, ref: 3, sender: 11n, conversation: ROOM });
    const { conversation = 0n, sender = 0n, fingerprint = 0 } = ack ?? {};
    const attempts = traces.find({ number: 2, message: 0n, conversation, sender, fingerprint });
    expect(attempts.map(({ what, ref, state, code }) => `${what} ${ref} ${state}${code}`)).toEqual([
      'refused 1 RESYNC_REQUIRED',
      'received 2 state:1',
      'refused-by-state 2 STORE_UNAVAILABLE',
      'received 3 state:2',
    ]);
    expect(JSON.stringify(attempts, (_, value: unknown) => String(value))).not.toContain('secret');
  });

  test('more than the ring holds: the oldest are forgotten, and late records about them change nothing', () => {
    const traces = new TraceRing();
    const first = traces.delivered(message(1n), undefined, 1);
    for (let id = 2n; id <= MANY; id++) traces.delivered(message(id), undefined, 1);
    traces.slow(first);
    expect(traces.find({ ...NO_SENDS, message: 1n })).toEqual([]);
    expect(traces.find({ ...NO_SENDS, message: BigInt(MANY) })).toMatchObject([{ sockets: 1, slow: 0 }]);
  });

  test('other frames, and malformed ones: leave no trace or an empty one, and do not throw', () => {
    const traces = new TraceRing();
    const ann = connect(1, 11n);
    expect(traces.delivered(Buffer.from(encodeFrame(FrameType.PONG, 1, 0n)), ann, 1)).toBe(-1);
    for (const type of [FrameType.MESSAGE, FrameType.SENT, FrameType.NACK])
      for (const payload of [[], [0x0a], [0x0a, 0xff], [0x08, 0xff, 0xff, 0x10, 0xff]])
        traces.delivered(Buffer.from(encodeFrame(type, 1, ROOM, Uint8Array.from(payload))), ann, 1);
    traces.refused(ann, encodeFrame(FrameType.SEND, 1, ROOM, Uint8Array.of(0x0a, 0xff)), 'RATE_LIMITED');
    expect(traces.find({ ...NO_SENDS, message: 5n })).toEqual([]);
  });
});
