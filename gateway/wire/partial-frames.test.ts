import { expect, test } from 'vitest';
import type { Connection } from '../connections/connection.ts';
import { PartialFrames } from './partial-frames.ts';
import { newWorkerStats } from '../supervisor/worker-stats.ts';

function frames(maxBytes: number) {
  const { partial, ...stats } = newWorkerStats();
  const evicted: string[] = [];
  const all = new PartialFrames({
    maxBytes,
    stats: { ...stats, partial },
    evict: (connection) => evicted.push(connection.userName),
  });
  const connection = (userName: string) => ({ userName, partialBytes: 0 }) as Connection;
  return { all, partial, evicted, a: connection('a'), b: connection('b'), c: connection('c') };
}

test('memory of unfinished frames: is counted, and given back once', () => {
  const { all, partial, evicted, a, b } = frames(100);
  all.hold(a, 10, true);
  all.hold(b, 20, true);
  all.hold(a, 40, false);
  expect(partial).toEqual({ frames: 2, bytes: 60 });
  all.release(a);
  all.release(a);
  expect(partial).toEqual({ frames: 1, bytes: 20 });
  all.release(b);
  expect(partial).toEqual({ frames: 0, bytes: 0 });
  expect(evicted).toEqual([]);
});

test('too much in all: the frames that began first are cut, as many as needed', () => {
  const { all, partial, evicted, a, b, c } = frames(100);
  all.hold(a, 30, true);
  all.hold(b, 30, true);
  all.hold(a, 40, false);
  all.hold(c, 95, true);
  expect(evicted).toEqual(['a', 'b']);
  expect(partial).toEqual({ frames: 1, bytes: 95 });
});

test('a client that begins a new frame: is no longer the oldest', () => {
  const { all, evicted, a, b } = frames(100);
  all.hold(a, 30, true);
  all.hold(b, 30, true);
  all.hold(a, 80, true);
  expect(evicted).toEqual(['b']);
});

test('a single client that holds too much: is cut itself', () => {
  const { all, partial, evicted, a } = frames(100);
  all.hold(a, 101, true);
  expect(evicted).toEqual(['a']);
  expect(partial).toEqual({ frames: 0, bytes: 0 });
});
