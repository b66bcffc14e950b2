/** Contract of Registry. */
import { randomUUID } from 'node:crypto';
import { afterEach, describe, expect, test } from 'vitest';
import type { Registry, Snapshot } from './registry.ts';
import { Inbox, endpointOf } from '../testing/support.ts';

/** @param open Opens one more instance on the same registry; the suite closes it. */
export function registryContract(name: string, open: () => Promise<Registry>): void {
  describe(`registry ${name}`, () => {
    const opened: Registry[] = [];
    const openOne = async (): Promise<Registry> => {
      const registry = await open();
      opened.push(registry);
      return registry;
    };
    const freshName = (): string => `s-${randomUUID()}`;
    const has =
      (...ids: string[]) =>
      ({ endpoints }: Snapshot): boolean =>
        endpoints
          .map(({ id }) => id)
          .sort()
          .join() === ids.sort().join();

    afterEach(async () => {
      await Promise.all(opened.splice(0).map((registry) => registry.close()));
    });

    test('register: another instance lists the endpoint with every field', async () => {
      const [a, b] = [await openOne(), await openOne()];
      const service = freshName();
      const endpoint = endpointOf('one', {
        address: 'host.example:1234',
        weight: 2.5,
        zone: 'z1',
        metadata: { name: 'Ü' },
        load: { connections: 7 },
      });
      const registration = await a.register(service, endpoint);
      expect(registration.endpoint).toEqual(endpoint);
      const [listed] = await b.list(service);
      expect(listed).toMatchObject(endpoint);
      expect(Object.keys(listed ?? {}).filter((key) => key !== 'lease')).toEqual(Object.keys(endpoint));
    });

    test('watch: gives what is known first, never within the call, then each change', async () => {
      const [a, b] = [await openOne(), await openOne()];
      const service = freshName();
      await a.register(service, endpointOf('one'));
      const inbox = new Inbox<Snapshot>();
      b.watch(service, inbox.push);
      expect(inbox.all).toEqual([]);
      expect(await inbox.next()).toMatchObject({ endpoints: [endpointOf('one')], stale: false });
      const two = await a.register(service, endpointOf('two'));
      await inbox.next(has('one', 'two'));
      await two.deregister();
      await inbox.next(has('one'));
    });

    test('watch: an unknown service is an empty snapshot', async () => {
      const inbox = new Inbox<Snapshot>();
      (await openOne()).watch(freshName(), inbox.push);
      expect(await inbox.next()).toEqual({ endpoints: [], stale: false });
    });

    test('watch: a second watcher of the same service is called too, and unwatch ends only its own', async () => {
      const a = await openOne();
      const service = freshName();
      const [first, second] = [new Inbox<Snapshot>(), new Inbox<Snapshot>()];
      const unwatch = a.watch(service, first.push);
      await first.next(has());
      a.watch(service, second.push);
      await second.next(has());
      unwatch();
      unwatch();
      await a.register(service, endpointOf('one'));
      await second.next(has('one'));
      expect(first.all.length).toBe(1);
    });

    test('watch: services are separate, even if one name is a prefix of the other', async () => {
      const a = await openOne();
      const service = freshName();
      const inbox = new Inbox<Snapshot>();
      a.watch(service, inbox.push);
      await inbox.next(has());
      await a.register(`${service}2`, endpointOf('other'));
      await a.register(service, endpointOf('mine'));
      expect((await inbox.next()).endpoints.map(({ id }) => id)).toEqual(['mine']);
      expect(await a.list(service)).toHaveLength(1);
    });

    test('update: replaces load and weight for watchers', async () => {
      const a = await openOne();
      const service = freshName();
      const registration = await a.register(service, endpointOf('one', { load: { x: 1 } }));
      const inbox = new Inbox<Snapshot>();
      a.watch(service, inbox.push);
      await inbox.next(has('one'));
      await registration.update({ load: { x: 2 }, weight: 3 });
      const { endpoints } = await inbox.next(({ endpoints }) => endpoints[0]?.load['x'] === 2);
      expect(endpoints[0]?.weight).toBe(3);
      expect(registration.endpoint.load).toEqual({ x: 2 });
    });

    test('deregister: removes exactly that endpoint, is idempotent, and update does not bring it back', async () => {
      const a = await openOne();
      const service = freshName();
      const one = await a.register(service, endpointOf('one'));
      await a.register(service, endpointOf('two'));
      await one.deregister();
      await one.deregister();
      await one.update({ load: { x: 1 } });
      expect((await a.list(service)).map(({ id }) => id)).toEqual(['two']);
    });

    test('close: removes what the instance registered and nothing else', async () => {
      const [a, b] = [await openOne(), await openOne()];
      const service = freshName();
      await a.register(service, endpointOf('a'));
      await b.register(service, endpointOf('b'));
      const inbox = new Inbox<Snapshot>();
      b.watch(service, inbox.push);
      await inbox.next(has('a', 'b'));
      await a.close();
      await inbox.next(has('b'));
    });

    test('leaseId: live instances hold different numbers from 0 to max', async () => {
      const name = freshName();
      const registries = await Promise.all([openOne(), openOne(), openOne()]);
      const numbers = await Promise.all(registries.map((registry) => registry.leaseId(name, 2)));
      expect(numbers.map(({ value }) => value).sort((a, b) => a - b)).toEqual([0, 1, 2]);
    });

    test('leaseId: NUMBERS_EXHAUSTED when none is free; a released number is free again', async () => {
      const a = await openOne();
      const name = freshName();
      const [first] = [await a.leaseId(name, 1), await a.leaseId(name, 1)];
      await expect(a.leaseId(name, 1)).rejects.toMatchObject({ code: 'NUMBERS_EXHAUSTED' });
      await first.release();
      await first.release();
      expect((await a.leaseId(name, 1)).value).toBe(first.value);
    });

    test('leaseId: closing the instance frees its numbers', async () => {
      const [a, b] = [await openOne(), await openOne()];
      const name = freshName();
      await a.leaseId(name, 0);
      await a.close();
      expect((await b.leaseId(name, 0)).value).toBe(0);
    });

    test('publish, follow: undefined before, then each value; the value outlives its publisher', async () => {
      const [a, b] = [await openOne(), await openOne()];
      const key = freshName();
      const inbox = new Inbox<string | undefined>();
      b.follow(key, inbox.push);
      expect(inbox.all).toEqual([]);
      expect(await inbox.next()).toBeUndefined();
      await a.publish(key, 'one');
      expect(await inbox.next()).toBe('one');
      await a.publish(key, 'two');
      await inbox.next((value) => value === 'two');
      await a.close();
      const late = new Inbox<string | undefined>();
      b.follow(key, late.push);
      expect(await late.next()).toBe('two');
    });

    test('close: is idempotent, and every call afterwards is REGISTRY_UNREACHABLE', async () => {
      const a = await openOne();
      await a.close();
      await a.close();
      const refused = { code: 'REGISTRY_UNREACHABLE' };
      await expect(a.register('x', endpointOf('x'))).rejects.toMatchObject(refused);
      await expect(a.list('x')).rejects.toMatchObject(refused);
      await expect(a.leaseId('x', 1)).rejects.toMatchObject(refused);
      await expect(a.publish('x', 'y')).rejects.toMatchObject(refused);
      expect(() => a.watch('x', () => {})).toThrow('etcd');
      expect(() => a.follow('x', () => {})).toThrow('etcd');
    });
  });
}
