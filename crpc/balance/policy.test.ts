/** The balancing policies by themselves, on endpoints without connections. */
import { describe, expect, test } from 'vitest';
import { leastLoaded } from './balancer-least-loaded.ts';
import { roundRobin } from './balancer-round-robin.ts';
import { GrpcStatus } from '../../common/mod.ts';
import { Peer } from '../client/peer.ts';
import type { Policy } from './policy.ts';
import { endpointOf } from '../testing/support.ts';
import { ownShare } from './subset.ts';

function peerOf(id: string, weight = 1, slowStartMs = 0): Peer {
  const unconnected = (): never => {
    throw new Error('a policy makes no connections');
  };
  return new Peer(
    endpointOf(id, { weight }),
    { addresses: [] },
    {
      slowStartMs,
      outlier: undefined,
      connect: unconnected,
      slowFrom: () => Infinity,
      onOutlier: unconnected,
    },
  );
}

/** Lets a call on a peer have taken this long. */
function took(peer: Peer, ms: number): void {
  peer.callStarted();
  peer.callEnded(GrpcStatus.OK, ms, performance.now());
}

function draw(policy: Policy, times: number): Record<string, number> {
  const counts: Record<string, number> = {};
  for (let i = 0; i < times; i++) {
    const id = policy.choose(undefined, undefined)?.endpoint.id ?? 'none';
    counts[id] = (counts[id] ?? 0) + 1;
  }
  return counts;
}

describe('round robin', () => {
  test('equal weights: each once per round', () => {
    const policy = roundRobin.make(['a', 'b', 'c', 'd', 'e'].map((id) => peerOf(id)));
    for (let round = 0; round < 20; round++)
      expect(draw(policy, 5)).toEqual({ a: 1, b: 1, c: 1, d: 1, e: 1 });
  });

  test('weights 5, 2, 1: calls in that proportion, and interleaved', () => {
    const policy = roundRobin.make([peerOf('a', 5), peerOf('b', 2), peerOf('c', 1)]);
    draw(policy, 8);
    expect(draw(policy, 800)).toEqual({
      a: expect.closeTo(500, -0.5),
      b: expect.closeTo(200, -0.5),
      c: expect.closeTo(100, -0.5),
    });
    let run = 0;
    for (let i = 0; i < 400; i++) {
      run = policy.choose(undefined, undefined)?.endpoint.id === 'a' ? run + 1 : 0;
      expect(run).toBeLessThanOrEqual(5);
    }
  });

  test('a new endpoint: begins with a tenth of its share', () => {
    const [old, late] = [peerOf('old'), peerOf('late', 1, 60_000)];
    late.startSlowly(performance.now());
    const counts = draw(roundRobin.make([old, late]), 1100);
    expect(counts['late']).toBeGreaterThan(80);
    expect(counts['late']).toBeLessThan(120);
  });

  test('refused endpoints: are skipped; if all are refused, none', () => {
    const policy = roundRobin.make(['a', 'b'].map((id) => peerOf(id)));
    for (let i = 0; i < 10; i++)
      expect(policy.choose(undefined, ({ endpoint }) => endpoint.id === 'b')?.endpoint.id).toBe('b');
    expect(policy.choose(undefined, () => false)).toBeUndefined();
  });
});

describe('least loaded', () => {
  test('an endpoint ten times slower: gets calls only when both draws choose it', () => {
    const peers = ['a', 'b', 'slow'].map((id) => peerOf(id));
    for (const peer of peers) took(peer, peer.endpoint.id === 'slow' ? 100 : 10);
    const counts = draw(leastLoaded.make(peers), 1000);
    expect(counts['slow']).toBeUndefined();
    // One of the two gets a third at least, with a standard deviation of 15.
    expect(Math.min(counts['a'] ?? 0, counts['b'] ?? 0)).toBeGreaterThan(200);
  });

  test('running calls: hanging ones make an endpoint the worse choice', () => {
    const [free, busy] = [peerOf('free'), peerOf('busy')];
    for (const peer of [free, busy]) took(peer, 10);
    for (let i = 0; i < 5; i++) busy.callStarted();
    expect(draw(leastLoaded.make([free, busy]), 100)).toEqual({ free: 100 });
  });

  test('weights: with equal latency the heavy one is the better choice until it carries more', () => {
    const [light, heavy] = [peerOf('light', 1), peerOf('heavy', 4)];
    for (const peer of [light, heavy]) took(peer, 10);
    const policy = leastLoaded.make([light, heavy]);
    const chosen: string[] = [];
    for (let i = 0; i < 10; i++) {
      const peer = policy.choose(undefined, undefined) as Peer;
      peer.callStarted();
      chosen.push(peer.endpoint.id);
    }
    expect(chosen.filter((id) => id === 'heavy').length).toBe(8);
  });

  test('a thousand endpoints without measurements: calls are spread', () => {
    const peers = Array.from({ length: 1000 }, (_, i) => peerOf(`p${i}`));
    expect(Object.keys(draw(leastLoaded.make(peers), 5000)).length).toBeGreaterThan(900);
  });

  test('a quick failure: does not make the endpoint look fast', () => {
    const [good, bad] = [peerOf('good'), peerOf('bad')];
    for (const peer of [good, bad]) took(peer, 20);
    for (let i = 0; i < 20; i++) {
      bad.callStarted();
      bad.callEnded(GrpcStatus.UNAVAILABLE, 0, performance.now() + 1000);
    }
    expect(bad.cost(performance.now())).toBeGreaterThanOrEqual(good.cost(performance.now()) * 0.99);
  });

  test('refused endpoints: are skipped; if all are refused, none', () => {
    const policy = leastLoaded.make(Array.from({ length: 50 }, (_, i) => peerOf(`p${i}`)));
    for (let i = 0; i < 20; i++)
      expect(policy.choose(undefined, ({ endpoint }) => endpoint.id === 'p7')?.endpoint.id).toBe('p7');
    expect(policy.choose(undefined, () => false)).toBeUndefined();
  });
});

describe('zone preference', () => {
  test.each([
    ['all of it works: everything stays', 3, 3, true, 1],
    ['three of four work: everything stays', 3, 4, true, 1],
    ['half works: seven tenths stay', 2, 4, true, 0.7],
    ['nothing works: everything spills over', 0, 3, true, 0],
    ['no other zone: everything stays', 1, 3, false, 1],
    ['nothing anywhere: it stays', 0, 3, false, 1],
  ])('%s', (_, working, all, canSpill, expected) => {
    expect(ownShare(working, all, canSpill)).toBeCloseTo(expected);
  });
});
