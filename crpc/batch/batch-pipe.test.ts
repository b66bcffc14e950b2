import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { decodeBatch } from './batch-codec.ts';
import { BatchPipe } from './batch-pipe.ts';
import { SendResult } from './batch-stream.ts';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setImmediate'] });
});

afterEach(() => {
  vi.useRealTimers();
});

/** An open pipe, and the batches that it has written. */
function setUp() {
  const batches: string[][] = [];
  const write = (batch: Buffer) =>
    void batches.push((decodeBatch(batch) ?? []).map((each) => Buffer.from(each).toString()));
  const idle = () => undefined;
  const pipe = new BatchPipe('peer', { write, pause: idle, resume: idle, finish: idle }, {});
  pipe.opened({ onRecords: idle, onEnd: idle });
  return { batches, pipe };
}

const record = (text: string) => Buffer.from(text);

test('sendSoon: waits for others, and for 50 ms at most', () => {
  const { batches, pipe } = setUp();
  expect(pipe.sendSoon(record('1'))).toBe(SendResult.SUCCESS);
  vi.advanceTimersByTime(32);
  pipe.sendSoon(record('2'));
  vi.advanceTimersByTime(17);
  expect(batches).toEqual([]);
  vi.advanceTimersByTime(1);
  expect(batches).toEqual([['1', '2']]);
});

test('sendSoon: goes along with the next send, in order', () => {
  const { batches, pipe } = setUp();
  pipe.sendSoon(record('1'));
  pipe.send(record('2'));
  pipe.sendSoon(record('3'));
  vi.advanceTimersByTime(0);
  expect(batches).toEqual([['1', '2', '3']]);
  expect(vi.getTimerCount()).toBe(0);
});

test('sendSoon: a closed pipe accepts nothing, and writes what it had accepted', () => {
  const { batches, pipe } = setUp();
  pipe.sendSoon(record('1'));
  pipe.close();
  expect(pipe.sendSoon(record('2'))).toBe(SendResult.CLOSED);
  vi.advanceTimersByTime(20);
  expect(batches).toEqual([['1']]);
});
