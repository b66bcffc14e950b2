/** Leased numbers on a real etcd: who holds one, and who learns in time that it does not any more. */
import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { silentLogger as logger } from '../../common/mod.ts';
import { EtcdRegistry } from '../registry/registry-etcd.ts';
import type { EtcdRegistryOptions } from '../registry/registry-etcd.ts';
import type { LeasedId, Registry, Snapshot } from '../registry/registry.ts';
import { TestEtcd } from '../testing/etcd.ts';
import { NumberHolder } from '../testing/number-holder.ts';
import { FaultyProxy, Inbox, endpointOf } from '../testing/support.ts';
import { EtcdClient } from './etcd-client.ts';
import { eventually } from '../../test/harness/eventually.ts';

const TTL_SECONDS = 2;

let etcd: TestEtcd;
let raw: EtcdClient;
const opened: EtcdRegistry[] = [];

beforeAll(async () => {
  etcd = await TestEtcd.start();
  raw = new EtcdClient({ hosts: [etcd.address] });
});
afterEach(async () => {
  await Promise.all(opened.splice(0).map((registry) => registry.close()));
});
afterAll(async () => {
  raw.close();
  await etcd[Symbol.asyncDispose]();
});

function open(options: Partial<EtcdRegistryOptions> = {}): EtcdRegistry {
  const registry = new EtcdRegistry({
    hosts: [etcd.address],
    logger,
    ttlSeconds: TTL_SECONDS,
    numberTtlSeconds: TTL_SECONDS,
    ...options,
  });
  opened.push(registry);
  return registry;
}

const freshName = (): string => `n-${randomUUID()}`;

async function leaseOf(name: string, value: number): Promise<bigint> {
  const { kvs } = await raw.range({ key: Buffer.from(`/gochat/ids/${name}/${value}`), end: Buffer.alloc(0) });
  return kvs[0]?.lease ?? 0n;
}

/** Asks for a number until there is one. */
async function take(registry: Registry, name: string, max: number): Promise<LeasedId> {
  let taken: LeasedId | undefined;
  await eventually(async () => {
    taken = await registry.leaseId(name, max).catch(() => undefined);
    return taken !== undefined;
  });
  return taken as LeasedId;
}

/** Counts the times that it was told. */
function losses(number: LeasedId): Inbox<true> {
  const inbox = new Inbox<true>();
  void number.lost.then(() => inbox.push(true));
  return inbox;
}

