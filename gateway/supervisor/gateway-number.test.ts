/** The gateway's number as the registry gives and takes it. */
import { expect, test } from 'vitest';
import { silentLogger as logger } from '../../common/mod.ts';
import type { LeasedId, Registry } from '../../crpc/mod.ts';
import { GatewayNumber } from './gateway-number.ts';
import { within } from '../../test/harness/eventually.ts';

/** A number that the test can take away. */
function leased(value: number): LeasedId & { lose(): void } {
  const { promise, resolve } = Promise.withResolvers<void>();
  let isHeld = true;
  const release = async (): Promise<void> => {};
  return {
    value,
    get isHeld() {
      return isHeld;
    },
    lost: promise,
    lose: () => {
      isHeld = false;
      resolve();
    },
    release,
    [Symbol.asyncDispose]: release,
  };
}

test('a lost number: none is held until there is another, and each change is announced', async () => {
  const [first, second] = [leased(3), leased(4)];
  const answer = Promise.withResolvers<LeasedId>();
  const answers = [Promise.resolve(first), answer.promise];
  const registry = { leaseId: () => answers.shift() } as unknown as Registry;
  const replaced = Promise.withResolvers<void>();
  const told: (number | undefined)[] = [];
  const number = new GatewayNumber(registry, logger, (held) => {
    told.push(held);
    if (held !== undefined) replaced.resolve();
  });
  await number.lease();
  expect([number.value, number.held]).toEqual([3, 3]);
  first.lose();
  await first.lost;
  expect([number.value, number.held, told]).toEqual([3, undefined, [undefined]]);
  answer.resolve(second);
  await within('another number', replaced.promise);
  expect([number.value, number.held, told]).toEqual([4, 4, [undefined, 4]]);
  await number.release();
});
