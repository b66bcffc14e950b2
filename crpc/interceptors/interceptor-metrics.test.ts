/** Metrics of calls and batches, read as Prometheus text as an operator does. */
import { afterEach, describe, expect, test } from 'vitest';
import { GochatError, enableMetrics, silentLogger as logger, startAdmin } from '../../common/mod.ts';
import { link } from '../../proto/mod.ts';
import { openBatchStream } from '../batch/batch-client.ts';
import type { BatchStream } from '../batch/batch-stream.ts';
import { createClient } from '../client/client.ts';
import { CrpcServer } from '../server/server.ts';
import { EchoService } from '../testing/gen/echo.ts';
import { Inbox } from '../testing/support.ts';
import { eventually, within } from '../../test/harness/eventually.ts';

await enableMetrics('test');
const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** Returns the value of a sample, whatever the order of its labels. */
async function read(name: string, labels: Readonly<Record<string, string>>): Promise<number | undefined> {
  await using admin = await startAdmin({ host: '127.0.0.1', port: 0, servers: [], logger });
  const text = await (await fetch(`http://${admin.address}/metrics`)).text();
  const line = text
    .split('\n')
    .find(
      (line) =>
        line.startsWith(`${name}{`) &&
        Object.entries(labels).every(([key, value]) => line.includes(`${key}="${value}"`)),
    );
  return line === undefined ? undefined : Number(line.slice(line.lastIndexOf(' ')));
}

const request = { text: 'x', count: 2 };
const unary = { service: 'crpc.testing.Echo', method: 'Unary' };
const serverStream = { service: 'crpc.testing.Echo', method: 'ServerStream' };

describe('metrics', () => {
  test('calls: counted by method and code on both sides, running ones as well', async () => {
    const [running, finish] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const server = new CrpcServer({ logger, token: 'secret' });
    server.addService(EchoService, {
      unary: async ({ text }) => {
        if (text === 'taken') throw new GochatError('NAME_TAKEN', { details: { name: 'x' } });
        if (text === 'broken') throw new Error('broken');
        if (text === 'wait') {
          running.resolve();
          await finish.promise;
        }
        return { text, server: '' };
      },
      clientStream: async () => ({ text: '', server: '' }),
      serverStream: async function* ({ text, count }) {
        for (let i = 0; i < count; i++) yield { text, server: '' };
        if (text === 'broken') throw new Error('broken');
      },
      async *bidi() {},
    });
    await server.start();
    cleanups.push(() => server.stop());
    using client = createClient(EchoService, server.address, { token: 'secret' });
    using withoutToken = createClient(EchoService, server.address);

    await client.unary(request);
    await client.unary(request);
    await expect(client.unary({ text: 'taken', count: 0 })).rejects.toThrow();
    await expect(client.unary({ text: 'broken', count: 0 })).rejects.toThrow();
    await expect(withoutToken.unary(request)).rejects.toMatchObject({ code: 'TOKEN_INVALID' });
    for await (const { text } of client.serverStream(request)) expect(text).toBe('x');
    for await (const { text } of client.serverStream(request)) {
      expect(text).toBe('x');
      break;
    }
    await expect(
      (async () => {
        for await (const { text } of client.serverStream({ text: 'broken', count: 1 }))
          expect(text).toBe('broken');
      })(),
    ).rejects.toThrow();
    const abort = new AbortController();
    const waiting = client.unary({ text: 'wait', count: 0 }, { signal: abort.signal });
    await within('a call that runs', running.promise);
    for (const side of ['client', 'server'])
      expect(await read(`gochat_crpc_${side}_calls_in_flight`, unary)).toBe(1);
    abort.abort(new Error('changed my mind'));
    await expect(waiting).rejects.toThrow('changed my mind');
    finish.resolve();

    // The server hears of a caller that left a little later.
    await eventually('no call in flight', async () => {
      for (const method of [unary, serverStream])
        expect(await read('gochat_crpc_server_calls_in_flight', method)).toBe(0);
    });
    for (const side of ['client', 'server']) {
      const count = (labels: Readonly<Record<string, string>>): Promise<number | undefined> =>
        read(`gochat_crpc_${side}_call_seconds_count`, labels);
      expect(await count({ ...unary, code: 'OK' }), side).toBe(side === 'client' ? 2 : 3);
      expect(await count({ ...unary, code: 'NAME_TAKEN' }), side).toBe(1);
      expect(await count({ ...unary, code: 'INTERNAL' }), side).toBe(1);
      expect(await count({ ...unary, code: 'TOKEN_INVALID' }), side).toBe(1);
      expect(await count({ ...serverStream, code: 'OK' }), side).toBe(2);
      expect(await count({ ...serverStream, code: 'INTERNAL' }), side).toBe(1);
    }
    for (const method of [unary, serverStream])
      expect(await read('gochat_crpc_client_calls_in_flight', method)).toBe(0);
    expect(await read('gochat_crpc_client_call_seconds_count', { ...unary, code: 'CANCELLED' })).toBe(1);
  });

  test('batches: records and bytes of each, sent and received', async () => {
    const server = new CrpcServer({ logger });
    const arrived = new Inbox<number>();
    server.addBatchService(link.LinkServiceService, () => ({
      onRecords: (records) => arrived.push(records.length),
      onEnd: () => {},
    }));
    await server.start();
    cleanups.push(() => server.stop());
    const stream = await new Promise<BatchStream>((resolve) => {
      openBatchStream({
        address: server.address,
        service: link.LinkServiceService,
        handler: { onOpen: resolve, onRecords: () => {}, onEnd: () => {} },
      });
    });
    cleanups.push(() => stream.close());
    for (let i = 0; i < 10; i++) stream.send(Buffer.alloc(98));
    expect(await arrived.next()).toBe(10);
    for (const direction of ['sent', 'received']) {
      expect(await read('gochat_crpc_batch_records_sum', { direction })).toBe(10);
      expect(await read('gochat_crpc_batch_records_count', { direction })).toBe(1);
      expect(await read('gochat_crpc_batch_bytes_sum', { direction })).toBe(1000);
    }
  });
});
