/** The registry on an etcd that is killed, paused, emptied, compacted, and that loses leases. */
import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest';
import { silentLogger as logger } from '../../common/mod.ts';
import { encodeEndpoint } from '../balance/endpoint-codec.ts';
import { EtcdClient } from '../etcd/etcd-client.ts';
import type { KeyRange } from '../etcd/etcd-client.ts';
import { ServiceWatch } from '../etcd/service-watch.ts';
import { EtcdRegistry } from './registry-etcd.ts';
import type { EtcdRegistryOptions } from './registry-etcd.ts';
import type { Snapshot } from './registry.ts';
import { TestEtcd } from '../testing/etcd.ts';
import { eventually } from '../../test/harness/eventually.ts';
import { FaultyProxy, Inbox, endpointOf } from '../testing/support.ts';

const TTL_SECONDS = 2;
const TTL_MS = TTL_SECONDS * 1000;

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
  const registry = new EtcdRegistry({ hosts: [etcd.address], logger, ttlSeconds: TTL_SECONDS, ...options });
  opened.push(registry);
  return registry;
}

function watch(registry: EtcdRegistry, service: string): Inbox<Snapshot> {
  const inbox = new Inbox<Snapshot>();
  registry.watch(service, inbox.push);
  return inbox;
}

const idsOf = ({ endpoints }: Snapshot): string =>
  endpoints
    .map(({ id }) => id)
    .sort()
    .join();
const is =
  (ids: string, stale = false) =>
  (snapshot: Snapshot): boolean =>
    idsOf(snapshot) === ids && snapshot.stale === stale;
const freshName = (): string => `s-${randomUUID()}`;
const keyOf = (path: string): Buffer => Buffer.from(`/gochat/${path}`);

async function leaseOf(path: string): Promise<bigint> {
  const { kvs } = await raw.range({ key: keyOf(path), end: Buffer.alloc(0) });
  return kvs[0]?.lease ?? 0n;
}

describe('leases', () => {
  test('a lost lease: the endpoint is registered again, under a new lease that is kept alive', async () => {
    const renew = vi.spyOn(EtcdClient.prototype, 'renewLease');
    onTestFinished(() => renew.mockRestore());
    const service = freshName();
    const inbox = watch(open(), service);
    await open().register(service, endpointOf('a', { load: { x: 1 } }));
    await inbox.next(is('a'));
    const lease = await leaseOf(`services/${service}/a`);
    await raw.revokeLease(lease);
    await inbox.next(is(''));
    await inbox.next(is('a'));
    expect(await leaseOf(`services/${service}/a`)).not.toBe(lease);
    await eventually('the new lease is renewed', async () =>
      renew.mock.calls.flat().includes(await leaseOf(`services/${service}/a`)),
    );
  });

  test('update: a lost lease is noticed by the write itself', async () => {
    const service = freshName();
    const registration = await open({ ttlSeconds: 600 }).register(service, endpointOf('a'));
    await raw.revokeLease(await leaseOf(`services/${service}/a`));
    await registration.update({ load: { x: 2 } });
    expect((await open().list(service))[0]?.load).toEqual({ x: 2 });
  });

  test('a process that dies: its endpoint expires, and only that one', async () => {
    const service = freshName();
    await using proxy = await FaultyProxy.to(etcd.address);
    const inbox = watch(open(), service);
    await open({ hosts: [proxy.address] }).register(service, endpointOf('dead'));
    await open().register(service, endpointOf('living'));
    await open().register(service, endpointOf('livingtoo'));
    await inbox.next(is('dead,living,livingtoo'));
    proxy.cut();
    await inbox.next(is('living,livingtoo'));
    // It was only cut off: as soon as it can, it is back.
    proxy.heal();
    await inbox.next(is('dead,living,livingtoo'));
  });

  test('a delete from outside: removes exactly that endpoint', async () => {
    const service = freshName();
    const inbox = watch(open(), service);
    const registry = open();
    for (const id of ['a', 'ab', 'b']) await registry.register(service, endpointOf(id));
    await inbox.next(is('a,ab,b'));
    await raw.delete(keyOf(`services/${service}/a`));
    expect(idsOf(await inbox.next())).toBe('ab,b');
  });
});

