import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { silentLogger } from '../common/mod.ts';
import type { Endpoint, Registration, Registry } from '../crpc/mod.ts';
import { Presence } from './presence.ts';

const endpoint: Endpoint = {
  id: 'ipconf-1',
  address: '127.0.0.1:6789',
  weight: 1,
  zone: '',
  version: '',
  metadata: {},
  load: {},
};
let tries: PromiseWithResolvers<Registration>[];
let deregistered: number;
let presence: Presence;

const registry = {
  register: () => {
    const one = Promise.withResolvers<Registration>();
    tries.push(one);
    return one.promise;
  },
} as unknown as Registry;
const registration = {
  deregister: () => {
    deregistered++;
    return Promise.resolve();
  },
} as unknown as Registration;

beforeEach(() => {
  vi.useFakeTimers();
  tries = [];
  deregistered = 0;
  presence = new Presence(registry, endpoint, silentLogger);
});
afterEach(() => {
  vi.useRealTimers();
});

test('an unreachable registry: retried until it is there', async () => {
  const first = presence.register();
  tries[0]?.reject(new Error('away'));
  await first;
  expect(presence.isRegistered).toBe(false);
  await vi.runAllTimersAsync();
  tries[1]?.reject(new Error('away'));
  await vi.runAllTimersAsync();
  tries[2]?.resolve(registration);
  await vi.runAllTimersAsync();
  expect(presence.isRegistered).toBe(true);
  expect(tries).toHaveLength(3);
  await presence.close();
  expect(deregistered).toBe(1);
});

test('closed: no further attempt', async () => {
  const first = presence.register();
  tries[0]?.reject(new Error('away'));
  await first;
  await presence.close();
  await vi.runAllTimersAsync();
  expect(tries).toHaveLength(1);
});

test('closed while it is being registered: deregistered again', async () => {
  const first = presence.register();
  await presence.close();
  tries[0]?.resolve(registration);
  await first;
  expect(deregistered).toBe(1);
});
