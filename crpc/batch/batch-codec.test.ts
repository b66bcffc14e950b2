/** The batch codec against ts-proto's and against anything at all. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { link } from '../../proto/mod.ts';
import { BatchWriter, END_BATCH, isEndBatch, decodeBatch, recordBytes } from './batch-codec.ts';

const MAX_BATCH_BYTES = 1024 * 1024;

function encode(records: readonly Uint8Array[], tails: readonly (Uint8Array | undefined)[] = []): Buffer {
  const writer = new BatchWriter(MAX_BATCH_BYTES);
  records.forEach((record, index) => expect(writer.append(record, tails[index])).toBe(true));
  return Buffer.from(writer.take());
}

const records = fc.array(fc.uint8Array({ maxLength: 300 }), { minLength: 1, maxLength: 40 });

describe('batch codec', () => {
  test('encode: the bytes are those of the protobuf message', () => {
    fc.assert(
      fc.property(records, (list) => {
        expect(encode(list)).toEqual(Buffer.from(link.Batch.encode({ record: list, end: false }).finish()));
      }),
    );
  });

  test.each([0, 1, 23, 24, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152])(
    'a record of %i bytes: encoded as protobuf does, decoded as it was',
    (length) => {
      const record = Buffer.alloc(length, 0xab);
      const batch = encode([record]);
      expect(batch.equals(Buffer.from(link.Batch.encode({ record: [record], end: false }).finish()))).toBe(
        true,
      );
      expect(batch.length).toBe(recordBytes(length));
      expect(Buffer.from(decodeBatch(batch)?.[0] as Uint8Array).equals(record)).toBe(true);
    },
  );

  test('a tail: becomes part of its record', () => {
    const batch = encode([Buffer.from('ab'), Buffer.from('x')], [Buffer.from('cd'), undefined]);
    expect(decodeBatch(batch)?.map((record) => Buffer.from(record).toString())).toEqual(['abcd', 'x']);
  });

  test('decode: returns what was encoded, as views of the batch', () => {
    fc.assert(
      fc.property(records, (list) => {
        const batch = encode(list);
        const decoded = decodeBatch(batch) as Uint8Array[];
        expect(decoded.map((record) => [...record])).toEqual(list.map((record) => [...record]));
        expect(decoded.every((record) => record.buffer === batch.buffer)).toBe(true);
      }),
    );
  });

  test('decode: a batch truncated anywhere gives whole records or is malformed, and never throws', () => {
    const batch = encode([Buffer.alloc(3, 1), Buffer.alloc(200, 2), Buffer.alloc(0)]);
    for (let cut = 0; cut < batch.length; cut++) {
      const decoded = decodeBatch(batch.subarray(0, cut));
      expect(decoded === undefined || [0, 5, 208].includes(cut), `cut at ${cut}`).toBe(true);
    }
  });

  test('decode: skips other fields, as protobuf does', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 20 }),
        fc.integer({ min: 2, max: 15 }),
        fc.constantFrom(0, 1, 2, 5),
        (record, field, wireType) => {
          const value = { 0: [0x96, 0x01], 1: [1, 2, 3, 4, 5, 6, 7, 8], 2: [2, 9, 9], 5: [1, 2, 3, 4] }[
            wireType
          ];
          const batch = Buffer.concat([
            Buffer.from([(field << 3) | wireType, ...(value ?? [])]),
            encode([record]),
          ]);
          expect(decodeBatch(batch)?.map((one) => [...one])).toEqual([[...record]]);
        },
      ),
    );
  });

  test('decode: any bytes give records or undefined', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        const decoded = decodeBatch(Buffer.from(bytes));
        expect(decoded === undefined || Array.isArray(decoded)).toBe(true);
      }),
      { numRuns: 2000 },
    );
  });

  test('the goodbye: is the protobuf message with end set, and holds no record', () => {
    expect(END_BATCH).toEqual(Buffer.from(link.Batch.encode({ record: [], end: true }).finish()));
    expect(isEndBatch(END_BATCH)).toBe(true);
    expect(isEndBatch(encode([Buffer.alloc(0)]))).toBe(false);
    expect(decodeBatch(END_BATCH)).toEqual([]);
  });

  test('append: refuses what would exceed the bound of a batch, but accepts one large record alone', () => {
    const writer = new BatchWriter(100);
    expect(writer.append(new Uint8Array(60), undefined)).toBe(true);
    expect(writer.append(new Uint8Array(5000), undefined)).toBe(false);
    writer.take();
    expect(writer.append(new Uint8Array(5000), undefined)).toBe(true);
    expect(writer.bytes).toBe(recordBytes(5000));
  });

  test('recycle: a returned batch is reused, one not returned is not overwritten', () => {
    const writer = new BatchWriter(MAX_BATCH_BYTES);
    writer.append(Buffer.from('first'), undefined);
    const first = writer.take();
    writer.append(Buffer.from('second'), undefined);
    const second = writer.take();
    expect(second.buffer).not.toBe(first.buffer);
    expect(decodeBatch(first)?.map(String)).toEqual([String(new Uint8Array(Buffer.from('first')))]);
    writer.recycle(first);
    writer.append(Buffer.from('third'), undefined);
    expect(writer.take().buffer).toBe(first.buffer);
  });
});
