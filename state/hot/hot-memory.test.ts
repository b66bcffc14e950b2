import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { HotMemory } from './hot-memory.ts';
import { HELD_TTL_MS } from './hot-state.ts';
import { hotStateContract, newUser, session } from './hot-state.contract.ts';

let nowMs = 0;

hotStateContract('HotMemory', () => ({
  open: async () => new HotMemory({ now: () => nowMs }),
  elapse: async (ms) => {
    nowMs += ms;
  },
}));

describe('HotMemory', () => {
  test('claim: epochs grow while the wall clock stands still or steps back', async () => {
    let wall = 1_000_000;
    await using hot = new HotMemory({ wallNow: () => wall });
    const user = newUser();
    const first = await hot.claim(user, 'phone', session(1), undefined);
    expect(first.epoch).toBe(1_000_000_000n);
    expect((await hot.claim(user, 'phone', session(1), undefined)).epoch).toBe(1_000_000_001n);
    wall -= 5000;
    expect((await hot.claim(user, 'phone', session(1), undefined)).epoch).toBe(1_000_000_002n);
  });

  test('claim: one that is never released is forgotten after its time', async () => {
    let now = 0;
    await using hot = new HotMemory({ now: () => now });
    const user = newUser();
    await hot.claim(user, 'phone', session(1), undefined);
    now = HELD_TTL_MS - 1;
    expect(await hot.holder(user, 'phone')).toBeDefined();
    now = HELD_TTL_MS;
    expect(await hot.holder(user, 'phone')).toBeUndefined();
  });

  test('bound: the device claimed longest ago is dropped first', async () => {
    await using hot = new HotMemory({ maxEntries: 2 });
    const user = newUser();
    await hot.claim(user, 'a', session(1), undefined);
    await hot.claim(user, 'b', session(2), undefined);
    await hot.claim(user, 'a', session(1), session(1));
    await hot.claim(user, 'c', session(3), undefined);
    expect(await hot.holder(user, 'b')).toBeUndefined();
    expect(await hot.holder(user, 'a')).toBeDefined();
    expect(await hot.holder(user, 'c')).toBeDefined();
  });

  test('allow: no window ever lets through more than burst + rate × window, and a patient caller is never refused', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 50 }),
        fc.integer({ min: 1, max: 20 }),
        fc.array(fc.nat(400), { minLength: 1, maxLength: 60 }),
        async (perSecond, burst, gapsMs) => {
          let now = 0;
          await using hot = new HotMemory({ now: () => now });
          const allowedAt: number[] = [];
          for (const gap of gapsMs) {
            now += gap;
            const answer = await hot.allow('k', perSecond, burst);
            if (answer.allowed) allowedAt.push(now);
            else {
              now += answer.retryAfterMs;
              expect((await hot.allow('k', perSecond, burst)).allowed).toBe(true);
              allowedAt.push(now);
            }
          }
          for (const [i, from] of allowedAt.entries())
            for (const [j, to] of allowedAt.entries())
              if (j >= i)
                expect(j - i + 1).toBeLessThanOrEqual(burst + ((to - from) / 1000) * perSecond + 0.01);
        },
      ),
      { numRuns: 50 },
    );
  });
});
