/** Server and client over real connections: all four kinds of calls, errors, deadlines, aborts, drain, targets. */
import { randomUUID } from 'node:crypto';
import { createServer, Server } from 'node:net';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { GochatError, createLogger, silentLogger as logger } from '../../common/mod.ts';
import { CrpcError, GrpcStatus } from '../errors.ts';
import { Channel } from '../client/channel.ts';
import type { ChannelOptions } from '../client/channel.ts';
import { createClient } from '../client/client.ts';
import type { CrpcClient } from '../client/client.ts';
import type { Handlers } from '../client/definition.ts';
import { openRegistry } from '../registry/registry-url.ts';
import { CrpcServer } from './server.ts';
import type { CrpcServerOptions } from './server.ts';
import { EchoService } from '../testing/gen/echo.ts';
import type { EchoRequest, EchoResponse } from '../testing/gen/echo.ts';
import { FaultyProxy, Inbox, endpointOf } from '../testing/support.ts';
import { eventually, within } from '../../test/harness/eventually.ts';
import { TestClock } from '../../test/harness/test-clock.ts';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

const hello: EchoRequest = { text: 'hello', count: 3 };

function handlers(
  server = '',
  more: Partial<Handlers<typeof EchoService>> = {},
): Handlers<typeof EchoService> {
  const answer = (text: string): EchoResponse => ({ text, server });
  return {
    unary: async (request) => answer(request.text),
    serverStream: async function* (request) {
      for (let i = 0; i < request.count; i++) yield answer(`${request.text} ${i}`);
    },
    clientStream: async (requests) => {
      const texts: string[] = [];
      for await (const { text } of requests) texts.push(text);
      return answer(texts.join());
    },
    bidi: async function* (requests) {
      for await (const { text } of requests) yield answer(text);
    },
    ...more,
  };
}

async function serve(
  more: Partial<Handlers<typeof EchoService>> = {},
  options: Partial<CrpcServerOptions> = {},
  name = '',
): Promise<CrpcServer> {
  const server = new CrpcServer({ logger, ...options });
  server.addService(EchoService, handlers(name, more));
  await server.start();
  cleanups.push(() => server.stop());
  return server;
}

function clientOf(target: string, options: ChannelOptions = {}): CrpcClient<typeof EchoService> {
  const client = createClient(EchoService, target, options);
  cleanups.push(() => client[Symbol.dispose]());
  return client;
}

async function collect<T>(stream: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const one of stream) all.push(one);
  return all;
}