describe('an etcd in trouble', () => {
  test('killed and started again: the last snapshot stays, stale; then it is fresh, and changes arrive', async () => {
    const service = freshName();
    const inbox = watch(open(), service);
    await open().register(service, endpointOf('a'));
    await inbox.next(is('a'));
    await etcd.kill();
    await inbox.next(is('a', true));
    // Who asks for the first time hears that it cannot be reached.
    const late = open();
    await expect(late.register(service, endpointOf('b'))).rejects.toMatchObject({
      code: 'REGISTRY_UNREACHABLE',
      details: { url: `etcd://${etcd.address}` },
    });
    await expect(late.list(service)).rejects.toMatchObject({ code: 'REGISTRY_UNREACHABLE' });
    await expect(late.leaseId('x', 1)).rejects.toMatchObject({ code: 'REGISTRY_UNREACHABLE' });
    const lateInbox = watch(late, service);
    await lateInbox.next(is('', true));
    await etcd.start();
    await inbox.next(is('a'));
    await lateInbox.next(is('a'));
    await late.register(service, endpointOf('b'));
    await inbox.next(is('a,b'));
    // The endpoint never left: every snapshot since shows it.
    expect(inbox.all.slice(inbox.all.findIndex(is('a'))).every((one) => idsOf(one).startsWith('a'))).toBe(
      true,
    );
  });

  test('started again without its data: no endpoint vanishes, and all are registered again', async () => {
    const service = freshName();
    const registries = [open(), open()];
    const inbox = watch(open(), service);
    await registries[0]?.register(service, endpointOf('a'));
    await registries[1]?.register(service, endpointOf('b'));
    await inbox.next(is('a,b'));
    // Some history, so that the new etcd is behind the old one.
    for (let i = 0; i < 5; i++) await raw.put(keyOf('values/history'), `${i}`);
    const followed = new Inbox<string | undefined>();
    registries[0]?.follow('history', followed.push);
    await followed.next((value) => value === '4');
    await etcd.kill();
    await etcd.wipe();
    await etcd.start();
    await inbox.next(is('a,b', true));
    await inbox.next(is('a,b'));
    await eventually('both are registered again', async () => (await open().list(service)).length === 2);
    expect(inbox.all.slice(inbox.all.findIndex(is('a,b'))).every((one) => idsOf(one) === 'a,b')).toBe(true);
    expect(followed.all).toEqual(['4']);
  });

  test('paused: watchers learn of it within the keepalive time, and the watch continues afterwards', async () => {
    const service = freshName();
    const inbox = watch(open({ ttlSeconds: 60 }), service);
    await open({ ttlSeconds: 60 }).register(service, endpointOf('a'));
    await inbox.next(is('a'));
    etcd.freeze();
    try {
      await inbox.next(is('a', true));
    } finally {
      etcd.thaw();
    }
    await inbox.next(is('a'));
    expect(inbox.all.slice(inbox.all.findIndex(is('a'))).every((one) => idsOf(one) === 'a')).toBe(true);
  });

  test('compacted while a watcher was cut off: it misses nothing', async () => {
    const service = freshName();
    await using proxy = await FaultyProxy.to(etcd.address);
    const inbox = watch(open({ hosts: [proxy.address] }), service);
    const registry = open();
    const a = await registry.register(service, endpointOf('a'));
    await inbox.next(is('a'));
    proxy.cut();
    await inbox.next(is('a', true));
    await registry.register(service, endpointOf('b'));
    await a.deregister();
    await registry.register(service, endpointOf('c'));
    const { revision } = await raw.range({ key: keyOf('x'), end: Buffer.alloc(0) });
    await raw.compact(revision);
    proxy.heal();
    await inbox.next(is('b,c'));
    await registry.register(service, endpointOf('d'));
    await inbox.next(is('b,c,d'));
  });
});

