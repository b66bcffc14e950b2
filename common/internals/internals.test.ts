/** Tests of the pieces that reach into internals: each works here, and turns itself off where the internals differ. */
import { createRequire } from 'node:module';
import { connect } from 'node:http2';
import type { ClientHttp2Session } from 'node:http2';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import pino from 'pino';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { WebSocketServer } from 'ws';
import { patchPing } from './http2-ping.ts';
import { type Gc, openMemory } from './memory.ts';
import { isNativeOn, probe, probeNow } from './native.ts';
import { openWriteMany, type WriteMany } from './write-many.ts';
import { openWsReceiver, type Upgrader } from './ws-receiver.ts';

const BUILT = join(import.meta.dirname, '../../dist/common/internals/write-many.node');

/** A logger that keeps its lines. */
function listen() {
  const lines: { piece: string; without: string; msg: string }[] = [];
  const logger = pino({}, { write: (line) => void lines.push(JSON.parse(line) as (typeof lines)[number]) });
  return { logger, lines };
}

beforeEach(() => void vi.stubEnv('GOCHAT_NATIVE', '1'));
afterEach(() => void vi.unstubAllEnvs());

describe('the switch', () => {
  test.each([
    [undefined, true],
    ['1', true],
    ['0', false],
  ])('GOCHAT_NATIVE=%s', (value, isOn) => {
    expect(isNativeOn({ GOCHAT_NATIVE: value })).toBe(isOn);
  });

  test('off: nothing is tried, and each piece logs once what is lost without it', async () => {
    vi.stubEnv('GOCHAT_NATIVE', '0');
    const { logger, lines } = listen();
    const server = new WebSocketServer({ noServer: true });
    const untouched = () => expect.fail('it was tried');
    expect(openWsReceiver({ handleUpgrade: untouched }, logger)).toBeUndefined();
    expect(openMemory(logger, untouched)).toBeUndefined();
    expect(await openWriteMany(logger, BUILT, untouched)).toBeUndefined();
    server.close();
    expect(lines.map(({ piece, msg }) => [piece, msg])).toEqual(
      ['ws-receiver', 'memory', 'write-many'].map((piece) => [piece, 'turned off by GOCHAT_NATIVE=0']),
    );
    expect(lines.every(({ without }) => without.length > 0)).toBe(true);
  });

  test('a check that throws: the piece is off, and the log says why', async () => {
    const { logger, lines } = listen();
    const piece = { name: 'piece', without: 'less' };
    const fails = () => {
      throw new Error('no such field');
    };
    expect(probeNow(piece, logger, fails)).toBe(false);
    expect(await probe(piece, logger, fails)).toBe(false);
    expect(lines).toHaveLength(2);
    expect(lines[0]).toMatchObject({ piece: 'piece', without: 'less', reason: 'no such field' });
  });
});

describe('the receiver of ws', () => {
  interface Fake {
    _receiver?: Record<string, unknown>;
    terminate(): void;
  }
  const fake = (receiver: Record<string, unknown> | undefined): Upgrader<Fake> => ({
    handleUpgrade: (_request, _socket, _head, done) =>
      done({ ...(receiver && { _receiver: receiver }), terminate: () => undefined }),
  });

  test('the installed version: it recognises a partial message', () => {
    const { logger, lines } = listen();
    const server = new WebSocketServer({ noServer: true, clientTracking: false });
    expect(openWsReceiver(server, logger)).toBeTypeOf('function');
    expect(lines).toEqual([]);
  });

  test.each([
    ['no receiver', undefined],
    ['a field with another name', { state: 0, _bufferedBytes: 0, _fragmented: 0 }],
    ['fields that do not move', { _state: 0, _bufferedBytes: 0, _fragmented: 0 }],
  ])('%s: off', (_, receiver) => {
    const { logger, lines } = listen();
    expect(openWsReceiver(fake(receiver), logger)).toBeUndefined();
    expect(lines.map(({ piece }) => piece)).toEqual(['ws-receiver']);
  });

  test('a version with other internals: off', () => {
    const { logger, lines } = listen();
    expect(openWsReceiver({ handleUpgrade: () => undefined }, logger)).toBeUndefined();
    expect(lines).toHaveLength(1);
  });
});