describe('calls', () => {
  test('unary: the response', async () => {
    const client = clientOf((await serve()).address);
    expect(await client.unary(hello)).toEqual({ text: 'hello', server: '' });
  });

  test('server stream: every response in order', async () => {
    const client = clientOf((await serve()).address);
    const texts = (await collect(client.serverStream({ text: 'x', count: 500 }))).map(({ text }) => text);
    expect(texts).toEqual(Array.from({ length: 500 }, (_, i) => `x ${i}`));
  });

  test('client stream: takes an array or an async iterable', async () => {
    const client = clientOf((await serve()).address);
    const requests = ['a', 'b', 'c'].map((text) => ({ text, count: 0 }));
    expect((await client.clientStream(requests)).text).toBe('a,b,c');
    const slowly = (async function* () {
      yield* requests;
    })();
    expect((await client.clientStream(slowly)).text).toBe('a,b,c');
  });

  test('bidi: each request is answered while the stream is open', async () => {
    const client = clientOf((await serve()).address);
    const asked = new Inbox<string>();
    const requests = (async function* () {
      yield { text: 'first', count: 0 };
      await asked.next((text) => text === 'first');
      yield { text: 'second', count: 0 };
    })();
    for await (const { text } of client.bidi(requests)) asked.push(text);
    expect(asked.all).toEqual(['first', 'second']);
  });

  test('a loop left early: cancels the call at the server', async () => {
    const gone = Promise.withResolvers<void>();
    const server = await serve({
      serverStream: async function* (_, context) {
        context.signal.addEventListener('abort', () => gone.resolve());
        for (;;) yield { text: 'more', server: '' };
      },
    });
    for await (const { text } of clientOf(server.address).serverStream(hello)) {
      expect(text).toBe('more');
      break;
    }
    await within('the handler hears that its caller is gone', gone.promise);
  });

  test('requests that fail: cancel the call and reject with their error', async () => {
    const client = clientOf((await serve()).address);
    const failing = (): AsyncIterable<EchoRequest> =>
      (async function* () {
        yield hello;
        throw new Error('no more requests');
      })();
    await expect(client.clientStream(failing())).rejects.toThrow('no more requests');
    await expect(collect(client.bidi(failing()))).rejects.toThrow('no more requests');
  });

  test('context: metadata, peer, method and deadline reach the handler', async () => {
    const seen = new Inbox<unknown>();
    const server = await serve({
      clientStream: async (_, context) => {
        seen.push([context.header('authorization'), context.method, context.peer, context.deadline]);
        return { text: '', server: '' };
      },
    });
    const before = performance.now();
    const metadata = { authorization: 'Bearer x' };
    await clientOf(server.address).clientStream([hello], { metadata, timeoutMs: 5000 });
    const [authorization, method, peer, deadline] = (await seen.next()) as [string, string, string, number];
    expect([authorization, method]).toEqual(['Bearer x', '/crpc.testing.Echo/ClientStream']);
    expect(peer).toMatch(/^127\.0\.0\.1:\d+$/);
    expect(deadline - before).toBeGreaterThan(3000);
    expect(deadline - before).toBeLessThan(7000);
  });
});

describe('errors', () => {
  const failing = (error: unknown): Partial<Handlers<typeof EchoService>> => ({
    unary: async () => {
      throw error;
    },
    serverStream: async function* () {
      yield { text: 'one', server: '' };
      throw error;
    },
  });

  test.each([
    new GochatError('NAME_TAKEN', { details: { name: 'Zoë', tries: 3 }, retryAfterMs: 250 }),
    new CrpcError('OVERLOADED', { retryAfterMs: 250 }),
    new CrpcError('OUT_OF_TEA', { message: 'No tea is left.', grpcStatus: GrpcStatus.NOT_FOUND }),
    new CrpcError('SEATS_TAKEN', {
      message: 'All 3 seats are taken.',
      grpcStatus: GrpcStatus.ABORTED,
      retryable: true,
      details: { seats: 3 },
    }),
  ])('$code thrown by a handler: arrives as it was, from every kind of call', async (thrown) => {
    const client = clientOf((await serve(failing(thrown))).address);
    const { code, grpcStatus, retryable, details, retryAfterMs, message } = thrown;
    const expected = { name: 'CrpcError', code, grpcStatus, retryable, details, retryAfterMs, message };
    await expect(client.unary(hello)).rejects.toMatchObject(expected);
    const seen: string[] = [];
    await expect(
      (async () => {
        for await (const { text } of client.serverStream(hello)) seen.push(text);
      })(),
    ).rejects.toMatchObject(expected);
    expect(seen).toEqual(['one']);
  });

  test('any other throw: INTERNAL at the caller without the cause, and logged at the server', async () => {
    const lines = new Inbox<string>();
    const loud = createLogger({ name: 'test', level: 'silent' }).child({}, { level: 'silent' });
    Object.defineProperty(loud, 'error', { value: (_: object, text: string) => lines.push(text) });
    const server = await serve(failing(new Error('the password is 1234')), { logger: loud });
    const client = clientOf(server.address);
    const error = await client.unary(hello).catch((error: unknown) => error);
    expect(error).toMatchObject({ code: 'INTERNAL' });
    expect(String(error)).not.toContain('1234');
    expect(await lines.next()).toBe('handler failed');
  });

  test('nothing listens: the code that the channel was given', async () => {
    const server = await serve();
    const { address } = server;
    await server.stop();
    await expect(clientOf(address).unary(hello)).rejects.toMatchObject({ code: 'SERVER_UNREACHABLE' });
    const client = clientOf(address, { unavailable: 'STATE_UNAVAILABLE' });
    await expect(client.unary(hello)).rejects.toMatchObject({ code: 'STATE_UNAVAILABLE', retryable: true });
  });

  test('a request above the limit: rejected, and the connection goes on', async () => {
    const server = await serve({}, { maxMessageBytes: 10_000 });
    const client = clientOf(server.address);
    await expect(client.unary({ text: 'x'.repeat(20_000), count: 0 })).rejects.toBeInstanceOf(CrpcError);
    expect((await client.unary(hello)).text).toBe('hello');
  });

  test('addService: a missing handler is a TypeError at once', () => {
    const server = new CrpcServer({ logger });
    // @ts-expect-error: the handlers are incomplete.
    expect(() => server.addService(EchoService, {})).toThrow(TypeError);
  });
});

