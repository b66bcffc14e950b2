/** Deadlines over three hops of real servers: the budget shrinks, in calls and in streams. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { EchoCluster, hello } from './testing/cluster.ts';
import type { EchoClient } from './testing/cluster.ts';
import { Inbox } from './testing/support.ts';

/** gRPC sends the budget in whole ms, so each hop may round up. */
const ROUNDING_MS = 20;

let cluster: EchoCluster;
beforeEach(() => {
  cluster = new EchoCluster();
});
afterEach(() => cluster[Symbol.asyncDispose]());

interface Seen {
  readonly deadline: number;
  /** What was left of it on arrival, ms. */
  readonly left: number;
}

/** Starts front → middle → back, each of which takes some time before it asks the next one. */
async function chain(workMs: number): Promise<{ front: EchoClient; seen: Seen[]; failed: Inbox<string> }> {
  const seen: Seen[] = [];
  const failed = new Inbox<string>();
  const note = ({ deadline }: { deadline: number }): void => {
    seen.push({ deadline, left: deadline - Date.now() });
  };
  let next: EchoClient | undefined;
  for (const name of ['back', 'middle', 'front']) {
    const behind = next;
    const { address } = await cluster.serve(name, {
      unary: async (request, context) => {
        note(context);
        await sleep(workMs);
        if (behind === undefined) return { text: request.text, server: name };
        // It asks for far more time than its own caller has.
        const answer = await behind.tryUnary(request, { timeoutMs: 50_000 });
        if (answer.ok) return answer.value;
        failed.push(answer.error.code);
        throw answer.error;
      },
      serverStream: async function* (request, context) {
        note(context);
        await sleep(workMs);
        if (behind === undefined) yield { text: request.text, server: name };
        else yield* behind.serverStream(request);
      },
    });
    next = cluster.client(address, { timeoutMs: 60_000 });
  }
  return { front: next as EchoClient, seen, failed };
}

describe('deadlines over three hops', () => {
  test.each([
    ['unary', (front: EchoClient) => front.unary(hello, { timeoutMs: 20_000 })],
    [
      'stream',
      async (front: EchoClient) => {
        for await (const response of front.serverStream(hello, { timeoutMs: 20_000 })) return response;
        return undefined;
      },
    ],
  ])('%s: no hop has more time than the one before, and each has less left', async (_, call) => {
    const { front, seen } = await chain(30);
    expect((await call(front))?.server).toBe('back');
    const [first, second, third] = seen as [Seen, Seen, Seen];
    expect(first.left).toBeLessThanOrEqual(20_000 + ROUNDING_MS);
    expect(second.deadline).toBeLessThanOrEqual(first.deadline + ROUNDING_MS);
    expect(third.deadline).toBeLessThanOrEqual(second.deadline + ROUNDING_MS);
    expect(second.left).toBeLessThan(first.left);
    expect(third.left).toBeLessThan(second.left);
  });

  test('the time is used up on the way: the next hop is not asked any more', async () => {
    const { front, seen, failed } = await chain(400);
    await expect(front.unary(hello, { timeoutMs: 300 })).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED' });
    expect(await failed.next()).toBe('DEADLINE_EXCEEDED');
    expect(seen.length).toBe(1);
  });
});
