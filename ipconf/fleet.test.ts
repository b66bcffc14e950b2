import { beforeEach, describe, expect, test } from 'vitest';
import type { Endpoint } from '../crpc/mod.ts';
import { CREDIT_TTL_S } from './credit.ts';
import { Fleet } from './fleet.ts';
import type { Gateway } from './gateway.ts';
import {
  EJECT_AFTER_MS,
  SLOW_START_MS,
  STALE_AFTER_MS,
  SUSPICION_HALF_LIFE_MS,
  TRUST_FLOOR,
} from './scorer.ts';
import { gatewayEndpoint } from './testing/test-fleet.ts';

let fleet: Fleet;
let endpoints: Map<string, Endpoint>;
let tick: number;

const set = (name: string, load: Record<string, number> = {}, change: Partial<Endpoint> = {}) => {
  const before = endpoints.get(name) ?? gatewayEndpoint(name);
  endpoints.set(name, {
    ...before,
    ...change,
    load: { connections: 0, max_connections: 1000, accepted: 0, tick: ++tick, ...load },
  });
};
const learn = (now: number, stale = false) => {
  fleet.update({ endpoints: [...endpoints.values()], stale }, now);
  fleet.tick(now);
};
const named = (name: string): Gateway => {
  const found = [...fleet.gateways].find(({ address }) => address.name === name);
  if (!found) throw new Error(`there is no ${name}`);
  return found;
};
const score = (name: string) => named(name).score;
const candidates = () => fleet.candidates.map(({ address }) => address.name).toSorted();

beforeEach(() => {
  fleet = new Fleet();
  endpoints = new Map();
  tick = 0;
});

describe('reports', () => {
  test('reports every second: the newest counts; a repeated one does not count as a report', () => {
    set('g1', { connections: 500 });
    learn(0);
    expect(score('g1')).toBe(0.5);
    set('g1', { connections: 250 });
    learn(1000);
    learn(1500);
    expect(score('g1')).toBe(0.75);
    expect(named('g1').window.age(1500)).toBe(500);
  });

  test('new figures: no urgent update; a gateway that joins, drains or leaves: an urgent one', () => {
    const update = () => fleet.update({ endpoints: [...endpoints.values()], stale: false }, 0);
    set('g1');
    set('g2');
    expect(update()).toBe(true);
    set('g2', { connections: 10 });
    expect(update()).toBe(false);
    set('g2', { connections: 10, draining: 1 });
    expect(update()).toBe(true);
    expect(update()).toBe(false);
    set('g3');
    expect(update()).toBe(true);
    endpoints.delete('g1');
    set('g4');
    expect(update()).toBe(true);
    expect([...fleet.gateways].map(({ address }) => address.name)).toEqual(['g2', 'g3', 'g4']);
    expect(fleet.update({ endpoints: [...endpoints.values()], stale: true }, 0)).toBe(true);
  });

  test('arrivals: reduce the credit', () => {
    set('g1');
    learn(0);
    fleet.place(named('g1'), 10);
    expect(score('g1')).toBe(0.99);
    set('g1', { connections: 4, accepted: 4 });
    learn(1000);
    expect(named('g1').credit.amount).toBe(6);
    expect(score('g1')).toBe(0.99);
  });

  test('a gateway that falls silent while others report: discounted, then left out, and back with its next report', () => {
    const both = () => {
      set('g1');
      set('g2');
    };
    for (let second = 0; second < 4; second++) {
      both();
      learn(second * 1000);
    }
    const silentSince = 3000;
    const at = (age: number) => {
      set('g2');
      learn(silentSince + age);
    };
    at(STALE_AFTER_MS);
    expect(score('g1')).toBe(1);
    at(STALE_AFTER_MS + 5000);
    expect(score('g1')).toBeCloseTo(0.5, 6);
    at(EJECT_AFTER_MS);
    expect(candidates()).toEqual(['g2']);
    both();
    learn(silentSince + EJECT_AFTER_MS + 1000);
    expect(candidates()).toEqual(['g1', 'g2']);
  });

  test('a gateway that has reported only once: its silence does not count', () => {
    set('g1');
    learn(0);
    learn(10 * EJECT_AFTER_MS);
    expect(candidates()).toEqual(['g1']);
  });
});

describe('weights', () => {
  test('twice the weight: looks as full with twice the clients, and is home to twice as many', () => {
    set('g1', { connections: 20 }, { weight: 20 });
    set('g2', { connections: 10 }, { weight: 10 });
    learn(0);
    expect(score('g1')).toBeCloseTo(score('g2'), 3);
    expect(named('g1').share).toBe(2 * named('g2').share);
  });

  test('one weight for all: the score is the headroom, whatever the weight', () => {
    set('g1', { connections: 250 }, { weight: 7 });
    learn(0);
    expect(score('g1')).toBe(0.75);
  });

  test('a heavier gateway joins a fleet that is 60 % full: none of the others counts as full', () => {
    for (let i = 0; i < 10; i++) set(`g${i}`, { connections: 600 });
    learn(0);
    set('heavy', {}, { weight: 2 });
    learn(1000);
    learn(1000 + SLOW_START_MS);
    for (let i = 0; i < 10; i++) expect(score(`g${i}`)).toBe(0.4);
    expect(score('heavy')).toBe(1);
  });

  test.each([1000, 1e6])(
    'weight %i: each gateway is full exactly when its own capacity is used up',
    (weight) => {
      set('light', { connections: 999 });
      set('heavy', { connections: 1000 }, { weight });
      learn(0);
      expect(score('light')).toBeGreaterThan(0);
      expect(score('heavy')).toBe(0);
      set('light', { connections: 1000 });
      set('heavy', { connections: 999 });
      learn(1);
      expect(score('light')).toBe(0);
      expect(score('heavy')).toBeGreaterThan(0);
    },
  );
});

