import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { describe, expect, test } from 'vitest';
import { resetSocket } from './reset-socket.ts';
import { within } from '../test/harness/eventually.ts';

/** A connection: the end to reset, and the other one, which does not read. */
async function pair(): Promise<AsyncDisposable & { near: Socket; far: Socket; ended: Promise<unknown> }> {
  const server = createServer({ allowHalfOpen: true });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const far = connect({
    port: (server.address() as AddressInfo).port,
    host: '127.0.0.1',
    allowHalfOpen: true,
  });
  const ended = new Promise((resolve) => {
    far.on('error', resolve);
    far.on('end', () => resolve('end'));
  });
  const [near] = (await once(server, 'connection')) as [Socket];
  return {
    near,
    far,
    ended,
    [Symbol.asyncDispose]: async () => {
      far.destroy();
      near.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

const connectionReset = expect.objectContaining({ code: 'ECONNRESET' });

describe('resetSocket', () => {
  test('an open connection: is reset', async () => {
    await using both = await pair();
    both.far.resume();
    const closed = once(both.near, 'close');
    resetSocket(both.near);
    await within('the end of the socket', closed);
    expect(await both.ended).toEqual(connectionReset);
  });

  test('unread bytes, and an end after them: are dropped', async () => {
    await using both = await pair();
    both.near.write(Buffer.alloc(32 * 1024 * 1024));
    both.near.end();
    expect(both.near.writableLength).toBeGreaterThan(0);
    const closed = once(both.near, 'close');
    resetSocket(both.near);
    await within('the end of the socket', closed);
    both.far.resume();
    expect(await both.ended).toEqual(connectionReset);
  });

  test.each([
    ['at once', (reset: () => void) => reset()],
    ['in the next tick', (reset: () => void) => process.nextTick(reset)],
    ['when it has ended', (reset: () => void, near: Socket) => void near.once('finish', reset)],
  ])('an end, and the reset %s: the socket closes, without an error', async (_, when) => {
    await using both = await pair();
    both.far.resume();
    const errors: unknown[] = [];
    both.near.on('error', (error) => errors.push(error));
    const closed = once(both.near, 'close');
    both.near.end('x');
    when(() => resetSocket(both.near), both.near);
    await within('the end of the socket', closed);
    await both.ended;
    expect(errors).toEqual([]);
  });

  test('ended before it is connected: the socket closes', async () => {
    await using both = await pair();
    const early = connect({ port: both.near.localPort as number, host: '127.0.0.1' });
    const closed = once(early, 'close');
    early.end('x');
    resetSocket(early);
    await within('the end of the socket', closed);
    expect(early.destroyed).toBe(true);
  });
});
