import { describe, expect, test } from 'vitest';
import type { UserId } from '../../common/mod.ts';
import { DEFAULT_LIMITS } from '../limits.ts';
import { settle } from '../testing/test-node.ts';
import { FairQueue } from './fair-queue.ts';
import { eventually } from '../../test/harness/eventually.ts';

const [ANN, BOB] = [1n as UserId, 2n as UserId];
const [SMALL, LARGE] = [100, 100_000];

/** A queue whose requests end when the test says so. */
function world(limits = {}) {
  const queue = new FairQueue({ ...DEFAULT_LIMITS, ...limits });
  const events: string[] = [];
  const ends = new Map<string, () => void>();
  return {
    queue,
    events,
    ask: (user: UserId, name: string, bytes = SMALL) =>
      queue.add(user, bytes, async () => {
        events.push(name);
        await new Promise<void>((resolve) => {
          ends.set(name, resolve);
        });
      }),
    end: async (name: string) => {
      ends.get(name)?.();
      await settle();
    },
    began: (name: string) => eventually(() => events.includes(name)),
  };
}

describe('FairQueue', () => {
  test('requests of one user: one at a time, with those of others in between', async () => {
    const { ask, end, began, events } = world();
    for (const name of ['ann 1', 'ann 2', 'ann 3']) ask(ANN, name);
    ask(BOB, 'bob 1');
    expect(events).toEqual(['ann 1', 'bob 1']);
    await end('bob 1');
    ask(BOB, 'bob 2');
    await began('bob 2');
    expect(events).toEqual(['ann 1', 'bob 1', 'bob 2']);
    await end('ann 1');
    await began('ann 2');
    expect(events).not.toContain('ann 3');
  });

  test('users whose requests wait: take turns', async () => {
    const { ask, end, began, events } = world();
    for (let user = 10n; user < 16n; user++) ask(user as UserId, `other ${user}`);
    for (const name of ['ann 1', 'ann 2']) ask(ANN, name);
    ask(BOB, 'bob 1');
    expect(events).toHaveLength(6);
    await end('other 10');
    await began('ann 1');
    await end('ann 1');
    await began('bob 1');
    await end('bob 1');
    await began('ann 2');
    expect(events.slice(6)).toEqual(['ann 1', 'bob 1', 'ann 2']);
  });

  test('large requests: one at a time, whichever user sends them; small ones go on', async () => {
    const { ask, end, began, events } = world();
    ask(ANN, 'ann', LARGE);
    ask(BOB, 'bob', LARGE);
    ask(3n as UserId, 'cid');
    expect(events).toEqual(['ann', 'cid']);
    await end('ann');
    await began('bob');
  });

  test('too many requests: RATE_LIMITED for a single user; OVERLOADED for everybody if all users together have too many', async () => {
    const { queue, ask, end } = world({
      requestsPerUser: 2,
      requestBytesPerUser: 500,
      requests: 4,
      requestBytes: 100_000,
    });
    ask(ANN, 'ann 1');
    expect(queue.refusal(ANN)).toBeUndefined();
    ask(ANN, 'ann 2');
    expect([queue.refusal(ANN), queue.refusal(BOB)]).toEqual(['RATE_LIMITED', undefined]);
    ask(BOB, 'bob 1', 600);
    expect([queue.refusal(BOB), queue.refusal(3n as UserId)]).toEqual(['RATE_LIMITED', undefined]);
    ask(3n as UserId, 'cid 1');
    expect(queue.refusal(4n as UserId)).toBe('OVERLOADED');
    await end('bob 1');
    expect(queue.refusal(4n as UserId)).toBeUndefined();
  });

  test('idle: resolves when all requests are done', async () => {
    const { queue, ask, end } = world();
    await queue.idle();
    ask(ANN, 'ann');
    let idle = false;
    void queue.idle().then(() => {
      idle = true;
    });
    await settle();
    expect(idle).toBe(false);
    await end('ann');
    expect(idle).toBe(true);
  });
});