describe('deadlines and aborts', () => {
  const waiting: Partial<Handlers<typeof EchoService>> = {
    unary: (_, context) =>
      new Promise((_resolve, reject) => {
        context.signal.addEventListener('abort', () => reject(context.signal.reason));
      }),
  };

  test.each([
    ['unary', (client: CrpcClient<typeof EchoService>) => client.unary(hello, { timeoutMs: 5000 })],
    [
      'stream',
      (client: CrpcClient<typeof EchoService>) => collect(client.serverStream(hello, { timeoutMs: 5000 })),
    ],
  ])('%s: a handler slower than the budget is told; what it answers then is too late', async (_, call) => {
    using clock = new TestClock();
    const calls = 20;
    let running = 0;
    let told = 0;
    const wait = async (signal: AbortSignal) => {
      running++;
      await new Promise((resolve) => signal.addEventListener('abort', resolve));
      told++;
    };
    const server = await serve({
      unary: async (_input, { signal }) => {
        await wait(signal);
        return { text: '', server: '' };
      },
      serverStream: async function* (_input, { signal }) {
        yield { text: '', server: '' };
        await wait(signal);
      },
    });
    const client = clientOf(server.address);
    // The server's clock runs out before or after the caller's, as it happens.
    const settled = Promise.allSettled(Array.from({ length: calls }, () => call(client)));
    await expect.poll(() => running, { message: 'calls that run' }).toBe(calls);
    const answers = await clock.until(settled);
    for (const answer of answers)
      expect(answer).toMatchObject({ status: 'rejected', reason: { code: 'DEADLINE_EXCEEDED' } });
    await expect.poll(() => told).toBe(calls);
  });

  test('a call without a timeout: gets the channel’s', async () => {
    const client = clientOf((await serve(waiting)).address, { timeoutMs: 50 });
    await expect(client.unary(hello)).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED' });
  });

  test('abort: rejects with the reason, and the handler’s signal is aborted', async () => {
    const told = Promise.withResolvers<void>();
    const running = Promise.withResolvers<void>();
    const server = await serve({
      unary: async (_, { signal }) => {
        signal.addEventListener('abort', () => told.resolve());
        running.resolve();
        await told.promise;
        return { text: '', server: '' };
      },
    });
    const abort = new AbortController();
    const call = clientOf(server.address).unary(hello, { signal: abort.signal });
    await within('the call runs', running.promise);
    abort.abort(new Error('changed my mind'));
    await expect(call).rejects.toThrow('changed my mind');
    await within('the handler is told', told.promise);
  });

  test('aborted before the call: rejects with the reason', async () => {
    const client = clientOf((await serve()).address);
    const signal = AbortSignal.abort(new Error('too late'));
    await expect(client.unary(hello, { signal })).rejects.toThrow('too late');
    await expect(client.clientStream([hello], { signal })).rejects.toThrow('too late');
    await expect(collect(client.serverStream(hello, { signal }))).rejects.toThrow('too late');
  });
});

