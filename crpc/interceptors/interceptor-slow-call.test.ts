/** The slow-call log. */
import { describe, expect, test } from 'vitest';
import { silentLogger } from '../../common/mod.ts';
import type { Logger } from '../../common/mod.ts';
import { createClient } from '../client/client.ts';
import { CrpcServer } from '../server/server.ts';
import { EchoService } from '../testing/gen/echo.ts';
import { Inbox } from '../testing/support.ts';

interface Line {
  readonly method: string;
  readonly peer: string;
  readonly ms: number;
  readonly suppressed: number;
}

function listening(): { logger: Logger; lines: Inbox<Line> } {
  const lines = new Inbox<Line>();
  const logger = silentLogger.child({});
  Object.defineProperty(logger, 'warn', { value: lines.push });
  return { logger, lines };
}

const request = { text: 'x', count: 1 };

async function callBoth(slowCallMs: number, calls = 1) {
  const [near, far] = [listening(), listening()];
  await using server = new CrpcServer({ logger: far.logger, slowCallMs });
  server.addService(EchoService, {
    unary: async ({ text }) => ({ text, server: '' }),
    clientStream: async () => ({ text: '', server: '' }),
    async *serverStream() {},
    async *bidi() {},
  });
  await server.start();
  using client = createClient(EchoService, server.address, { logger: near.logger, slowCallMs });
  for (let i = 0; i < calls; i++) await client.unary(request);
  return { near: near.lines, far: far.lines, address: server.address };
}

describe('slow calls', () => {
  test('above the threshold: a log line on both sides with method, peer and time', async () => {
    // Every call takes longer than no time at all.
    const { near, far, address } = await callBoth(0);
    const method = '/crpc.testing.Echo/Unary';
    expect(near.all).toMatchObject([{ method, peer: address, suppressed: 0 }]);
    expect(far.all).toMatchObject([
      { method, peer: expect.stringMatching(/^127\.0\.0\.1:\d+$/), suppressed: 0 },
    ]);
    expect(near.all[0]?.ms).toBeGreaterThanOrEqual(0);
  });

  test('below the threshold: no log line', async () => {
    const { near, far } = await callBoth(Infinity);
    expect([...near.all, ...far.all]).toEqual([]);
  });

  test('many: fewer lines than calls, and the others are counted', async () => {
    const calls = 300;
    const { far } = await callBoth(0, calls);
    expect(far.all.length).toBeLessThan(calls);
    const counted = far.all.reduce((sum, { suppressed }) => sum + suppressed + 1, 0);
    expect(counted).toBeLessThanOrEqual(calls);
  });
});
