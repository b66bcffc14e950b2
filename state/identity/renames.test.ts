import { afterEach, expect, test, vi } from 'vitest';
import { silentLogger, type UserId } from '../../common/mod.ts';
import { openTestStore } from '../testing/test-store.ts';
import { Renames } from './renames.ts';

const ANN = 1n as UserId;

afterEach(() => {
  vi.useRealTimers();
});

test('a name that another node has changed: is told within 20 s, also after the store has failed', async () => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'Date'] });
  await using store = await openTestStore();
  await store.addUser(ANN);
  const told: string[] = [];
  const down = { profilesSince: () => Promise.reject(new Error('down')) };
  let current: Pick<typeof store, 'profilesSince'> = store;
  const renames = new Renames({
    store: { profilesSince: (ms) => current.profilesSince(ms) },
    logger: silentLogger,
    onRenamed: (user, { displayName }) => told.push(`${user} ${displayName}`),
  });
  renames.start();
  await vi.advanceTimersByTimeAsync(100_000);
  expect(told).toEqual([]);
  await store.setDisplayName(ANN, 'Ann');
  await vi.advanceTimersByTimeAsync(20_000);
  expect(new Set(told)).toEqual(new Set(['1 Ann']));
  current = down;
  await store.setDisplayName(ANN, 'Änn');
  await vi.advanceTimersByTimeAsync(30_000);
  current = store;
  await vi.advanceTimersByTimeAsync(20_000);
  expect(told.at(-1)).toBe('1 Änn');
  renames.stop();
  told.length = 0;
  await vi.advanceTimersByTimeAsync(100_000);
  expect(told).toEqual([]);
});