describe('server', () => {
  test('start: PORT_IN_USE names host, port and flag', async () => {
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    cleanups.push(() => other.close());
    const { port } = other.address() as AddressInfo;
    const server = new CrpcServer({ logger, port, flag: '--state-port' });
    await expect(server.start()).rejects.toMatchObject({
      code: 'PORT_IN_USE',
      details: { host: '127.0.0.1', port, flag: '--state-port' },
    });
    await server.stop();
  });

  test('accept errors: one warning a second, and the next peer is accepted', async () => {
    const listening = vi.spyOn(Server.prototype, 'listen');
    const warn = vi.spyOn(logger, 'warn');
    cleanups.push(() => vi.restoreAllMocks());
    const server = await serve();
    using clock = new TestClock();
    const fail = () => (listening.mock.contexts[0] as Server).emit('error', new Error('accept EMFILE'));
    for (let i = 0; i < 3; i++) fail();
    const warning = [{ reason: 'accept EMFILE' }, expect.stringContaining('could not be accepted')];
    expect(warn.mock.calls).toEqual([warning]);
    await clock.advance(1000);
    fail();
    expect(warn.mock.calls).toEqual([warning, warning]);
    expect(await clientOf(server.address).unary(hello)).toMatchObject({ text: 'hello' });
  });

  test('drain: the running call finishes, a new one is refused, then everything is closed', async () => {
    const [running, finish] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const server = await serve({
      unary: async () => {
        running.resolve();
        await finish.promise;
        return { text: 'done', server: '' };
      },
    });
    const client = clientOf(server.address);
    const call = client.unary(hello);
    await within('the call runs', running.promise);
    const drained = server.drain(10_000);
    await expect(clientOf(server.address).unary(hello)).rejects.toMatchObject({ code: 'SERVER_UNREACHABLE' });
    finish.resolve();
    expect((await call).text).toBe('done');
    await within('the end of the drain', drained);
  });

  test('drain: waits for a slow call, and lets the connection flush', async () => {
    using clock = new TestClock();
    const [running, finish] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const server = await serve({
      unary: async () => {
        running.resolve();
        await finish.promise;
        return { text: 'done', server: '' };
      },
    });
    const call = clientOf(server.address).unary(hello);
    await within('the call runs', running.promise);
    const drained = Promise.all([server.drain(20_000), server.drain(20_000)]);
    // Longer than a closing connection may take to flush.
    await clock.advance(600);
    finish.resolve();
    await within('the end of the drain', drained);
    expect((await call).text).toBe('done');
  });

  test('drain: what does not finish in time is cut', async () => {
    const running = Promise.withResolvers<void>();
    const server = await serve({
      unary: () => {
        running.resolve();
        return new Promise(() => {});
      },
    });
    const call = clientOf(server.address).unary(hello);
    const refused = expect(call).rejects.toMatchObject({ code: 'SERVER_UNREACHABLE' });
    await within('the call runs', running.promise);
    await server.drain(20);
    await within('the refusal', refused);
  });

  test('stop: is idempotent, before start too', async () => {
    const server = new CrpcServer({ logger });
    await server.stop();
    await server.stop();
  });

  test('a token: refuses calls without it', async () => {
    const { address } = await serve({}, { token: 'secret' });
    for (const options of [{}, { token: 'Secret' }]) {
      const client = clientOf(address, options);
      await expect(client.unary(hello)).rejects.toMatchObject({ code: 'TOKEN_INVALID' });
      await expect(collect(client.serverStream(hello))).rejects.toMatchObject({ code: 'TOKEN_INVALID' });
    }
    expect((await clientOf(address, { token: 'secret' }).unary(hello)).text).toBe('hello');
  });
});