describe('the life of a gateway', () => {
  test('drains: not a candidate from the next view on', () => {
    set('g1');
    set('g2');
    learn(0);
    set('g1', { draining: 1 });
    learn(50);
    expect(candidates()).toEqual(['g2']);
  });

  test('not ready, for instance cut off from state: not a candidate, however empty, until it is ready', () => {
    set('g1', { connections: 500 });
    set('g2', { ready: 0 });
    learn(0);
    expect(candidates()).toEqual(['g1']);
    set('g2', { ready: 1 });
    expect(fleet.update({ endpoints: [...endpoints.values()], stale: false }, 50)).toBe(true);
    fleet.tick(50);
    expect(candidates()).toEqual(['g1', 'g2']);
  });

  test('none is ready: all that are not draining are candidates', () => {
    set('g1', { ready: 0 });
    set('g2', { ready: 0, draining: 1 });
    learn(0);
    expect(candidates()).toEqual(['g1']);
  });

  test('leaves: forgotten', () => {
    set('g1');
    learn(0);
    endpoints.delete('g1');
    learn(1);
    expect([...fleet.gateways]).toEqual([]);
  });

  test('new in a running fleet: its lead counts gradually', () => {
    set('old', { connections: 600 });
    learn(0);
    set('new', { connections: 0 });
    learn(1000);
    const mean = fleet.meanHeadroom;
    expect(mean).toBe(0.7);
    expect(score('new')).toBeCloseTo(mean, 6);
    learn(1000 + SLOW_START_MS / 2);
    expect(score('new')).toBeCloseTo((mean + 1) / 2, 6);
    learn(1000 + SLOW_START_MS);
    expect(score('new')).toBe(1);
  });

  test('older than ipconf: no slow start', () => {
    set('g1');
    learn(0);
    expect(score('g1')).toBe(1);
  });

  test('restarted at its address within its lease: only the newer process counts', () => {
    const at = { address: '10.0.0.1:8900' };
    set('a', { connections: 900 }, { ...at, metadata: { name: 'a', epoch: '1000' } });
    learn(0);
    set('b', { connections: 1 }, { ...at, metadata: { name: 'b', epoch: '2000' } });
    learn(1000);
    expect(candidates()).toEqual(['b']);
    learn(1100);
    expect(candidates()).toEqual(['b']);
  });

  test('two at one address without an epoch: both stay', () => {
    const at = { address: '10.0.0.1:8900' };
    set('a', {}, at);
    set('b', {}, at);
    learn(0);
    expect(candidates()).toEqual(['a', 'b']);
  });
});

describe('the view as a whole', () => {
  test('the registry is lost: the last view, drawn towards the mean as it ages', () => {
    set('full', { connections: 800 });
    set('empty', { connections: 0 });
    learn(0);
    learn(1000, true);
    expect(fleet.staleFor).toBe(0);
    fleet.tick(1000 + SUSPICION_HALF_LIFE_MS);
    expect(fleet.suspicion).toBe(0.5);
    expect(fleet.staleFor).toBe(SUSPICION_HALF_LIFE_MS);
    expect(score('full')).toBeCloseTo(0.4, 6);
    expect(score('empty')).toBeCloseTo(0.8, 6);
    fleet.tick(1000 + 20 * SUSPICION_HALF_LIFE_MS);
    expect(candidates()).toEqual(['empty', 'full']);
    set('full', { connections: 100 });
    learn(1_000_000);
    expect(fleet.suspicion).toBe(0);
    expect(score('full')).toBe(0.9);
  });

  test('all fall silent at once: the reports are doubted, and no gateway is left out', () => {
    for (let second = 0; second < 4; second++) {
      set('g1');
      set('g2');
      learn(second * 1000);
    }
    fleet.tick(3000 + EJECT_AFTER_MS);
    expect(candidates()).toEqual(['g1', 'g2']);
    expect(fleet.staleFor).toBe(EJECT_AFTER_MS - STALE_AFTER_MS);
    expect(fleet.suspicion).toBeGreaterThan(0);
  });

  test('the registry is lost: no client on its way counts as lost', () => {
    set('g1');
    learn(0);
    fleet.place(named('g1'), 50);
    learn(1000, true);
    fleet.tick(1000 * (CREDIT_TTL_S + 5));
    expect(named('g1').credit.lost).toBe(0);
    expect(named('g1').credit.amount).toBe(50);
  });
});

describe('trust', () => {
  test('clients sent to one gateway never arrive: hardly any more are sent there', () => {
    set('g1');
    set('g2');
    learn(0);
    for (let second = 1; second <= CREDIT_TTL_S + 6; second++) {
      for (const name of ['g1', 'g2']) fleet.place(named(name), 10);
      set('g1');
      set('g2', { connections: 10 * second, accepted: 10 * second });
      learn(second * 1000);
    }
    expect(named('g1').trust).toBeLessThan(0.1);
    expect(named('g1').trust).toBeGreaterThanOrEqual(TRUST_FLOOR);
    expect(named('g2').trust).toBe(1);
    expect(score('g1')).toBeLessThan(score('g2') / 5);
  });
});
