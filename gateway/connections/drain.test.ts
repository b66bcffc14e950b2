import { PassThrough } from 'node:stream';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Connection, Phase } from './connection.ts';
import { ConnectionTable } from './connection-table.ts';
import { Drain } from './drain.ts';
import { fakeTransport } from '../testing/test-transport.ts';

let table: ConnectionTable;
let closed: Connection[];
let drain: Drain;

beforeEach(() => {
  vi.useFakeTimers();
  table = new ConnectionTable();
  closed = [];
  drain = new Drain(table, (connection) => {
    connection.phase = Phase.CLOSING;
    closed.push(connection);
  });
});

afterEach(() => {
  drain.cancel();
  vi.useRealTimers();
});

function connect(count: number): void {
  const socket = new PassThrough();
  for (let i = 0; i < count; i++) table.add((conn) => new Connection(conn, fakeTransport, socket, {}));
}

test('many connections: closed evenly over the time, each once', async () => {
  connect(1000);
  const done = drain.run(10_000, 5000);
  expect(closed.length).toBe(10);
  await vi.advanceTimersByTimeAsync(2500);
  expect(closed.length).toBeGreaterThan(400);
  expect(closed.length).toBeLessThan(600);
  await vi.advanceTimersByTimeAsync(2500);
  expect(closed.length).toBe(1000);
  expect(new Set(closed).size).toBe(1000);
  drain.onEmpty();
  await done;
});

test('sockets that do not end: the drain is done at the deadline', async () => {
  connect(1);
  let done = false;
  void drain.run(1000, 500).then(() => (done = true));
  await vi.advanceTimersByTimeAsync(999);
  expect(done).toBe(false);
  await vi.advanceTimersByTimeAsync(1);
  expect(done).toBe(true);
});

test('a connection that is already closing: is not closed again', async () => {
  connect(2);
  for (const connection of table) {
    connection.phase = Phase.CLOSING;
    break;
  }
  void drain.run(1000, 0);
  expect(closed.length).toBe(1);
});

test('a second call: returns the first run', () => {
  connect(1);
  expect(drain.run(1000, 0)).toBe(drain.run(5, 5));
  expect(closed.length).toBe(1);
});
