/** TLS, mutual TLS and identities between servers, with certificates made by openssl. */
import { connect } from 'node:tls';
import { once } from 'node:events';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { silentLogger } from '../../common/mod.ts';
import type { Logger } from '../../common/mod.ts';
import { link } from '../../proto/mod.ts';
import { openBatchStream } from '../batch/batch-client.ts';
import type { StreamEnd } from '../batch/batch-stream.ts';
import { createClient } from './client.ts';
import type { TlsOptions } from './credentials.ts';
import { CrpcServer } from '../server/server.ts';
import { Authority } from '../testing/certificates.ts';
import { EchoService } from '../testing/gen/echo.ts';
import { Inbox } from '../testing/support.ts';

const authority = new Authority();
afterAll(() => authority[Symbol.dispose]());
const otherAuthority = new Authority();
afterAll(() => otherAuthority[Symbol.dispose]());
const { ca } = authority;
const server = authority.issue('state', 'DNS:state.test', 'IP:127.0.0.1');
const gateway = authority.issue('gateway');
const api = authority.issue('worker-1', 'DNS:other.test', 'URI:spiffe://test/api');

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function serve(tls: TlsOptions, logger: Logger = silentLogger): Promise<string> {
  const crpc = new CrpcServer({ logger, tls });
  crpc.addService(EchoService, {
    unary: async ({ text }) => ({ text, server: '' }),
    clientStream: async () => ({ text: '', server: '' }),
    async *serverStream() {},
    async *bidi() {},
  });
  crpc.addBatchService(link.LinkServiceService, (stream) => ({
    onRecords: (records) => {
      for (const record of records) stream.send(record);
    },
    onEnd: () => {},
  }));
  await crpc.start();
  cleanups.push(() => crpc.stop());
  return crpc.address;
}

async function call(address: string, tls?: TlsOptions): Promise<string> {
  using client = createClient(EchoService, address, { timeoutMs: 5000, ...(tls && { tls }) });
  return (await client.unary({ text: 'hello', count: 1 })).text;
}

function warnings(): { logger: Logger; lines: Inbox<[object, string]> } {
  const lines = new Inbox<[object, string]>();
  const logger = silentLogger.child({});
  Object.defineProperty(logger, 'warn', {
    value: (about: object, text: string) => lines.push([about, text]),
  });
  return { logger, lines };
}

const refused = { code: 'SERVER_UNREACHABLE' };

describe('TLS', () => {
  test('a client that trusts the CA: gets through, by address or by the name it expects', async () => {
    const address = await serve(server);
    expect(await call(address, { ca })).toBe('hello');
    expect(await call(address, { ca, serverName: 'state.test' })).toBe('hello');
  });

  test('another name, another CA, no CA, or plain text: refused', async () => {
    const address = await serve(server);
    await expect(call(address, { ca, serverName: 'api.test' })).rejects.toMatchObject(refused);
    await expect(call(address, { ca: otherAuthority.ca })).rejects.toMatchObject(refused);
    await expect(call(address, {})).rejects.toMatchObject(refused);
    await expect(call(address)).rejects.toMatchObject(refused);
  });

  test('a TLS client at a server without TLS: refused', async () => {
    const crpc = new CrpcServer({ logger: silentLogger });
    await crpc.start();
    cleanups.push(() => crpc.stop());
    await expect(call(crpc.address, { ca })).rejects.toMatchObject(refused);
  });

  test('a batch stream: over TLS', async () => {
    const address = await serve({ ...server, ca });
    const records = new Inbox<string>();
    const stream = openBatchStream({
      address,
      service: link.LinkServiceService,
      tls: { ...gateway, ca },
      handler: {
        onOpen: (opened) => void opened.send(Buffer.from('hello')),
        onRecords: (all) => {
          for (const record of all) records.push(Buffer.from(record).toString());
        },
        onEnd: () => {},
      },
    });
    cleanups.push(() => stream.close());
    expect(await records.next()).toBe('hello');
  });

  test('a peer that only connects: speaks TLS 1.2 or newer and HTTP/2, or nothing', async () => {
    const address = await serve(server);
    const port = Number(address.split(':')[1]);
    const socket = connect({ port, ca, host: '127.0.0.1', ALPNProtocols: ['http/1.1'] });
    const [error] = (await once(socket, 'error')) as [NodeJS.ErrnoException];
    expect(error.code).toMatch(/^ERR_SSL_/);
  });
});

describe('mutual TLS', () => {
  test('only clients with a certificate of the CA get through; the others are logged', async () => {
    const { logger, lines } = warnings();
    const address = await serve({ ...server, ca }, logger);
    expect(await call(address, { ca, ...gateway })).toBe('hello');
    expect(lines.all).toEqual([]);
    await expect(call(address, { ca })).rejects.toMatchObject(refused);
    expect((await lines.next())[1]).toBe('TLS handshake failed');
    await expect(call(address, { ca, ...otherAuthority.issue('gateway') })).rejects.toMatchObject(refused);
  });

  test.each([
    ['its common name', 'gateway', gateway],
    ['a DNS name', 'other.test', api],
    ['a URI', 'spiffe://test/api', api],
  ])('peers: one with %s gets through, another does not and is logged by name', async (_, name, own) => {
    const { logger, lines } = warnings();
    const address = await serve({ ...server, ca, peers: ['someone-else', name] }, logger);
    expect(await call(address, { ca, ...own })).toBe('hello');
    await expect(call(address, { ca, ...(own === api ? gateway : api) })).rejects.toMatchObject(refused);
    const [about, text] = await lines.next();
    expect(text).toBe('refused: not one of the allowed peers');
    expect(about).toMatchObject({ subject: own === api ? 'gateway' : 'worker-1' });
  });

  test('peers, for a batch stream: one that is not among them is lost', async () => {
    const address = await serve({ ...server, ca, peers: ['gateway'] });
    const ends = new Inbox<StreamEnd>();
    openBatchStream({
      address,
      service: link.LinkServiceService,
      tls: { ...api, ca },
      handler: { onOpen: () => {}, onRecords: () => {}, onEnd: ends.push },
    });
    expect(await ends.next()).toBe('lost');
  });

  test('a name made to look like several: matches none of them', async () => {
    const { logger, lines } = warnings();
    const odd = authority.issue('odd', 'URI:http://x/, DNS:gateway, y');
    const address = await serve({ ...server, ca, peers: ['gateway'] }, logger);
    await expect(call(address, { ca, ...odd })).rejects.toMatchObject(refused);
    expect((await lines.next())[1]).toBe('refused: not one of the allowed peers');
  });
});

describe('TLS settings', () => {
  test.each<[string, TlsOptions]>([
    ['a certificate without its key', { cert: server.cert }],
    ['the key of another certificate', { cert: server.cert, key: gateway.key }],
    ['what is not PEM', { cert: 'hello', key: 'hello' }],
    ['peers without an authority', { ...server, peers: ['gateway'] }],
  ])('%s: CONFIG_INVALID at start', async (_, tls) => {
    const crpc = new CrpcServer({ logger: silentLogger, tls });
    await expect(crpc.start()).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
  });
});
