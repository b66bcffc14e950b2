/** Traces over several processes, collected by OTLP; and the trace id of a handler that fails. */
import { afterEach, describe, expect, test } from 'vitest';
import { silentLogger } from '../../common/mod.ts';
import { CrpcError } from '../errors.ts';
import { createClient } from '../client/client.ts';
import { CrpcServer } from '../server/server.ts';
import { EchoService } from '../testing/gen/echo.ts';
import { OtlpCollector } from '../testing/otlp-collector.ts';
import type { CollectedSpan } from '../testing/otlp-collector.ts';
import { Relay } from '../testing/relay.ts';
import { Inbox } from '../testing/support.ts';

const TRACE_ID = '0af7651916cd43dd8448eb211c80319c';
const TRACEPARENT = `00-${TRACE_ID}-b7ad6b7169203331-01`;
const request = { text: 'x', count: 1 };
const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

describe('tracing', () => {
  test.each(['unary', 'stream'])(
    '%s: one trace through two processes, each span a child of its caller’s',
    async (kind) => {
      await using collector = await OtlpCollector.start();
      const url = `${collector.endpoint}/v1/traces`;
      {
        await using back = await Relay.start('back', url);
        await using front = await Relay.start('front', url, back.address);
        using client = createClient(EchoService, front.address);
        const metadata = { traceparent: TRACEPARENT, tracestate: 'vendor=1' };
        if (kind === 'unary') await client.unary(request, { metadata });
        else
          for await (const { server } of client.serverStream(request, { metadata }))
            expect(server).toBe('back');
      }
      const find = (service: string, spanKind: number): CollectedSpan => {
        const found = collector.spans.all.filter(
          (span) => span.service === service && span.kind === spanKind,
        );
        expect(found).toHaveLength(1);
        return found[0] as CollectedSpan;
      };
      const [entry, onward, end] = [find('front', 2), find('front', 3), find('back', 2)];
      expect(collector.spans.all).toHaveLength(3);
      expect([entry, onward, end].map(({ traceId }) => traceId)).toEqual([TRACE_ID, TRACE_ID, TRACE_ID]);
      expect(entry.parentSpanId).toBe('b7ad6b7169203331');
      expect(onward.parentSpanId).toBe(entry.spanId);
      expect(end.parentSpanId).toBe(onward.spanId);
      expect(end.name).toBe(`crpc.testing.Echo/${kind === 'unary' ? 'Unary' : 'ServerStream'}`);
    },
  );

  test('a trace that its caller does not record: is not recorded here either, and is passed on', async () => {
    await using collector = await OtlpCollector.start();
    {
      await using back = await Relay.start('back');
      await using front = await Relay.start('front', `${collector.endpoint}/v1/traces`, back.address);
      using client = createClient(EchoService, front.address);
      const unsampled = TRACEPARENT.replace(/01$/, '00');
      const { text } = await client.unary(request, { metadata: { traceparent: unsampled } });
      expect(text).toMatch(new RegExp(`^00-${TRACE_ID}-[0-9a-f]{16}-00$`));
    }
    expect(collector.spans.all).toEqual([]);
  });

  test('a process that does not trace: passes the trace on', async () => {
    await using back = await Relay.start('back');
    await using front = await Relay.start('front', '', back.address);
    using client = createClient(EchoService, front.address);
    const { text } = await client.unary(request, { metadata: { traceparent: TRACEPARENT } });
    expect(text).toBe(TRACEPARENT);
    expect((await client.unary(request)).text).toBe('');
    expect((await client.unary(request, { metadata: { traceparent: 'nonsense' } })).text).toBe('');
  });
});

describe('recovery', () => {
  const failing = async (): Promise<{ server: CrpcServer; lines: Inbox<Record<string, unknown>> }> => {
    const lines = new Inbox<Record<string, unknown>>();
    const logger = silentLogger.child({});
    Object.defineProperty(logger, 'error', { value: lines.push });
    const server = new CrpcServer({ logger });
    const fail = (): never => {
      throw new TypeError('the password is 1234');
    };
    server.addService(EchoService, {
      unary: async () => fail(),
      clientStream: fail,
      serverStream: fail,
      async *bidi() {
        yield fail();
      },
    });
    await server.start();
    cleanups.push(() => server.stop());
    return { server, lines };
  };

  test('a throw in any kind of handler: INTERNAL and one log line with the caller’s trace id', async () => {
    const { server, lines } = await failing();
    using client = createClient(EchoService, server.address);
    const metadata = { traceparent: TRACEPARENT };
    const calls = [
      () => client.unary(request, { metadata }),
      () => client.clientStream([request], { metadata }),
      async () => {
        for await (const response of client.serverStream(request, { metadata })) expect(response).toBeNull();
      },
      async () => {
        for await (const response of client.bidi([request], { metadata })) expect(response).toBeNull();
      },
    ];
    for (const call of calls) {
      const error = await call().catch((error: unknown) => error);
      expect(error).toBeInstanceOf(CrpcError);
      expect(error).toMatchObject({ code: 'INTERNAL', details: { trace_id: TRACE_ID } });
      expect(JSON.stringify(error) + String(error)).not.toContain('1234');
      expect(await lines.next()).toMatchObject({
        trace_id: TRACE_ID,
        err: { message: 'the password is 1234' },
      });
    }
    expect(lines.all).toHaveLength(calls.length);
  });

  test('a call without a trace: gets an id of its own', async () => {
    const { server, lines } = await failing();
    using client = createClient(EchoService, server.address);
    const error = (await client.unary(request).catch((error: unknown) => error)) as CrpcError;
    expect(error.details['trace_id']).toMatch(/^[0-9a-f]{32}$/);
    expect(await lines.next()).toMatchObject({ trace_id: error.details['trace_id'] });
  });
});
