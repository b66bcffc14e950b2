import { beforeEach, describe, expect, test } from 'vitest';
import type { Endpoint } from '../crpc/mod.ts';
import { Fleet } from './fleet.ts';
import { ANY, EXHAUSTIVE_POOL, MAX_GATEWAYS, Placement, ZONE_PENALTY } from './placement.ts';
import { gatewayEndpoint } from './testing/test-fleet.ts';

/** Random numbers that a seed determines: mulberry32. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let z = Math.imul(state ^ (state >>> 15), state | 1);
    z = (z + Math.imul(z ^ (z >>> 7), z | 61)) ^ z;
    return ((z ^ (z >>> 14)) >>> 0) / 2 ** 32;
  };
}

const MAX = 10_000;
let fleet: Fleet;
let placement: Placement;
let endpoints: Endpoint[];

const add = (count: number, used: (i: number) => number, change: Partial<Endpoint> = {}) => {
  for (let i = 0; i < count; i++) {
    const load = { connections: Math.round(used(i) * MAX), max_connections: MAX };
    endpoints.push(gatewayEndpoint(`g${endpoints.length + 1}`, { load, ...change }));
  }
};
const learn = () => {
  fleet.update({ endpoints, stale: false }, 0);
  fleet.tick(0);
};
/** Names of the gateways that these users are told first. */
const firsts = (count: number, zone = '', uid: (i: number) => string = (i) => `user-${i}`) =>
  Array.from({ length: count }, (_, i) => {
    const [first] = placement.place({ ...ANY, zone, uid: uid(i) }).choices;
    return first?.gateway.address ?? { name: '', zone: '' };
  });

beforeEach(() => {
  fleet = new Fleet();
  placement = new Placement(fleet, seeded(1));
  endpoints = [];
});

describe('two random choices', () => {
  test('a large fleet: as many different gateways as an answer holds, best first', () => {
    add(100, (i) => i / 200);
    learn();
    const placed = placement.place(ANY).choices;
    expect(placed).toHaveLength(MAX_GATEWAYS);
    expect(new Set(placed.map(({ gateway }) => gateway)).size).toBe(MAX_GATEWAYS);
    expect(placed.map(({ score }) => score)).toEqual(
      placed.map(({ score }) => score).toSorted((a, b) => b - a),
    );
  });

  test('n=1: still the better of two', () => {
    add(100, (i) => (i % 2 === 0 ? 0.2 : 0.6));
    learn();
    const all = Array.from({ length: 1000 }, () => placement.place({ ...ANY, n: 1 }).choices);
    const emptier = all.filter(([first]) => (first?.score ?? 0) > 0.6).length;
    // Two thirds of the room is there, so a single draw would find it two times in three; two draws 8 times in 9.
    expect(emptier).toBeGreaterThan(850);
    for (const placed of all) expect(placed).toHaveLength(1);
  });

  test('a full gateway: is never drawn', () => {
    add(50, () => 0.5);
    add(50, () => 1);
    learn();
    for (let i = 0; i < 500; i++)
      for (const { gateway } of placement.place(ANY).choices)
        expect(gateway.window.load.connections).toBe(MAX / 2);
  });

  test('unequal sizes: clients in proportion to capacity', () => {
    for (let i = 0; i < 40; i++)
      endpoints.push(
        gatewayEndpoint(`g${i}`, { load: { connections: 0, max_connections: i < 20 ? MAX : 4 * MAX } }),
      );
    learn();
    const count = 10_000;
    for (let i = 0; i < count; i++) placement.place(ANY);
    const [small, large] = [MAX, 4 * MAX].map((max) =>
      [...fleet.gateways]
        .filter(({ capacity }) => capacity === max)
        .reduce((sum, { credit }) => sum + credit.amount, 0),
    );
    expect(small).toBeGreaterThan(count * 0.19);
    expect(large).toBeGreaterThan(count * 0.79);
  });

  test('a gateway of twice the weight in an empty fleet: twice the clients', () => {
    add(3, () => 0);
    add(1, () => 0, { weight: 2, load: { connections: 0, max_connections: MAX } });
    learn();
    for (let i = 0; i < 1000; i++) placement.place({ ...ANY, uid: i % 2 === 0 ? `user-${i}` : '' });
    const credits = [...fleet.gateways].map(({ credit }) => credit.amount / 200);
    for (const [i, expected] of [1, 1, 1, 2].entries())
      expect(Math.abs((credits[i] ?? 0) - expected)).toBeLessThan(0.1);
  });

  test('all full: no gateway', () => {
    add(3, () => 1);
    learn();
    expect(placement.place(ANY).choices).toEqual([]);
  });
});

