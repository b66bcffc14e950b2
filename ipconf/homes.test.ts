import { describe, expect, test } from 'vitest';
import { Gateway } from './gateway.ts';
import { readAddress } from './gateway-report.ts';
import { Homes } from './homes.ts';
import { gatewayEndpoint } from './testing/test-fleet.ts';

function gateway(name: string, share: number): Gateway {
  const endpoint = gatewayEndpoint(name, { id: name });
  const address = readAddress(endpoint);
  if (!address) throw new Error('no address');
  return Object.assign(new Gateway(address, endpoint, 0, 0), { share });
}

const users = Array.from({ length: 20_000 }, (_, i) => `user-${i}`);

function shares(homes: Homes): Map<string, number> {
  const counts = new Map<string, number>();
  for (const uid of users) {
    const name = homes.of(uid)?.[0].address.name ?? '';
    counts.set(name, (counts.get(name) ?? 0) + 1 / users.length);
  }
  return counts;
}

describe('Homes', () => {
  test('users: in proportion to shares', () => {
    const counts = shares(new Homes([gateway('g1', 100), gateway('g2', 200), gateway('g3', 700)]));
    expect(counts.get('g1')).toBeCloseTo(0.1, 1);
    expect(counts.get('g2')).toBeCloseTo(0.2, 1);
    expect(counts.get('g3')).toBeCloseTo(0.7, 1);
  });

  test('the order in which gateways were learned: does not matter', () => {
    const all = Array.from({ length: 20 }, (_, i) => gateway(`g${i}`, 100 + i));
    const [one, other] = [new Homes(all), new Homes(all.toReversed())];
    for (const uid of users.slice(0, 500)) expect(one.of(uid)).toEqual(other.of(uid));
  });

  test('the second home: another gateway, if there is one', () => {
    const homes = new Homes([gateway('g1', 1), gateway('g2', 1), gateway('g3', 1)]);
    for (const uid of users.slice(0, 500)) {
      const [first, second] = homes.of(uid) ?? [];
      expect(first).not.toBe(second);
    }
    const alone = new Homes([gateway('g1', 1)]).of('user');
    expect(alone?.[0]).toBe(alone?.[1]);
  });

  test('a gateway leaves: its users move, nearly all others stay', () => {
    const all = Array.from({ length: 50 }, (_, i) => gateway(`g${i}`, 100));
    const [before, after] = [new Homes(all), new Homes(all.slice(1))];
    let moved = 0;
    for (const uid of users) {
      const [home] = before.of(uid) ?? [];
      if (home !== all[0] && after.of(uid)?.[0] !== home) moved++;
    }
    expect(moved / users.length).toBeLessThan(0.05);
  });

  test('no gateways: no home', () => {
    expect(new Homes([]).of('user')).toBeUndefined();
  });
});