describe('a watch', () => {
  test('compacted between list and watch: etcd refuses the revision, the range is listed again, nothing is missed', async () => {
    const service = freshName();
    const key = (id: string): Buffer => keyOf(`services/${service}/${id}`);
    await raw.put(key('a'), encodeEndpoint(endpointOf('a')));
    /** An etcd client whose first list is overtaken by changes and a compaction before the watch begins. */
    class Overtaken extends EtcdClient {
      lists = 0;
      refusals = 0;
      override async range(range: KeyRange): ReturnType<EtcdClient['range']> {
        const result = await super.range(range);
        if (this.lists++ > 0) return result;
        await raw.put(key('b'), encodeEndpoint(endpointOf('b')));
        await raw.delete(key('a'));
        await raw.put(key('c'), encodeEndpoint(endpointOf('c')));
        const { revision } = await raw.range(range);
        await raw.compact(revision);
        return result;
      }
      override async *watch(...args: Parameters<EtcdClient['watch']>): ReturnType<EtcdClient['watch']> {
        for await (const response of super.watch(...args)) {
          if (response.canceled && response.compactRevision > 0n) this.refusals++;
          yield response;
        }
      }
    }
    const client = new Overtaken({ hosts: [etcd.address] });
    const inbox = new Inbox<Snapshot>();
    const watch = new ServiceWatch({
      client,
      logger,
      service,
      range: { key: key(''), end: key('~') },
      graceMs: 60_000,
      ttlMs: TTL_MS,
    });
    watch.add(inbox.push);
    try {
      await inbox.next(is('a'));
      await inbox.next(is('b,c'));
      expect([client.lists, client.refusals]).toEqual([2, 1]);
      // And it is a live watch again, which was never called stale.
      await raw.put(key('d'), encodeEndpoint(endpointOf('d')));
      await inbox.next(is('b,c,d'));
      expect(inbox.all.every(({ stale }) => !stale)).toBe(true);
    } finally {
      watch.close();
      client.close();
    }
  });

  test('compacted while it runs: goes on', async () => {
    const service = freshName();
    const inbox = watch(open(), service);
    const registry = open();
    await registry.register(service, endpointOf('a'));
    await inbox.next(is('a'));
    for (const id of ['b', 'c', 'd']) {
      const { revision } = await raw.range({ key: keyOf('x'), end: Buffer.alloc(0) });
      await raw.compact(revision);
      await registry.register(service, endpointOf(id));
    }
    await inbox.next(is('a,b,c,d'));
  });

  test('each endpoint: carries its lease', async () => {
    const service = freshName();
    const inbox = watch(open(), service);
    await open().register(service, endpointOf('a'));
    const { endpoints } = await inbox.next(is('a'));
    const lease = (await leaseOf(`services/${service}/a`)).toString(16);
    expect(endpoints[0]?.lease).toBe(lease);
    expect((await open().list(service))[0]?.lease).toBe(lease);
  });

  test('a thousand changes at once: the last snapshot is right, and there were fewer than a thousand', async () => {
    const service = freshName();
    const inbox = watch(open(), service);
    const registry = open();
    const all = Array.from({ length: 500 }, (_, i) => `e${String(i).padStart(3, '0')}`);
    const registrations = await Promise.all(all.map((id) => registry.register(service, endpointOf(id))));
    await inbox.next(is(all.join()));
    await Promise.all(registrations.slice(100).map((registration) => registration.deregister()));
    await inbox.next(is(all.slice(0, 100).join()));
    expect(inbox.all.length).toBeLessThan(900);
  });
});

describe('the mass-loss guard', () => {
  /** Registers under leases that the test can revoke in one go. */
  async function registerRaw(service: string, ids: readonly string[]): Promise<bigint> {
    const lease = await raw.grantLease(600);
    for (const id of ids)
      await raw.put(keyOf(`services/${service}/${id}`), encodeEndpoint(endpointOf(id)), lease);
    return lease;
  }

  test('most of five gone at once: held back; back in time: no change is seen', async () => {
    const service = freshName();
    const inbox = watch(open({ graceMs: 60_000 }), service);
    await registerRaw(service, ['a', 'b']);
    const lease = await registerRaw(service, ['c', 'd', 'e']);
    await inbox.next(is('a,b,c,d,e'));
    const told = inbox.all.length;
    await raw.revokeLease(lease);
    await inbox.next(() => inbox.all.length > told);
    await registerRaw(service, ['c', 'd', 'e']);
    await registerRaw(service, ['f']);
    await inbox.next(is('a,b,c,d,e,f'));
    expect(inbox.all.slice(told).every((one) => idsOf(one).startsWith('a,b,c,d,e'))).toBe(true);
  });

  test('not back within the grace period: removed', async () => {
    const service = freshName();
    const inbox = watch(open({ graceMs: 300 }), service);
    await registerRaw(service, ['a']);
    const lease = await registerRaw(service, ['b', 'c', 'd']);
    await inbox.next(is('a,b,c,d'));
    await raw.revokeLease(lease);
    await inbox.next(is('a'));
  });

  test('exactly half of four, or all of three: not a mass loss', async () => {
    const [four, three] = [freshName(), freshName()];
    const registry = open({ graceMs: 60_000 });
    const [inboxFour, inboxThree] = [watch(registry, four), watch(registry, three)];
    await registerRaw(four, ['a', 'b']);
    const halfLease = await registerRaw(four, ['c', 'd']);
    const allLease = await registerRaw(three, ['x', 'y', 'z']);
    await inboxFour.next(is('a,b,c,d'));
    await inboxThree.next(is('x,y,z'));
    await raw.revokeLease(halfLease);
    await raw.revokeLease(allLease);
    await inboxFour.next(is('a,b'));
    await inboxThree.next(is(''));
  });

  test('all of five deregister: removed at once', async () => {
    const service = freshName();
    const registry = open();
    const inbox = watch(open({ graceMs: 60_000 }), service);
    const all = await Promise.all(
      ['a', 'b', 'c', 'd', 'e'].map((id) => registry.register(service, endpointOf(id))),
    );
    await inbox.next(is('a,b,c,d,e'));
    await Promise.all(all.map((registration) => registration.deregister()));
    await inbox.next(is(''));
  });
});
