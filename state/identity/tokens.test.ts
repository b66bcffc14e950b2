import { expect, test } from 'vitest';
import { silentLogger, type UserId } from '../../common/mod.ts';
import { CLOCK_SKEW_MS } from '../limits.ts';
import { openTestStore } from '../testing/test-store.ts';
import { KeySeal } from './key-seal.ts';
import { SigningKeys } from './signing-keys.ts';
import { Tokens } from './tokens.ts';

const ANN = { user: 1n as UserId, name: 'ann', session: 7n };
const TTL_MS = 60_000;

/** Nodes on one store; the clock is of all of them. */
async function nodes() {
  const clock = { nowMs: 1_800_000_000_000 };
  const store = await openTestStore();
  const revoked = new Set<bigint>();
  const open = async () => {
    const now = () => clock.nowMs;
    const keys = await SigningKeys.open({
      store,
      seal: new KeySeal(undefined),
      tokenMs: TTL_MS,
      logger: silentLogger,
      publish: async () => undefined,
      now,
    });
    return new Tokens(keys, {
      ttlMs: TTL_MS,
      refusal: (_, session) => (revoked.has(session) ? 'TOKEN_REVOKED' : undefined),
      now,
    });
  };
  return { clock, revoked, one: await open(), two: await open() };
}

test('a token: is valid on every node until it expires, plus the tolerated clock difference', async () => {
  const { clock, one, two } = await nodes();
  const { token, expiresAtMs } = await one.issue(ANN);
  expect(expiresAtMs).toBe(clock.nowMs + TTL_MS);
  expect(two.verify(token)).toEqual(ANN);
  clock.nowMs = expiresAtMs + CLOCK_SKEW_MS - 1000;
  expect(two.verify(token)).toEqual(ANN);
  clock.nowMs = expiresAtMs + CLOCK_SKEW_MS;
  expect(() => two.verify(token)).toThrow(expect.objectContaining({ code: 'TOKEN_EXPIRED' }));
});

test('a token: is refused if revoked, forged or missing', async () => {
  const { revoked, one } = await nodes();
  const { token } = await one.issue(ANN);
  expect(one.verifyBearer(`Bearer ${token}`)).toMatchObject(ANN);
  expect(() => one.verify(`${token.slice(0, -6)}AAAAAA`)).toThrow(
    expect.objectContaining({ code: 'TOKEN_INVALID' }),
  );
  expect(() => one.verifyBearer('Basic x')).toThrow(expect.objectContaining({ code: 'TOKEN_INVALID' }));
  expect(() => one.verifyBearer(undefined)).toThrow(expect.objectContaining({ code: 'TOKEN_MISSING' }));
  revoked.add(7n);
  expect(() => one.verify(token)).toThrow(expect.objectContaining({ code: 'TOKEN_REVOKED' }));
});
