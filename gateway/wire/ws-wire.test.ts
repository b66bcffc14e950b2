import { describe, expect, test } from 'vitest';
import { encodeFrame, FrameType } from '../../proto/mod.ts';
import type { Downlink } from '../push/downlink.ts';
import { JsonWire } from './ws-wire-json.ts';
import { protoWire } from './ws-wire-proto.ts';

function frameOf(ref: number): Buffer {
  return Buffer.from(encodeFrame(FrameType.PONG, ref, 0n));
}

/** The list that a connection holds when it gets these frames in one tick. */
function list(...frames: readonly Buffer[]): Downlink {
  let node: Downlink | undefined;
  for (const frame of frames) {
    node = {
      previous: node,
      frame,
      count: (node?.count ?? 0) + 1,
      bytes: (node?.bytes ?? 0) + frame.length,
      trace: -1,
      next: undefined,
      joined: undefined,
      message: undefined,
      text: undefined,
    };
  }
  return node as Downlink;
}

const fail = (error: unknown): never => {
  throw error;
};

describe('messages are built once', () => {
  const [a, b] = [frameOf(1), frameOf(2)];

  test('the same list: the same bytes, for all receivers', () => {
    const frames = list(a, b);
    const json = new JsonWire(fail);
    expect(json.pack(frames)).toBe(json.pack(frames));
    expect(protoWire.pack(frames, false)).toBe(protoWire.pack(frames, true));
  });

  test('JSON: a frame that is joined with different others is translated once', () => {
    const json = new JsonWire(fail);
    const alone = json.pack(list(a));
    expect(json.pack(list(a))).toBe(alone);
    const both = json.pack(list(b, a));
    expect(both.subarray(-alone.length)).toEqual(alone);
    expect(both).toEqual(Buffer.concat([json.pack(list(b)), alone]));
  });

  test('bytes that will wait: are copied', () => {
    const frames = list(a, b);
    const message = protoWire.pack(frames, true);
    expect(message.buffer.byteLength).toBe(message.length);
    const json = new JsonWire(fail).pack(list(a));
    expect(json.buffer.byteLength).toBe(json.length);
  });
});

test('JSON: a frame that does not parse is reported and left out, the others are sent', () => {
  const errors: unknown[] = [];
  const json = new JsonWire((error) => errors.push(error));
  const broken = Buffer.from(encodeFrame(FrameType.MESSAGE, 0, 1n, Uint8Array.of(0xff)));
  const good = frameOf(1);
  expect(json.pack(list(broken, good))).toEqual(json.pack(list(good)));
  expect(errors).toHaveLength(1);
});
