import { expect, test } from 'vitest';
import { GochatError, silentLogger, type UserId } from '../../common/mod.ts';
import { openTestStore } from '../testing/test-store.ts';
import { KeySeal } from './key-seal.ts';
import { KEY_LEAD_MS, SigningKeys } from './signing-keys.ts';
import { Tokens } from './tokens.ts';

const ANN = { user: 1n as UserId, name: 'ann', session: 7n };
const TTL_MS = 600_000;
const SECRET = 'a secret of at least 32 bytes, or so';

/** Nodes on one store; the clock is of all of them. */
async function system() {
  const clock = { nowMs: 1_800_000_000_000 };
  const store = await openTestStore();
  const published: string[] = [];
  let isRegistryDown = false;
  const open = async (secret?: string) => {
    const now = () => clock.nowMs;
    const keys = await SigningKeys.open({
      store,
      seal: new KeySeal(secret),
      tokenMs: TTL_MS,
      logger: silentLogger,
      publish: async (jwks) => {
        if (isRegistryDown) throw new GochatError('HOT_UNAVAILABLE');
        published.push(jwks);
      },
      now,
    });
    return { keys, tokens: new Tokens(keys, { ttlMs: TTL_MS, refusal: () => undefined, now }) };
  };
  const stored = () =>
    store.rows('select private_jwk from signing_keys').map((row) => String(row['private_jwk']));
  return { clock, store, open, stored, published, breakRegistry: (down: boolean) => (isRegistryDown = down) };
}

const kidsOf = (jwks: string | undefined) =>
  (JSON.parse(jwks ?? '{"keys":[]}') as { keys: { kid: string }[] }).keys.map(({ kid }) => kid);

test('rotate: the new key is known everywhere before it signs, and old tokens stay good until they expire', async () => {
  const { clock, open, published } = await system();
  const [one, two] = [await open(), await open()];
  const { token: old } = await one.tokens.issue(ANN);
  const [first, next] = await one.keys.rotate();
  expect([first?.state, next?.state]).toEqual(['signs', 'next']);
  expect(kidsOf(published.at(-1))).toEqual([first?.kid, next?.kid]);
  // Two has read the keys before the new one signs.
  await two.keys.load();
  expect(one.keys.signer.kid).toBe(first?.kid);
  clock.nowMs += KEY_LEAD_MS;
  expect(one.keys.list().map(({ state }) => state)).toEqual(['verifies', 'signs']);
  const { token: fresh } = await one.tokens.issue(ANN);
  for (const { tokens } of [one, two]) {
    expect(tokens.verify(fresh)).toEqual(ANN);
    expect(tokens.verify(old)).toEqual(ANN);
  }
  clock.nowMs += TTL_MS;
  for (const { keys, tokens } of [one, two]) {
    await keys.load();
    expect(keys.list().map(({ kid }) => kid)).toEqual([next?.kid]);
    expect(tokens.verify(fresh)).toEqual(ANN);
    expect(() => tokens.verify(old)).toThrow(expect.objectContaining({ code: 'TOKEN_INVALID' }));
  }
});

test('rotate: twice, or on two nodes at once, makes one key', async () => {
  const { open } = await system();
  const [one, two] = [await open(), await open()];
  await Promise.all([one.keys.rotate(), two.keys.rotate()]);
  await one.keys.rotate();
  await two.keys.load();
  expect(one.keys.list()).toHaveLength(2);
  expect(two.keys.list()).toEqual(one.keys.list());
});

test('a registry that cannot be reached: the keys are published again at the next load', async () => {
  const { open, published, breakRegistry } = await system();
  const { keys } = await open();
  breakRegistry(true);
  await expect(keys.rotate()).rejects.toMatchObject({ code: 'HOT_UNAVAILABLE' });
  breakRegistry(false);
  await keys.load();
  await keys.load();
  expect(published.map((each) => kidsOf(each).length)).toEqual([1, 2]);
});

test('jwt_secret: no private key is in the store; a node with the same one starts', async () => {
  const { open, stored } = await system();
  const { tokens } = await open(SECRET);
  expect(stored()[0]).toMatch(/^eyJ[\w-]+\.\.[\w-]+\.[\w-]+\.[\w-]+$/);
  const again = await open(SECRET);
  const { token } = await tokens.issue(ANN);
  expect(again.tokens.verify(token)).toEqual(ANN);
});

test('jwt_secret: given later, it encrypts what is there; also the keys that follow', async () => {
  const { open, stored } = await system();
  const { tokens } = await open();
  expect(stored()[0]).toContain('"d"');
  const { token } = await tokens.issue(ANN);
  const { keys, tokens: sealed } = await open(SECRET);
  await keys.rotate();
  expect(stored().join('')).not.toContain('"d"');
  expect(sealed.verify(token)).toEqual(ANN);
});

test.each([
  ['changed', `${SECRET}!`, /another one now/],
  ['taken away', undefined, /there is none now/],
])('jwt_secret %s: an error at start that says so', async (_, later, says) => {
  const { open } = await system();
  await open(SECRET);
  const error = await open(later).then(
    () => undefined,
    (thrown: unknown) => GochatError.from(thrown),
  );
  expect(error?.code).toBe('JWT_SECRET_CHANGED');
  expect(error?.entry.exit).toBe(78);
  expect(error?.message).toMatch(says);
  expect(error?.message).not.toContain(SECRET);
});
