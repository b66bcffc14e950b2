/** Deadlines over three hops of real servers: the budget shrinks, in calls and in streams. */
import { Metadata } from '@grpc/grpc-js';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { CallContext } from '../client/call-context.ts';
import { serverDeadline } from './interceptor-deadline.ts';
import { EchoCluster, hello } from '../testing/cluster.ts';
import type { EchoClient } from '../testing/cluster.ts';
import { Inbox } from '../testing/support.ts';
import { TestClock } from '../../test/harness/test-clock.ts';

let cluster: EchoCluster;
beforeEach(() => {
  cluster = new EchoCluster();
});
afterEach(() => cluster[Symbol.asyncDispose]());

/** Time left of the budget at each hop, ms. Clocks are not compared: gRPC sends the remaining time. */
type Left = number;

/** Starts front → middle → back, each of which takes some time before it asks the next one. */
async function chain(workMs: number): Promise<{ front: EchoClient; seen: Left[]; failed: Inbox<string> }> {
  const seen: Left[] = [];
  const failed = new Inbox<string>();
  const note = ({ deadline }: { deadline: number }): void => {
    seen.push(deadline - performance.now());
  };
  const work = () => new Promise((resolve) => setTimeout(resolve, workMs));
  let next: EchoClient | undefined;
  for (const name of ['back', 'middle', 'front']) {
    const behind = next;
    const { address } = await cluster.serve(name, {
      unary: async (request, context) => {
        note(context);
        await work();
        if (behind === undefined) return { text: request.text, server: name };
        // It asks for far more time than its own caller has.
        const answer = await behind.tryUnary(request, { timeoutMs: 50_000 });
        if (answer.ok) return answer.value;
        failed.push(answer.error.code);
        throw answer.error;
      },
      serverStream: async function* (request, context) {
        note(context);
        await work();
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
  ])('%s: each hop has less time left than the one before', async (_, call) => {
    const { front, seen } = await chain(30);
    expect((await call(front))?.server).toBe('back');
    const [first, second, third] = seen as [Left, Left, Left];
    expect(first).toBeLessThanOrEqual(20_000);
    expect(second).toBeLessThan(first);
    expect(third).toBeLessThan(second);
  });

  test('the time is used up on the way: the next hop is not called', async () => {
    using clock = new TestClock();
    const { front, seen, failed } = await chain(40_000);
    await expect(clock.until(front.unary(hello, { timeoutMs: 30_000 }))).rejects.toMatchObject({
      code: 'DEADLINE_EXCEEDED',
    });
    expect(await clock.until(failed.next())).toBe('DEADLINE_EXCEEDED');
    expect(seen.length).toBe(1);
  });
});

describe('an answer after the deadline', () => {
  const late = async (): Promise<void> => {
    while (performance.now() < deadline) await sleep(1);
  };
  let deadline = 0;
  const context = (): CallContext => {
    const call = {
      metadata: new Metadata(),
      cancelled: false,
      getPeer: () => '',
      getDeadline: () => Date.now() + 20,
      on: () => undefined,
    };
    const made = new CallContext('/a.B/C', call);
    ({ deadline } = made);
    return made;
  };

  test('unary: rejects with DEADLINE_EXCEEDED', async () => {
    const handler = serverDeadline().unary?.(async () => {
      await late();
      return hello;
    }, '');
    await expect(handler?.(hello, context())).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED' });
  });

  test('stream: ends with DEADLINE_EXCEEDED, not as if complete', async () => {
    const handler = serverDeadline().stream?.(async function* () {
      yield hello;
      await late();
    }, '');
    const seen: unknown[] = [];
    const read = async () => {
      for await (const response of handler?.(hello, context()) ?? []) seen.push(response);
    };
    await expect(read()).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED' });
    expect(seen).toEqual([hello]);
  });
});
