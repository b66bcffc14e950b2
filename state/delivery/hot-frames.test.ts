import { Buffer } from 'node:buffer';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { client, decodeHeader, encodeFrame, framePayload, FrameType, LinkKind } from '../../proto/mod.ts';
import { encodeAnswerRecord, encodeMessageFrame, encodeSentRecord } from './hot-frames.ts';

const u64 = fc.bigInt({ min: 0n, max: (1n << 64n) - 1n });
const positive = fc.bigInt({ min: 1n, max: (1n << 64n) - 1n });
const whole = fc.oneof(
  fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
  fc.constantFrom(127, 128, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 35 - 1, 2 ** 35),
);
const optional = fc.oneof(fc.constant(0), whole);
const text = fc.string({ unit: 'binary', maxLength: 300 }).filter((value) => value.isWellFormed());
const size = (value: string) => Buffer.byteLength(value);

describe('hot frames', () => {
  test('MESSAGE: the bytes are those of the generated codec', () => {
    fc.assert(
      fc.property(
        positive,
        whole,
        positive,
        positive,
        text,
        text,
        text,
        whole,
        fc.record({
          kind: fc.integer({ min: 0, max: 300 }),
          version: optional,
          target: optional,
          thread: optional,
          reason: text,
        }),
        (key, seq, id, sender, from, msg, body, at, { kind, version, target, thread, reason }) => {
          const frame = encodeMessageFrame({
            conversation: key,
            seq,
            id,
            sender,
            senderName: from,
            clientMsgId: msg,
            text: body,
            senderNameBytes: size(from),
            clientMsgIdBytes: size(msg),
            textBytes: size(body),
            atMs: at,
            kind,
            version,
            target,
            thread,
            reason,
          });
          const payload = client.Message.encode(
            client.Message.fromPartial({
              seq: BigInt(seq),
              id,
              sender,
              from,
              clientMsgId: msg,
              text: body,
              atMs: BigInt(at),
              kind: kind as client.EntryKind,
              version: BigInt(version),
              target: BigInt(target),
              reason,
              thread: BigInt(thread),
            }),
          ).finish();
          expect(Buffer.from(frame)).toEqual(Buffer.from(encodeFrame(FrameType.MESSAGE, 0, key, payload)));
        },
      ),
    );
  });

  test('SENT: the record names the connection and carries the bytes of the generated codec', () => {
    const u32 = fc.integer({ min: 0, max: 0xffffffff });
    const u16 = fc.integer({ min: 0, max: 0xffff });
    fc.assert(
      fc.property(
        u32,
        u16,
        u64,
        text,
        whole,
        positive,
        whole,
        fc.boolean(),
        optional,
        (conn, ref, key, msg, seq, id, at, again, target) => {
          const record = encodeSentRecord({
            conn,
            ref,
            conversation: key,
            clientMsgId: msg,
            clientMsgIdBytes: size(msg),
            seq,
            id,
            atMs: at,
            duplicate: again,
            target,
          });
          const payload = client.Sent.encode({
            clientMsgId: msg,
            seq: BigInt(seq),
            id,
            atMs: BigInt(at),
            duplicate: again,
            target: BigInt(target),
          }).finish();
          const frame = encodeFrame(FrameType.SENT, ref, key, payload);
          expect(Buffer.from(record)).toEqual(Buffer.from(encodeAnswerRecord(conn, frame)));
          expect(record[0]).toBe(LinkKind.DELIVER);
          expect(decodeHeader(record.subarray(8))).toEqual({ type: FrameType.SENT, flags: 0, ref, key });
          expect(client.Sent.decode(framePayload(record.subarray(8))).seq).toBe(BigInt(seq));
        },
      ),
    );
  });
});
