/** What a unary call makes of codecs that fail and of a server that breaks the rules. */
import { Server, ServerCredentials } from '@grpc/grpc-js';
import type { ServerUnaryCall, ServerWritableStream, sendUnaryData } from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { createClient } from './client.ts';
import { EchoService } from '../testing/gen/echo.ts';
import type { EchoRequest, EchoResponse } from '../testing/gen/echo.ts';

const cleanups: (() => unknown)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0).reverse()) cleanup();
});

const request: EchoRequest = { text: 'hello', count: 1 };
const unary = (call: ServerUnaryCall<EchoRequest, EchoResponse>, respond: sendUnaryData<EchoResponse>) =>
  respond(null, { text: call.request.text, server: '' });

/** Serves the method by bare grpc-js and returns the address. */
async function serve(responseStream: boolean, handler: unknown): Promise<string> {
  const server = new Server();
  server.addService(
    { unary: { ...EchoService.unary, responseStream } },
    { unary: handler as (call: unknown) => void },
  );
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    ),
  );
  cleanups.push(() => server.forceShutdown());
  return `127.0.0.1:${port}`;
}

function clientOf(address: string, codec: Partial<typeof EchoService.unary> = {}) {
  const client = createClient({ unary: { ...EchoService.unary, ...codec } }, address);
  cleanups.push(() => client[Symbol.dispose]());
  return client;
}

function fail(): never {
  throw new Error('a codec that fails');
}

describe.each(['1', '0'])('unary call, GOCHAT_NATIVE=%s', (isNative) => {
  beforeEach(() => void vi.stubEnv('GOCHAT_NATIVE', isNative));
  afterEach(() => void vi.unstubAllEnvs());

  test('a server without crpc: its response', async () => {
    const client = clientOf(await serve(false, unary));
    expect(await client.unary(request)).toEqual({ text: 'hello', server: '' });
  });

  test('a request that cannot be encoded: INTERNAL, and the next one goes through', async () => {
    const client = clientOf(await serve(false, unary), {
      requestSerialize: (value) => (value.text === '' ? fail() : EchoService.unary.requestSerialize(value)),
    });
    await expect(client.unary({ text: '', count: 1 })).rejects.toMatchObject({ code: 'INTERNAL' });
    expect(await client.unary(request)).toMatchObject({ text: 'hello' });
  });

  test('a response that cannot be decoded: INTERNAL', async () => {
    const client = clientOf(await serve(false, unary), { responseDeserialize: fail });
    await expect(client.unary(request)).rejects.toMatchObject({ code: 'INTERNAL' });
  });

  test('no response: INTERNAL', async () => {
    const address = await serve(true, (call: ServerWritableStream<EchoRequest, EchoResponse>) => call.end());
    await expect(clientOf(address).unary(request)).rejects.toMatchObject({ code: 'INTERNAL' });
  });

  test('a client that is closed: rejects', async () => {
    const client = clientOf(await serve(false, unary));
    client[Symbol.dispose]();
    await expect(client.unary(request)).rejects.toThrow('shut down');
    expect(await client.tryUnary(request)).toMatchObject({ ok: false });
  });
});
