/** The same bytes to many sockets, in one call and without it. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { descriptorOf, openWriteMany, silentLogger } from '../../common/mod.ts';
import { wasCutOff } from '../wire/socket-ends.ts';
import { receive } from '../testing/test-sockets.ts';
import { BroadcastWriter } from './broadcast-writer.ts';
import { within } from '../../test/harness/eventually.ts';

/** undefined where it is turned off; `make test` needs a C compiler for it. */
const compiled = await openWriteMany(
  silentLogger,
  join(import.meta.dirname, '../../dist/common/internals/write-many.node'),
);
/** More than a socket on loopback takes at once. */
const MANY_BYTES = 32 * 1024 * 1024;

interface Pair {
  readonly ours: Socket;
  readonly theirs: Socket;
}

let cleanup: (() => Promise<void>) | undefined;
afterEach(() => cleanup?.());

async function connectPairs(count: number): Promise<Pair[]> {
  const server = createServer({ noDelay: true }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const pairs: Pair[] = [];
  while (pairs.length < count) {
    const theirs = connect(port, '127.0.0.1');
    const [[ours]] = await Promise.all([
      once(server, 'connection') as Promise<[Socket]>,
      once(theirs, 'connect'),
    ]);
    ours.on('error', () => undefined);
    theirs.on('error', () => undefined);
    pairs.push({ ours, theirs });
  }
  cleanup = async () => {
    for (const { ours, theirs } of pairs) {
      ours.destroy();
      theirs.destroy();
    }
    server.close();
    await once(server, 'close');
  };
  return pairs;
}

describe.each([
  ['in one call', () => compiled],
  ['one by one', () => undefined],
])('%s', (_, writeMany) => {
  const writeTo = (writer: BroadcastWriter, { ours }: Pair, bytes: Buffer) =>
    writer.write(ours, descriptorOf(ours), bytes);

  test('more sockets than one call takes: each gets all bytes in order, and nothing waits', async () => {
    const pairs = await connectPairs(1030);
    const writer = new BroadcastWriter(writeMany());
    for (const text of ['one ', 'two ', 'three']) {
      const bytes = Buffer.from(text);
      for (const pair of pairs) writeTo(writer, pair, bytes);
      writer.flush();
    }
    for (const pair of pairs) {
      expect(pair.ours.writableLength).toBe(0);
      expect((await receive(pair.theirs, 13)).toString()).toBe('one two three');
    }
  });

  test('several buffers in a row: each socket gets its own', async () => {
    const pairs = await connectPairs(12);
    const writer = new BroadcastWriter(writeMany());
    const texts = [Buffer.from('first'), Buffer.from('other')] as const;
    const textOf = (index: number) => texts[index < 5 || index === 8 ? 0 : 1];
    for (const [index, pair] of pairs.entries()) writeTo(writer, pair, textOf(index));
    writer.flush();
    for (const [index, pair] of pairs.entries())
      expect((await receive(pair.theirs, 5)).toString()).toBe(textOf(index).toString());
  });

  test('one socket is full: its rest waits in it, and the others get theirs', async () => {
    const pairs = await connectPairs(6);
    const [slow, ...others] = pairs as [Pair, ...Pair[]];
    const writer = new BroadcastWriter(writeMany());
    writeTo(writer, slow, Buffer.alloc(MANY_BYTES, 'x'));
    writer.flush();
    expect(slow.ours.writableLength).toBeGreaterThan(0);
    const bytes = Buffer.from('end');
    for (const pair of pairs) writeTo(writer, pair, bytes);
    writer.flush();
    for (const pair of others) expect((await receive(pair.theirs, 3)).toString()).toBe('end');
    const received = await receive(slow.theirs, MANY_BYTES + 3);
    expect(received.length).toBe(MANY_BYTES + 3);
    expect(received.subarray(MANY_BYTES - 1).toString()).toBe('xend');
  });

  test('more bytes than any socket takes at once: the rest waits in each', async () => {
    const pairs = await connectPairs(4);
    const writer = new BroadcastWriter(writeMany());
    const bytes = Buffer.alloc(MANY_BYTES, 'x');
    for (const pair of pairs) writeTo(writer, pair, bytes);
    writer.flush();
    for (const { ours } of pairs) {
      expect(ours.writableLength).toBeGreaterThan(0);
      // Node counts a write until all of it is taken.
      if (writeMany() !== undefined) expect(ours.writableLength).toBeLessThan(MANY_BYTES);
    }
    for (const pair of pairs) expect((await receive(pair.theirs, MANY_BYTES)).length).toBe(MANY_BYTES);
  });

  // One by one, Node destroys the socket with the write that fails.
  test.skipIf(writeMany() === undefined)(
    'a socket with unread input is reset: the input is read first, and the end counts as a break',
    async () => {
      const [pair] = (await connectPairs(1)) as [Pair];
      const { ours, theirs } = pair;
      const heard: string[] = [];
      const closed = new Promise((resolve) =>
        ours.on('data', (data) => heard.push(String(data))).once('close', resolve),
      );
      // All of it before the event loop reads the socket.
      theirs.write('goodbye');
      theirs.resetAndDestroy();
      const writer = new BroadcastWriter(writeMany());
      writeTo(writer, pair, Buffer.from('late'));
      writer.flush();
      await within('the end of the socket', closed);
      expect(heard).toEqual(['goodbye']);
      expect(wasCutOff(ours)).toBe(true);
    },
  );

  test('a peer has closed while more was on its way: its end does not count as a break', async () => {
    const [pair] = (await connectPairs(1)) as [Pair];
    const { ours, theirs } = pair;
    const closed = new Promise((resolve) => ours.resume().once('close', resolve));
    theirs.destroy();
    const writer = new BroadcastWriter(writeMany());
    // The kernel answers the first with a reset, and refuses the second.
    for (const text of ['late', 'later']) {
      writeTo(writer, pair, Buffer.from(text));
      writer.flush();
    }
    await within('the end of the socket', closed);
    expect(wasCutOff(ours)).toBe(false);
  });

  test('a socket that is not being read is reset: it closes', async () => {
    const [pair] = (await connectPairs(1)) as [Pair];
    const { ours, theirs } = pair;
    const closed = new Promise((resolve) => ours.pause().once('close', resolve));
    theirs.resetAndDestroy();
    const writer = new BroadcastWriter(writeMany());
    writeTo(writer, pair, Buffer.from('late'));
    writer.flush();
    await within('the end of the socket', closed);
    expect(wasCutOff(ours)).toBe(true);
  });

  test('one socket reset, one destroyed: they close, and the others get theirs', async () => {
    const pairs = await connectPairs(8);
    const [reset, gone, ...others] = pairs as [Pair, Pair, ...Pair[]];
    const closed = Promise.all(
      [reset, gone].map(({ ours }) => new Promise((resolve) => ours.once('close', resolve))),
    );
    reset.theirs.resetAndDestroy();
    await within('the reset', once(reset.theirs, 'close'));
    gone.ours.destroy();
    const writer = new BroadcastWriter(writeMany());
    const bytes = Buffer.from('late');
    for (const pair of pairs) writeTo(writer, pair, bytes);
    writer.flush();
    for (const pair of others) expect((await receive(pair.theirs, 4)).toString()).toBe('late');
    await within('the end of the socket', closed);
  });
});