describe('pings of HTTP/2', () => {
  test('the installed version: a closing session answers pings itself, an open one does not', async () => {
    const open = () =>
      connect('http://localhost', { createConnection: () => new PassThrough() }).on('error', () => undefined);
    const prototype = Object.getPrototypeOf(Object.getPrototypeOf(open())) as ClientHttp2Session;
    const original: unknown = Reflect.get(prototype, 'ping');
    try {
      expect(patchPing(open())).toBe(true);
      const session = open();
      session.request().on('error', () => undefined);
      const answered: (Error | null)[] = [];
      session.ping((error) => void answered.push(error));
      expect(answered).toEqual([]);
      session.close();
      await new Promise<void>((resolve) => void session.ping(() => resolve()));
      session.destroy();
    } finally {
      Reflect.set(prototype, 'ping', original);
    }
  });

  class Base {
    closed = false;
    destroyed = false;
    ping(): unknown {
      return 'original';
    }
    request(): unknown {
      return { on: () => undefined };
    }
    close(): void {
      this.closed = true;
    }
    destroy(): void {
      this.destroyed = true;
    }
  }
  test.each([
    [
      'a session that ends as soon as it closes',
      class extends Base {
        override close(): void {
          this.destroyed = this.closed = true;
        }
      },
    ],
    [
      'a session that does not say that it is closing',
      class extends Base {
        override close(): void {
          this.closed = false;
        }
      },
    ],
  ])('%s: off, and ping is as it was', (_, Session) => {
    class Client extends Session {}
    const client = new Client();
    expect(patchPing(client as unknown as ClientHttp2Session)).toBe(false);
    client.closed = true;
    client.destroyed = false;
    expect(client.ping()).toBe('original');
  });

  test('no ping: off', () => {
    expect(patchPing(Object.create(Object.create({})) as ClientHttp2Session)).toBe(false);
  });
});

describe('write-many', () => {
  test('built: it writes', async () => {
    const { logger, lines } = listen();
    expect(await openWriteMany(logger, BUILT)).toBeTypeOf('function');
    expect(lines).toEqual([]);
  });

  test('not built: sockets are written one by one, without a log line', async () => {
    const { logger, lines } = listen();
    expect(await openWriteMany(logger, '/nowhere/write-many.node')).toBeUndefined();
    expect(lines).toEqual([]);
  });

  test.each<[string, WriteMany]>([
    ['a socket that takes nothing', (_descriptors, _count, _bytes, taken) => void taken.fill(-9)],
    [
      'an invalid descriptor',
      (descriptors) => {
        throw new RangeError(`bad descriptor ${descriptors[0]}`);
      },
    ],
  ])('%s: one by one', async (_, writeMany) => {
    const { logger, lines } = listen();
    expect(await openWriteMany(logger, BUILT, () => writeMany)).toBeUndefined();
    expect(lines.map(({ piece }) => piece)).toEqual(['write-many']);
  });

  const compiled = createRequire(import.meta.url)(BUILT) as (...all: unknown[]) => void;
  test.each<[string, readonly unknown[]]>([
    ['too few arguments', [new Int32Array(1), 1, Buffer.from('x')]],
    ['more sockets than descriptors', [new Int32Array(1), 2, Buffer.from('x'), new Int32Array(2)]],
    ['more sockets than places', [new Int32Array(2), 2, Buffer.from('x'), new Int32Array(1)]],
    ['arrays of another type', [new Float64Array(1), 1, Buffer.from('x'), new Int32Array(1)]],
    ['text', [new Int32Array(1), 1, 'x', new Int32Array(1)]],
  ])('%s: a TypeError', (_, args) => {
    expect(() => compiled(...args)).toThrow('writeMany(descriptors, count, bytes, taken)');
  });
});

describe('memory', () => {
  test('the installed version: collects both generations', () => {
    const { logger } = listen();
    const asked: unknown[] = [];
    const memory = openMemory(logger, (options) => void asked.push(options.type));
    memory?.collect();
    expect(asked).toEqual(['minor', 'major']);
  });

  test.each<[string, Gc]>([
    ['gc that does not know its options', () => Promise.resolve()],
    [
      'gc that throws',
      () => {
        throw new TypeError('options');
      },
    ],
  ])('%s: off', (_, gc) => {
    const { logger, lines } = listen();
    expect(openMemory(logger, gc)).toBeUndefined();
    expect(lines.map(({ piece }) => piece)).toEqual(['memory']);
  });
});