describe('credit', () => {
  test('a storm between two reports: spreads as if reports came at once', () => {
    add(10, () => 0.5);
    learn();
    for (let i = 0; i < 10_000; i++) placement.place(ANY);
    const credits = [...fleet.gateways].map(({ credit }) => credit.amount);
    expect(Math.max(...credits)).toBeLessThan(1020);
    expect(Math.min(...credits)).toBeGreaterThan(980);
  });

  test('far more requests than free capacity, and no client arrives: no gateway counts as full', () => {
    add(4, (i) => 0.5 + i / 10);
    learn();
    for (let i = 0; i < 10 * MAX; i++) expect(placement.place(ANY).first).toBeDefined();
    const credits = [...fleet.gateways].map(({ credit }) => credit.amount);
    expect(credits).toEqual(credits.toSorted((a, b) => b - a));
  });

  test('choose without placing: no credit', () => {
    add(1, () => 0);
    learn();
    expect(placement.choose(ANY).first).toBeDefined();
    expect([...fleet.gateways][0]?.credit.amount).toBe(0);
    expect(placement.placed).toBe(0);
  });

  test('three ipconf nodes: each client stands for three', () => {
    add(1, () => 0);
    learn();
    placement.nodes = 3;
    placement.place(ANY);
    expect([...fleet.gateways][0]?.credit.amount).toBe(3);
  });
});

describe('stickiness', () => {
  test('a user: returns to the same gateway, on any ipconf node', () => {
    add(100, () => 0.5);
    learn();
    const before = firsts(200).map(({ name }) => name);
    expect(new Set(before).size).toBeGreaterThan(60);
    placement = new Placement(fleet, seeded(2));
    expect(firsts(200).map(({ name }) => name)).toEqual(before);
  });

  test('a nearly empty fleet: a few more clients at the home move no user', () => {
    add(20, () => 0, { load: { connections: 100, max_connections: 50_000 } });
    learn();
    const before = firsts(50);
    const busier = new Set(before.slice(0, 5).map(({ name }) => name));
    endpoints = endpoints.map((endpoint) =>
      busier.has(endpoint.metadata['name'] ?? '')
        ? { ...endpoint, load: { ...endpoint.load, connections: 110 } }
        : endpoint,
    );
    learn();
    expect(firsts(50)).toEqual(before);
  });

  test('a home much fuller than the others: another gateway', () => {
    add(100, () => 0.5);
    learn();
    const [home] = firsts(1);
    endpoints = endpoints.map((endpoint) =>
      endpoint.metadata['name'] === home?.name
        ? { ...endpoint, load: { connections: 0.7 * MAX, max_connections: MAX } }
        : endpoint,
    );
    learn();
    expect(firsts(1)[0]?.name).not.toBe(home?.name);
  });

  test('a home that drains: another gateway, and the same one each time', () => {
    add(100, () => 0.5);
    learn();
    const [home] = firsts(1);
    endpoints = endpoints.map((endpoint) =>
      endpoint.metadata['name'] === home?.name
        ? { ...endpoint, load: { ...endpoint.load, draining: 1 } }
        : endpoint,
    );
    learn();
    const [other] = firsts(1);
    expect(other?.name).not.toBe(home?.name);
    expect(firsts(1)).toEqual([other]);
  });

  test('a gateway leaves: few other users move', () => {
    add(50, () => 0.5);
    learn();
    const before = firsts(1000);
    endpoints.pop();
    learn();
    const after = firsts(1000);
    const moved = before.filter(({ name }, i) => name !== after[i]?.name).length;
    // Its own users are a fiftieth; Maglev hashing moves a few of the others.
    expect(moved).toBeLessThan(100);
  });

  test('an empty gateway joins: any user may be sent there, whatever the home', () => {
    add(20, () => 0.6);
    add(1, () => 0);
    learn();
    const toNew = firsts(200).filter(({ name }) => name === 'g21').length;
    expect(toNew).toBeGreaterThan(60);
  });
});