describe('a holder that cannot renew', () => {
  test('cut off from etcd: knows that its number is lost before another process can get it', async () => {
    const name = freshName();
    await using proxy = await FaultyProxy.to(etcd.address);
    const holder = await open({ hosts: [proxy.address] }).leaseId(name, 0);
    const lost = losses(holder);
    const other = open();
    await expect(other.leaseId(name, 0)).rejects.toMatchObject({ code: 'NUMBERS_EXHAUSTED' });
    proxy.silence();
    const taken = await take(other, name, 0);
    expect(taken.value).toBe(holder.value);
    // It was told already, with no word from etcd.
    expect(lost.all).toEqual([true]);
    expect([holder.isHeld, taken.isHeld]).toEqual([false, true]);
    // And its release, once it can, does not take the number from the one that has it.
    proxy.heal();
    await holder.release();
    await expect(open().leaseId(name, 0)).rejects.toMatchObject({ code: 'NUMBERS_EXHAUSTED' });
    expect(taken.isHeld).toBe(true);
  });

  test('frozen (STOP) past its lease: the first thing it reports when it continues is that its number is lost', async () => {
    const name = freshName();
    await using holder = await NumberHolder.start(etcd.address, name, 0, TTL_SECONDS);
    expect(await holder.isHeld()).toBe(true);
    holder.freeze();
    const taken = await take(open(), name, 0);
    expect(taken.value).toBe(holder.value);
    holder.thaw();
    expect(await holder.isHeld()).toBe(false);
    expect(taken.isHeld).toBe(true);
  });

  test('etcd paused past the lease: two processes know at once that their numbers are no longer certain', async () => {
    const name = freshName();
    const numbers = [await open().leaseId(name, 1), await open().leaseId(name, 1)];
    const told = numbers.map(losses);
    etcd.freeze();
    try {
      for (const inbox of told) await inbox.next(() => true);
      expect(numbers.map(({ isHeld }) => isHeld)).toEqual([false, false]);
    } finally {
      etcd.thaw();
    }
    // What was given up is there for others, and for them.
    const again = [await take(open(), name, 1), await take(open(), name, 1)];
    expect(again.map(({ value }) => value).sort((a, b) => a - b)).toEqual([0, 1]);
    expect(numbers.map(({ isHeld }) => isHeld)).toEqual([false, false]);
  });

  test('etcd paused for less than the reservation: endpoints are stale, and the numbers stay', async () => {
    const name = freshName();
    const registry = open({ numberTtlSeconds: 600 });
    const number = await registry.leaseId(name, 1023);
    const lost = losses(number);
    await registry.register(name, endpointOf('a'));
    const inbox = new Inbox<Snapshot>();
    registry.watch(name, inbox.push);
    await inbox.next(({ endpoints }) => endpoints.length === 1);
    const lease = await leaseOf(name, number.value);
    etcd.freeze();
    try {
      // Far longer than the endpoint's own lease lives.
      const { endpoints } = await inbox.next(({ stale }) => stale);
      expect(endpoints).toHaveLength(1);
      expect(number.isHeld).toBe(true);
    } finally {
      etcd.thaw();
    }
    await inbox.next(({ stale, endpoints }) => !stale && endpoints.length === 1);
    expect(await leaseOf(name, number.value)).toBe(lease);
    expect([number.isHeld, lost.all]).toEqual([true, []]);
  });
});

describe('etcd’s side', () => {
  test('a lease that etcd lost: the same number under a new one, if nobody took it', async () => {
    const name = freshName();
    const number = await open().leaseId(name, 1023);
    const lost = losses(number);
    const lease = await leaseOf(name, number.value);
    await raw.revokeLease(lease);
    await eventually(async () => ![0n, lease].includes(await leaseOf(name, number.value)));
    expect([number.isHeld, lost.all]).toEqual([true, []]);
  });

  test('a lease that etcd lost, and another process was faster: lost', async () => {
    const name = freshName();
    const number = await open({ ttlSeconds: 600, numberTtlSeconds: 600 }).leaseId(name, 0);
    await raw.revokeLease(await leaseOf(name, number.value));
    const lost = losses(number);
    const registry = open();
    const faster = await registry.leaseId(name, 0);
    expect(faster.value).toBe(number.value);
    expect(lost.all).toEqual([]);
    // It hears of it when it next writes or renews; another number of its process is such a write.
    await opened[0]?.leaseId(freshName(), 0);
    await lost.next(() => true);
    expect([number.isHeld, faster.isHeld]).toEqual([false, true]);
  });

  test('a killed process: its number stays reserved, and others get other numbers', async () => {
    const name = freshName();
    await (await NumberHolder.start(etcd.address, name, 1, 600))[Symbol.asyncDispose]();
    const other = open();
    const second = await other.leaseId(name, 1);
    await expect(other.leaseId(name, 1)).rejects.toMatchObject({ code: 'NUMBERS_EXHAUSTED' });
    expect(second.isHeld).toBe(true);
  });

  test('a released number: is reused as late as possible', async () => {
    const registry = open();
    const name = freshName();
    const values: number[] = [];
    for (let i = 0; i < 5; i++) {
      const number = await registry.leaseId(name, 3);
      values.push(number.value);
      await number.release();
      expect(number.isHeld).toBe(false);
    }
    const [first = 0] = values;
    expect(values).toEqual([0, 1, 2, 3, 4].map((step) => (first + step) % 4));
  });

  test('many processes at once: every number once', async () => {
    const name = freshName();
    const registries = Array.from({ length: 8 }, () => open());
    const numbers = await Promise.all(registries.map((registry) => registry.leaseId(name, 7)));
    expect(numbers.map(({ value }) => value).sort((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
  });
});
