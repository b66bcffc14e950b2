/** Whether the processor time of a refusal tells which names exist: the medians of 1,000 tries each differ by less than 5 %. */
import { expect, test } from 'vitest';
import { GochatError, type UserId } from '../../common/mod.ts';
import { HotMemory } from '../hot/hot-memory.ts';
import { DEFAULT_LIMITS } from '../limits.ts';
import { openTestStore } from '../testing/test-store.ts';
import { Accounts } from './accounts.ts';
import { Passwords } from './passwords.ts';

const TRIES = 1000;
const MOST = 0.05;
const ENOUGH = { perSecond: 1e6, burst: 1e6 };
const FROM = '192.0.2.1';

test(`${TRIES} log-ins each, in turn: of no user, of one with another password, of a closed account, of a bot`, async () => {
  const store = await openTestStore();
  let lastId = 100n;
  const accounts = new Accounts({
    store,
    hot: new HotMemory(),
    passwords: new Passwords(2, 256),
    limits: {
      ...DEFAULT_LIMITS,
      guessesPerAddress: ENOUGH,
      guessesPerName: ENOUGH,
      guessesPerNameAndAddress: ENOUGH,
    },
    nextUser: () => ++lastId as UserId,
  });
  const sign = (name: string) => accounts.signup({ name, password: `horse of ${name}`, address: FROM });
  const { id } = await sign('known');
  const closed = await sign('closed');
  await store.closeAccount(closed.id, undefined, false, Date.now());
  await store.createBot({ id: ++lastId as UserId, name: 'robot', passwordHash: '' }, id, '');
  const times = new Map<string, number[]>(['nobody', 'known', 'closed', 'robot'].map((name) => [name, []]));
  // The first hash of a process takes longer.
  await accounts.login({ name: 'known', password: 'horse of known', address: FROM });
  for (let round = 0; round < TRIES; round++) {
    for (const [name, taken] of [...times].toSorted(() => Math.random() - 0.5)) {
      // Processor time, as what else the machine does is noise.
      const began = process.cpuUsage();
      const code = await accounts.login({ name, password: `guess ${round}`, address: '203.0.113.66' }).then(
        () => 'in',
        (error: unknown) => GochatError.from(error).code,
      );
      const { user, system } = process.cpuUsage(began);
      taken.push((user + system) / 1000);
      expect(code).toBe('CREDENTIALS_WRONG');
    }
  }
  const medians = [...times].map(([name, taken]) => {
    const median = taken.toSorted((a, b) => a - b)[TRIES / 2] ?? Number.NaN;
    return { name, median };
  });
  const shown = medians.map(({ name, median }) => `${name} ${median.toFixed(2)} ms`).join(', ');
  process.stdout.write(`medians: ${shown}\n`);
  const all = medians.map(({ median }) => median);
  expect(Math.max(...all) / Math.min(...all) - 1, shown).toBeLessThan(MOST);
}, 1_800_000);
