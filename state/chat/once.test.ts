import { expect, test } from 'vitest';
import { GochatError, type UserId } from '../../common/mod.ts';
import { HotMemory } from '../hot/hot-memory.ts';
import { once } from './once.ts';

const ANN = 1n as UserId;
const BOB = 2n as UserId;

test('a key: is one request of its user, and repetitions of it are done again', async () => {
  await using hot = new HotMemory();
  const ask = (user: UserId, key: string, request: string) =>
    once(hot, user, { key, request }, async () => request);
  expect(await ask(ANN, 'k', 'a')).toBe('a');
  expect(await ask(ANN, 'k', 'a')).toBe('a');
  await expect(ask(ANN, 'k', 'b')).rejects.toMatchObject({ code: 'IDEMPOTENCY_KEY_REUSED' });
  expect([await ask(ANN, 'l', 'b'), await ask(BOB, 'k', 'b')]).toEqual(['b', 'b']);
  expect(await once(hot, ANN, undefined, async () => 'none')).toBe('none');
});

test('a request that is refused for good: leaves its key free; one that may have been done does not', async () => {
  await using hot = new HotMemory();
  const fail = (code: 'NAME_INVALID' | 'STORE_UNAVAILABLE') =>
    once(hot, ANN, { key: code, request: 'a' }, () =>
      Promise.reject(
        code === 'NAME_INVALID' ? new GochatError(code, { details: { name: 'x' } }) : new GochatError(code),
      ),
    );
  const other = (key: string) => once(hot, ANN, { key, request: 'b' }, async () => 'done');
  await expect(fail('NAME_INVALID')).rejects.toMatchObject({ code: 'NAME_INVALID' });
  expect(await other('NAME_INVALID')).toBe('done');
  await expect(fail('STORE_UNAVAILABLE')).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
  await expect(other('STORE_UNAVAILABLE')).rejects.toMatchObject({ code: 'IDEMPOTENCY_KEY_REUSED' });
});

test('a key that is too long: ARGUMENT_INVALID', async () => {
  await using hot = new HotMemory();
  const asked = once(hot, ANN, { key: 'é'.repeat(129), request: 'a' }, async () => 1);
  await expect(asked).rejects.toMatchObject({ code: 'ARGUMENT_INVALID' });
});