describe('targets', () => {
  const namesOf = async (client: CrpcClient<typeof EchoService>, calls = 30): Promise<Set<string>> => {
    const names = await Promise.all(Array.from({ length: calls }, () => client.unary(hello)));
    return new Set(names.map(({ server }) => server));
  };

  test('static: calls go to every address in turn', async () => {
    const servers = await Promise.all(['a', 'b', 'c'].map((name) => serve({}, {}, name)));
    const client = clientOf(`static:///${servers.map(({ address }) => address).join()}`);
    await eventually(async () => (await namesOf(client)).size === 3);
    const counts = new Map<string, number>();
    for (let i = 0; i < 30; i++) {
      const { server } = await client.unary(hello);
      counts.set(server, (counts.get(server) ?? 0) + 1);
    }
    expect([...counts.values()]).toEqual([10, 10, 10]);
  });

  test('memory: follows endpoints that come and go', async () => {
    await using registry = openRegistry(`memory://${randomUUID()}`, { logger });
    const client = clientOf('memory:///echo', { registry });
    await expect(client.unary(hello)).rejects.toMatchObject({ code: 'SERVER_UNREACHABLE' });
    const [a, b] = [await serve({}, {}, 'a'), await serve({}, {}, 'b')];
    const first = await registry.register('echo', endpointOf('a', { address: a.address }));
    await eventually(async () => (await namesOf(client).catch(() => new Set())).size === 1);
    await registry.register('echo', endpointOf('b', { address: b.address }));
    await eventually(async () => (await namesOf(client)).size === 2);
    await first.deregister();
    await eventually(async () => [...(await namesOf(client))].join() === 'b');
  });

  test('rendezvous: a key stays with its server, also when another server ends', async () => {
    const servers = await Promise.all(['a', 'b', 'c'].map((name) => serve({}, {}, name)));
    await using registry = openRegistry(`memory://${randomUUID()}`, { logger });
    const registrations = await Promise.all(
      servers.map(({ address }, i) => registry.register('echo', endpointOf(`id-${i}`, { address }))),
    );
    const client = clientOf('memory:///echo', { registry, balancer: 'rendezvous' });
    await eventually(async () => (await namesOf(client)).size === 3);
    const owners = async (): Promise<string[]> => {
      const answers = await Promise.all(
        Array.from({ length: 60 }, (_, key) => client.unary(hello, { key: BigInt(key) })),
      );
      return answers.map(({ server }) => server);
    };
    const before = await owners();
    expect(new Set(before).size).toBe(3);
    expect(await owners()).toEqual(before);
    await registrations[0]?.deregister();
    await eventually(async () => !(await namesOf(client)).has('a'));
    const after = await owners();
    before.forEach((owner, key) => {
      if (owner !== 'a') expect(after[key]).toBe(owner);
    });
  });

  test('a server that dies: calls go to the others at once', async () => {
    const [a, b] = [await serve({}, {}, 'a'), await serve({}, {}, 'b')];
    await using proxy = await FaultyProxy.to(a.address);
    const client = clientOf(`static:///${proxy.address},${b.address}`);
    await eventually(async () => (await namesOf(client)).size === 2);
    proxy.cut();
    await eventually(async () => {
      const names = await namesOf(client, 4).catch(() => new Set<string>());
      return names.size === 1 && names.has('b');
    });
    proxy.heal();
    await eventually(async () => (await namesOf(client)).size === 2);
  });

  test('one channel: serves several clients', async () => {
    const server = await serve();
    using channel = new Channel(server.address);
    const [one, two] = [createClient(EchoService, channel), createClient(EchoService, channel)];
    await one.unary(hello);
    one[Symbol.dispose]();
    expect((await two.unary(hello)).text).toBe('hello');
  });

  test.each(['etcd:///echo', 'dns:///localhost:1', 'static:///no-port'])(
    '%s, an incomplete target: CONFIG_INVALID',
    (target) => {
      expect(() => new Channel(target)).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }));
    },
  );
});
