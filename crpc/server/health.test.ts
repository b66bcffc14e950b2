/** Health and reflection, asked as probes and tools ask. */
import { Client, credentials } from '@grpc/grpc-js';
import type { MethodDefinition } from '@grpc/grpc-js';
import { service } from 'grpc-health-check';
import { once } from 'node:events';
import { afterEach, describe, expect, test } from 'vitest';
import { silentLogger as logger } from '../../common/mod.ts';
import { CrpcServer } from './server.ts';
import type { CrpcServerOptions } from './server.ts';
import { EchoService } from '../testing/gen/echo.ts';
import { Inbox } from '../testing/support.ts';
import { within } from '../../test/harness/eventually.ts';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function serve(options: Partial<CrpcServerOptions> = {}): Promise<CrpcServer> {
  const server = new CrpcServer({ logger, ...options });
  server.addService(EchoService, {
    unary: async ({ text }) => ({ text, server: '' }),
    clientStream: async () => ({ text: '', server: '' }),
    async *serverStream() {},
    async *bidi() {},
  });
  await server.start();
  cleanups.push(() => server.stop());
  return server;
}

function clientOf(server: CrpcServer): Client {
  const client = new Client(server.address, credentials.createInsecure());
  cleanups.push(() => client.close());
  return client;
}

type Method = MethodDefinition<object, { status: string }>;

function check(client: Client, name: string): Promise<string> {
  const { path, requestSerialize, responseDeserialize } = service['Check'] as Method;
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(
      path,
      requestSerialize,
      responseDeserialize,
      { service: name },
      (error, answer) => (error === null ? resolve(answer?.status ?? '') : reject(error)),
    );
  });
}

describe('health', () => {
  test('a running server: SERVING as a whole and by service, without a token', async () => {
    const client = clientOf(await serve({ token: 'secret' }));
    expect(await check(client, '')).toBe('SERVING');
    expect(await check(client, 'crpc.testing.Echo')).toBe('SERVING');
    await expect(check(client, 'nobody.Knows')).rejects.toMatchObject({ code: 5 });
  });

  test('drain: watchers get NOT_SERVING, and a watch does not delay the drain', async () => {
    const server = await serve();
    const { path, requestSerialize, responseDeserialize } = service['Watch'] as Method;
    const watch = clientOf(server).makeServerStreamRequest(path, requestSerialize, responseDeserialize, {
      service: 'crpc.testing.Echo',
    });
    const seen = new Inbox<string>();
    watch.on('data', ({ status }: { status: string }) => seen.push(status));
    await seen.next((status) => status === 'SERVING');
    const ended = once(watch, 'end');
    await server.drain(600_000);
    await within('the end of the watch', ended);
    expect(seen.all).toEqual(['SERVING', 'NOT_SERVING']);
  });
});

describe('reflection', () => {
  const list = async (server: CrpcServer): Promise<string> => {
    const call = clientOf(server).makeBidiStreamRequest<Buffer, Buffer>(
      '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo',
      (bytes) => bytes,
      (bytes) => bytes,
    );
    // ServerReflectionRequest { list_services = 7: "" }
    call.end(Buffer.from([0x3a, 0]));
    const [answer] = (await once(call, 'data')) as [Buffer];
    return answer.toString();
  };

  test('on: names the services', async () => {
    const protoFiles = [new URL('../testing/echo.proto', import.meta.url).pathname];
    expect(await list(await serve({ reflection: { protoFiles } }))).toContain('crpc.testing.Echo');
  });

  test('off: UNIMPLEMENTED', async () => {
    await expect(list(await serve())).rejects.toMatchObject({ code: 12 });
  });
});
