/** Ids of a node whose number comes and goes. */
import { expect, test } from 'vitest';
import { MAX_NODE, SEQUENCE_BITS, silentLogger as logger } from '../common/mod.ts';
import type { LeasedId } from '../crpc/mod.ts';
import { NodeIds } from './node-ids.ts';
import { within } from '../test/harness/eventually.ts';

const nodeOf = (id: bigint): number => Number((id >> BigInt(SEQUENCE_BITS)) & BigInt(MAX_NODE));

/** A registry that gives these numbers; what is `held` and `lost` of each is the test's to say. */
function numbers(...values: number[]) {
  const given: { isHeld: boolean; lose: () => void }[] = [];
  const leaseId = async (): Promise<LeasedId> => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const one = { isHeld: true, lose: resolve };
    given.push(one);
    const release = async (): Promise<void> => {};
    return {
      value: values.shift() ?? 0,
      get isHeld() {
        return one.isHeld;
      },
      lost: promise,
      release,
      [Symbol.asyncDispose]: release,
    };
  };
  return { given, leaseId };
}

test('next: no id without a number; with one, an id that contains it', async () => {
  const ids = new NodeIds({ registry: numbers(5), logger, onRegained: () => {} });
  expect(ids.available).toBe(false);
  expect(() => ids.next()).toThrow(expect.objectContaining({ code: 'STATE_UNAVAILABLE' }));
  await ids.acquire();
  expect(nodeOf(ids.next())).toBe(5);
  await ids.close();
  expect(ids.available).toBe(false);
});

test('a number that is no longer held: no id, even before the loss is announced', async () => {
  const registry = numbers(5);
  const ids = new NodeIds({ registry, logger, onRegained: () => {} });
  await ids.acquire();
  const [given] = registry.given;
  if (given !== undefined) given.isHeld = false;
  expect(ids.available).toBe(false);
  expect(() => ids.next()).toThrow(expect.objectContaining({ code: 'STATE_UNAVAILABLE' }));
  await ids.close();
});

test('a lost number: ids go on with another one', async () => {
  const registry = numbers(5, 6);
  const regained = Promise.withResolvers<void>();
  const ids = new NodeIds({ registry, logger, onRegained: regained.resolve });
  await ids.acquire();
  registry.given[0]?.lose();
  await within('a number again', regained.promise);
  expect(nodeOf(ids.next())).toBe(6);
  await ids.close();
});