describe('gateways after a home', () => {
  const names = (placed: ReturnType<Placement['place']>) =>
    placed.choices.map(({ gateway }) => gateway.address.name);

  test.each([1, 2, EXHAUSTIVE_POOL, 100])('%i gateways: as many others as there are, each once', (count) => {
    add(count, () => 0.5);
    learn();
    for (let n = 1; n <= MAX_GATEWAYS; n++)
      for (let i = 0; i < 100; i++) {
        const told = names(placement.place({ ...ANY, n, uid: `user-${i}` }));
        expect(told).toHaveLength(Math.min(n, count));
        expect(new Set(told).size).toBe(told.length);
      }
  });

  test('a home that dies suddenly: its users spread over the others within a tick', () => {
    add(100, () => 0.5);
    learn();
    const home = names(placement.place({ ...ANY, uid: 'user' }))[0];
    const seconds = Array.from({ length: 80 }, () => names(placement.place({ ...ANY, uid: 'user' })));
    for (const [first] of seconds) expect(first).toBe(home);
    const counts = Map.groupBy(seconds, ([, second]) => second);
    expect(Math.max(...[...counts.values()].map(({ length }) => length))).toBeLessThanOrEqual(20);
  });

  test('a home that dies in a small fleet: its users spread over the others by free capacity', () => {
    const sizes = [1, 2, 4];
    for (const size of sizes) {
      const max = size * 100 * MAX;
      add(1, () => 0, { load: { connections: max * 0.6, max_connections: max } });
    }
    learn();
    const home = names(placement.place({ ...ANY, uid: 'user' }))[0];
    const counts = new Map<string, number>();
    for (let now = 100; now <= 10_000; now += 100) {
      fleet.tick(now);
      for (let i = 0; i < 16; i++) {
        const [first, second = ''] = names(placement.place({ ...ANY, uid: 'user' }));
        expect(first).toBe(home);
        counts.set(second, (counts.get(second) ?? 0) + 1);
      }
    }
    const others = sizes.filter((_, i) => `g${i + 1}` !== home);
    const total = others.reduce((sum, size) => sum + size, 0);
    for (const size of others) {
      const share = (counts.get(`g${sizes.indexOf(size) + 1}`) ?? 0) / 1600;
      expect(Math.abs(share - size / total)).toBeLessThan(0.06);
    }
  });

  test('a gateway that drains: left out from the next tick on', () => {
    add(100, () => 0.5);
    learn();
    const [, second] = names(placement.place({ ...ANY, uid: 'user' }));
    endpoints = endpoints.map((endpoint) =>
      endpoint.metadata['name'] === second
        ? { ...endpoint, load: { ...endpoint.load, draining: 1 } }
        : endpoint,
    );
    expect(fleet.update({ endpoints, stale: false }, 1)).toBe(true);
    fleet.tick(1);
    for (let i = 0; i < 100; i++)
      expect(names(placement.place({ ...ANY, uid: `user-${i}` }))).not.toContain(second);
  });
});

describe('zones', () => {
  test.each([EXHAUSTIVE_POOL, 100])('%i gateways: the client’s zone first', (count) => {
    add(count, () => 0.5, { zone: 'a' });
    add(count, () => 0.5, { zone: 'b' });
    learn();
    for (const uid of [() => '', (i: number) => `user-${i}`])
      for (const { zone } of firsts(100, 'b', uid)) expect(zone).toBe('b');
  });

  test.each([
    ['less', -0.05, 'a'],
    ['more', 0.05, 'b'],
  ])('the own zone fuller by %s than the penalty', (_, more, expected) => {
    const used = 0.4 + ZONE_PENALTY + more;
    add(100, () => used, { zone: 'a' });
    add(100, () => 0.4, { zone: 'b' });
    learn();
    const anonymous = firsts(200, 'a', () => '').filter(({ zone }) => zone === expected).length;
    // Of the two drawn from everywhere both are local one time in four.
    expect(anonymous).toBeGreaterThan(130);
  });

  test('the client’s zone nearly full: its users spill over too', () => {
    add(20, () => 0.9, { zone: 'a' });
    add(20, () => 0.3, { zone: 'b' });
    learn();
    expect(firsts(200, 'a').filter(({ zone }) => zone === 'b').length).toBeGreaterThan(130);
  });

  test('a zone without gateways: any zone', () => {
    add(10, () => 0.5, { zone: 'a' });
    learn();
    expect(placement.place({ ...ANY, zone: 'nowhere' }).choices[0]?.gateway.address.zone).toBe('a');
  });
});

test('transport=ws: only gateways with a WebSocket port', () => {
  add(20, () => 0.2, { metadata: {} });
  add(20, () => 0.8);
  learn();
  for (let i = 0; i < 50; i++)
    for (const { gateway } of placement.place({ ...ANY, transport: 'ws', uid: `user-${i}` }).choices)
      expect(gateway.address.ws?.port).toBe(8901);
});
