import { describe, expect, test } from 'vitest';
import { Receipts as ReceiptsMessage } from '../../proto/client.ts';
import { Receipts } from './receipts.ts';

/** Receipts that are reported when `flush` says so, with what each frame had: conversation, delivered, read. */
function reporter() {
  const frames: number[][][] = [];
  /** Read cursors with their epochs. */
  const epochs: number[][][] = [];
  const link = { up: true };
  const receipts = new Receipts(60_000, (payload) => {
    if (link.up) {
      const { receipts: reported } = ReceiptsMessage.decode(payload);
      frames.push(
        reported.map(({ conversation, deliveredSeq, readSeq }) =>
          [conversation, deliveredSeq, readSeq].map(Number),
        ),
      );
      epochs.push(reported.map(({ readSeq, readEpoch }) => [readSeq, readEpoch].map(Number)));
    }
    return link.up;
  });
  return { receipts, frames, epochs, link };
}

describe('receipts', () => {
  test('flush: reports what has moved, once', () => {
    const { receipts, frames } = reporter();
    receipts.delivered(1n, 4);
    receipts.delivered(1n, 5);
    receipts.read(2n, 9);
    receipts.read(2n, 7);
    receipts.flush();
    receipts.flush();
    expect(frames).toEqual([
      [
        [1, 5, 0],
        [2, 0, 9],
      ],
    ]);
  });

  test('a read cursor that has gone back: what is read is reported under the new epoch, and repeated so', () => {
    const { receipts, epochs } = reporter();
    receipts.read(1n, 9);
    receipts.flush();
    receipts.learn(1n, 2n);
    receipts.learn(1n, 1n);
    receipts.read(1n, 4);
    receipts.flush();
    receipts.repeat();
    expect(epochs).toEqual([[[9, 0]], [[4, 2]], [[4, 2]]]);
  });

  test('no connection: what has moved waits', () => {
    const { receipts, frames, link } = reporter();
    link.up = false;
    receipts.read(1n, 3);
    receipts.flush();
    receipts.stop();
    link.up = true;
    receipts.flush();
    expect(frames).toEqual([[[1, 0, 3]]]);
  });

  test('repeat: what was reported is reported again, with the cursors of now', () => {
    const { receipts, frames } = reporter();
    receipts.delivered(1n, 5);
    receipts.read(1n, 4);
    receipts.read(2n, 1);
    receipts.flush();
    receipts.delivered(1n, 6);
    receipts.repeat();
    receipts.repeat();
    const all = [
      [1, 6, 4],
      [2, 0, 1],
    ];
    expect(frames.slice(1)).toEqual([all, all]);
  });

  test('repeat: of many conversations the most recently reported, in one frame', () => {
    const { receipts, frames } = reporter();
    for (let id = 1; id <= 300; id++) receipts.read(BigInt(id), 1);
    receipts.flush();
    receipts.read(1n, 2);
    receipts.flush();
    frames.length = 0;
    receipts.repeat();
    expect(frames).toHaveLength(1);
    expect(frames[0]).toHaveLength(256);
    expect(frames[0]?.at(-1)).toEqual([1, 0, 2]);
  });
});
