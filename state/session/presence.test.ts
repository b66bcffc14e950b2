import { describe, expect, test } from 'vitest';
import type { UserId } from '../../common/mod.ts';
import { Presence } from './presence.ts';

const ANN = 1n as UserId;

function presence() {
  const clock = { ms: 0 };
  const connected = new Set<UserId>();
  const it = new Presence({
    locations: { statusOf: (user) => (connected.has(user) ? 'online' : 'offline') },
    graceMs: 1000,
    now: () => clock.ms,
  });
  return { it, clock, connected };
}

describe('presence', () => {
  test('a dropped device: online for the grace period, then offline', () => {
    const { it, clock } = presence();
    expect(it.isOnline(ANN)).toBe(false);
    it.dropped(ANN, 'phone');
    clock.ms = 999;
    expect(it.isOnline(ANN)).toBe(true);
    clock.ms = 1000;
    expect(it.isOnline(ANN)).toBe(false);
  });

  test('a device that reconnected and then closed: offline at once', () => {
    const { it, connected } = presence();
    it.dropped(ANN, 'phone');
    connected.add(ANN);
    it.attached(ANN, 'phone');
    connected.delete(ANN);
    expect(it.isOnline(ANN)).toBe(false);
  });

  test('devices: each has a grace period of its own', () => {
    const { it, clock } = presence();
    it.dropped(ANN, 'phone');
    clock.ms = 600;
    it.dropped(ANN, 'laptop');
    it.attached(ANN, 'laptop');
    expect(it.isOnline(ANN)).toBe(true);
    clock.ms = 1000;
    expect(it.isOnline(ANN)).toBe(false);
  });

  test('a device that drops out again: the grace period begins again', () => {
    const { it, clock } = presence();
    it.dropped(ANN, 'phone');
    clock.ms = 900;
    it.dropped(ANN, 'phone');
    clock.ms = 1500;
    for (let other = 2n; other < 50n; other++) it.dropped(other as UserId, '');
    expect(it.isOnline(ANN)).toBe(true);
    clock.ms = 1900;
    it.dropped(99n as UserId, '');
    expect(it.isOnline(ANN)).toBe(false);
  });
});
