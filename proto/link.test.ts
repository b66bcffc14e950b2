import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  decodeConns,
  deliverCount,
  encodeConns,
  encodeDeliverHead,
  encodeDetach,
  encodeFrameHead,
  encodePublishHead,
  encodeRecord,
  encodeTopicHead,
  FRAME_RECORD_HEADER_BYTES,
  link,
  LinkKind,
  NO_CONNECTION,
  PUBLISH_HEAD_BYTES,
  readU32,
  topicCount,
  topicOf,
} from './mod.ts';

const conn = fc.integer({ min: 0, max: 0xffff_ffff });
const conns = fc.array(conn, { maxLength: 50 });
const topic = fc.integer({ min: 0, max: 0xff_ffff });

describe('records', () => {
  test.each([
    ['ATTACHED', encodeConns(LinkKind.ATTACHED, [1, 0xdead_beef]), '1100000001deadbeef'],
    ['DETACH', encodeDetach(7, true), '040000000701'],
    ['DETACH of what broke', encodeDetach(7, false), '040000000700'],
    ['FENCE of none', encodeConns(LinkKind.FENCE, []), '14'],
    ['FRAME head', encodeFrameHead(0xffff_ffff, 7), '06ffffffff00000007'],
    ['DELIVER head', encodeDeliverHead([5, 6]), '100000020000000500000006'],
    ['TOPIC head', encodeTopicHead(0x010203), '16010203'],
    ['PUBLISH head', encodePublishHead(0xffffff, 0xdead_beef), '17ffffffdeadbeef'],
    ['PUBLISH head for all', encodePublishHead(1, NO_CONNECTION), '1700000100000000'],
    ['READY', encodeRecord(LinkKind.READY, new Uint8Array(0)), '03'],
    ['a body', encodeRecord(LinkKind.LOGIN, Uint8Array.of(8, 1)), '050801'],
  ])('%s: has its layout', (_, record, hex) => {
    expect(Buffer.from(record).toString('hex')).toBe(hex);
  });

  test('connections: any list survives a round trip', () => {
    fc.assert(
      fc.property(conns, (list) => {
        const record = encodeConns(LinkKind.ATTACHED, list);
        expect(record[0]).toBe(LinkKind.ATTACHED);
        expect(record).toHaveLength(1 + 4 * list.length);
        expect(decodeConns(record)).toEqual(list);
      }),
    );
  });

  test('connections: a truncated record gives the complete ones', () => {
    const record = encodeConns(LinkKind.ATTACHED, [1, 2]);
    expect(decodeConns(record.subarray(0, 7))).toEqual([1]);
    expect(decodeConns(record.subarray(0, 1))).toEqual([]);
  });

  test('FRAME: the record is its head and the frame', () => {
    fc.assert(
      fc.property(conn, conn, fc.uint8Array({ maxLength: 40 }), (number, round, frame) => {
        const record = Uint8Array.of(...encodeFrameHead(number, round), ...frame);
        expect(record[0]).toBe(LinkKind.FRAME);
        expect(readU32(record, 1)).toBe(number);
        expect(readU32(record, 5)).toBe(round);
        expect(record.subarray(FRAME_RECORD_HEADER_BYTES)).toEqual(frame);
      }),
    );
  });

  test('DELIVER: names each connection, and the frame follows the last', () => {
    fc.assert(
      fc.property(conns, fc.uint8Array({ maxLength: 40 }), (list, frame) => {
        const record = Uint8Array.of(...encodeDeliverHead(list), ...frame);
        expect(record[0]).toBe(LinkKind.DELIVER);
        const count = deliverCount(record);
        expect(Array.from({ length: count }, (_, i) => readU32(record, 4 + 4 * i))).toEqual(list);
        expect(record.subarray(4 + 4 * count)).toEqual(frame);
      }),
    );
  });

  test('DELIVER: counts beyond 16 bits', () => {
    const list = Array.from({ length: 70_000 }, (_, i) => i);
    const head = encodeDeliverHead(list);
    expect(deliverCount(head)).toBe(70_000);
    expect(head[0]).toBe(LinkKind.DELIVER);
  });

  test('TOPIC: names each connection where a DELIVER names it', () => {
    fc.assert(
      fc.property(topic, conns, (number, list) => {
        const record = Uint8Array.of(...encodeTopicHead(number), ...encodeDeliverHead(list).subarray(4));
        expect([record[0], topicOf(record)]).toEqual([LinkKind.TOPIC, number]);
        const count = topicCount(record);
        expect(Array.from({ length: count }, (_, i) => readU32(record, 4 + 4 * i))).toEqual(list);
      }),
    );
  });

  test('PUBLISH: the record is its head and the frame', () => {
    fc.assert(
      fc.property(topic, conn, fc.uint8Array({ maxLength: 40 }), (number, except, frame) => {
        const record = Uint8Array.of(...encodePublishHead(number, except), ...frame);
        expect([record[0], topicOf(record), readU32(record, 4)]).toEqual([LinkKind.PUBLISH, number, except]);
        expect(record.subarray(PUBLISH_HEAD_BYTES)).toEqual(frame);
      }),
    );
  });

  test('messages: an Attach in a record survives a round trip', () => {
    const attach = link.Attach.fromPartial({
      conn: 3,
      user: 2n ** 63n,
      userName: 'alice',
      device: 'laptop',
      session: 1n,
      epoch: 2n ** 64n - 1n,
      unnamedDevice: true,
    });
    const record = encodeRecord(LinkKind.ATTACH, link.Attach.encode(attach).finish());
    expect(record[0]).toBe(LinkKind.ATTACH);
    expect(link.Attach.decode(record.subarray(1))).toEqual(attach);
  });
});
