import fc from 'fast-check';
import { expect, test } from 'vitest';
import { encodeFrame, FrameType } from '../../proto/mod.ts';
import { HeldFrames } from './held-frames.ts';

test('random additions and removals: frames come out in order and complete, and later ones do not overwrite them', () => {
  const step = fc.oneof(
    fc.record({ payload: fc.uint8Array({ maxLength: 700 }), bytes: fc.nat({ max: 0xffff_ffff }) }),
    fc.constant('shift' as const),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 100 }), (steps) => {
      const held = new HeldFrames();
      const waiting: { frame: Uint8Array; bytes: number }[] = [];
      const out: [Uint8Array, Uint8Array][] = [];
      const shift = () => {
        const wanted = waiting.shift();
        const { frame, bytes } = held.shift();
        expect(bytes).toBe(wanted?.bytes);
        out.push([frame, wanted?.frame as Uint8Array]);
      };
      for (const next of steps) {
        if (next !== 'shift') {
          const frame = encodeFrame(FrameType.SEND, 1, 7n, next.payload);
          held.push(frame, next.bytes);
          waiting.push({ frame, bytes: next.bytes });
        } else if (!held.isEmpty) shift();
      }
      while (!held.isEmpty) shift();
      expect(waiting).toEqual([]);
      for (const [frame, wanted] of out) expect(Buffer.compare(frame, wanted)).toBe(0);
    }),
  );
});
