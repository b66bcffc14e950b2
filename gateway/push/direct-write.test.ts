import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { PassThrough } from 'node:stream';
import { TLSSocket } from 'node:tls';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { descriptorOf, writeNow } from './direct-write.ts';
import { receive } from '../testing/test-sockets.ts';

/** More than a socket on loopback takes at once. */
const MANY_BYTES = 32 * 1024 * 1024;

const server = createServer();
let ours: Socket;
let theirs: Socket;
let descriptor: number;

beforeEach(async () => {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  theirs = connect((server.address() as AddressInfo).port, '127.0.0.1');
  [[ours]] = await Promise.all([once(server, 'connection') as Promise<[Socket]>, once(theirs, 'connect')]);
  descriptor = descriptorOf(ours);
});

afterEach(async () => {
  ours.destroy();
  theirs.destroy();
  server.close();
  await once(server, 'close');
});

test('a socket that keeps up: the bytes arrive, and nothing waits', async () => {
  writeNow(ours, descriptor, Buffer.from('one'));
  writeNow(ours, descriptor, Buffer.from('two'));
  expect(ours.writableLength).toBe(0);
  // Node has not seen them: they went past it.
  expect(ours.bytesWritten).toBe(0);
  expect((await receive(theirs, 6)).toString()).toBe('onetwo');
});

test('a socket that is behind: the rest waits in it, in order with what comes after', async () => {
  const large = Buffer.alloc(MANY_BYTES, 'x');
  writeNow(ours, descriptor, large);
  expect(ours.writableLength).toBeGreaterThan(0);
  expect(ours.writableLength).toBeLessThan(MANY_BYTES);
  writeNow(ours, descriptor, Buffer.from('end'));
  const received = await receive(theirs, MANY_BYTES + 3);
  expect(received.length).toBe(MANY_BYTES + 3);
  expect(received.subarray(MANY_BYTES - 1).toString()).toBe('xend');
});

test('a socket that takes nothing: all of it waits', async () => {
  while (ours.writableLength === 0) writeNow(ours, descriptor, Buffer.alloc(1 << 20));
  const waiting = ours.writableLength;
  writeNow(ours, descriptor, Buffer.from('end'));
  expect(ours.writableLength).toBe(waiting + 3);
});

test('a socket that is destroyed: its descriptor, which may be another one by now, is not touched', async () => {
  ours.on('error', () => undefined);
  ours.destroy();
  await once(ours, 'close');
  const other = connect((server.address() as AddressInfo).port, '127.0.0.1');
  const [accepted] = (await once(server, 'connection')) as [Socket];
  try {
    expect([descriptorOf(other), descriptorOf(accepted)]).toContain(descriptor);
    writeNow(ours, descriptor, Buffer.from('stray'));
    accepted.write('true');
    const [first] = (await once(other, 'data')) as [Buffer];
    expect(first.toString()).toBe('true');
  } finally {
    other.destroy();
    accepted.destroy();
  }
});

test('a client that has reset: the socket closes, nothing is thrown', async () => {
  const closed = new Promise((resolve) => ours.on('error', () => undefined).on('close', resolve));
  theirs.resetAndDestroy();
  await once(theirs, 'close');
  writeNow(ours, descriptor, Buffer.from('late'));
  await closed;
});

test('what is no plain socket: has no descriptor and is written to as ever', async () => {
  const stream = new PassThrough();
  expect(descriptorOf(stream)).toBe(-1);
  writeNow(stream, -1, Buffer.from('bytes'));
  expect(String(stream.read())).toBe('bytes');
  const tls = new TLSSocket(ours);
  tls.on('error', () => undefined);
  expect(descriptorOf(tls)).toBe(-1);
  tls.destroy();
});
