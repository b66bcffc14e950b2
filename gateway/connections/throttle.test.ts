import { PassThrough } from 'node:stream';
import { beforeEach, expect, test } from 'vitest';
import { encodeFrame, frameRef, FrameType } from '../../proto/mod.ts';
import { Connection, Phase } from './connection.ts';
import type { Budget } from './send-budget.ts';
import { fakeTransport } from '../testing/test-transport.ts';
import { Throttle } from './throttle.ts';

let left: Map<Budget, number>;
let congested: boolean;
let taken: string[];
let throttle: Throttle;
let conns = 0;
let turnsPerSecond: number;

beforeEach(() => {
  left = new Map();
  congested = false;
  turnsPerSecond = 1000;
  taken = [];
  throttle = new Throttle({
    turnsPerSecond: () => turnsPerSecond,
    hasRoom: (budget) => (left.get(budget) ?? 0) > 0,
    owesLittle: (budget) => (left.get(budget) ?? 0) > -2,
    isCongested: () => congested,
    onHeld: ({ userName }) => taken.push(`${userName} held`),
    onFrame: (connection, frame, bytes) => {
      use(connection);
      taken.push(`${connection.userName}${frameRef(frame)}/${bytes}`);
    },
    onLogin: (connection) => {
      use(connection);
      connection.phase = Phase.LOGIN;
      taken.push(`${connection.userName} in`);
    },
    onReleased: ({ userName }) => taken.push(`${userName} read`),
  });
  return () => throttle.stop();
});

function use({ budget }: Connection): void {
  left.set(budget as Budget, (left.get(budget as Budget) as number) - 1);
}

function account(): Budget {
  return { user: 1n, connections: 0, frameUnits: 0, byteUnits: 0, refilled: 0 };
}

function open(name: string, budget: Budget, phase: Phase = Phase.LIVE): Connection {
  const connection = new Connection(++conns, fakeTransport, new PassThrough(), { origin: undefined });
  connection.userName = name;
  connection.budget = budget;
  connection.phase = phase;
  return connection;
}

function hold(connection: Connection, ...refs: number[]): void {
  for (const ref of refs) throttle.hold(connection, encodeFrame(FrameType.PING, ref, 0n), ref);
}

/** Gives the account so much, and a look. */
function look(budget: Budget, room: number): string[] {
  left.set(budget, room);
  taken = [];
  throttle.look();
  return taken;
}

test('a connection: its held frames go on in order as the budget allows, and then it is read', () => {
  const budget = account();
  hold(open('a', budget), 1, 2, 3);
  expect(taken).toEqual(['a held']);
  expect(look(budget, 0)).toEqual([]);
  expect(look(budget, 2)).toEqual(['a1/1', 'a2/2']);
  expect(look(budget, 2)).toEqual(['a3/3', 'a read']);
  expect(look(budget, 2)).toEqual([]);
});

test('no budget left after its last frame: it is read only when there is some', () => {
  const budget = account();
  const a = open('a', budget);
  hold(a, 1);
  expect(look(budget, 1)).toEqual(['a1/1']);
  expect(a.held).toBeDefined();
  expect(look(budget, 1)).toEqual(['a read']);
  expect(a.held).toBeUndefined();
});

test('connections of one account: take turns, however much each has waiting', () => {
  const budget = account();
  hold(open('a', budget), 1, 2, 3, 4, 5);
  hold(open('b', budget), 1);
  expect(look(budget, 3)).toEqual(['a1/1', 'b1/1', 'b read', 'a2/2']);
});

test('much waiting and enough budget: goes on in portions', () => {
  const budget = account();
  turnsPerSecond = 100;
  hold(open('a', budget), 1, 2, 3);
  expect(look(budget, 50)).toEqual(['a1/1', 'a2/2']);
  expect(look(budget, 50)).toEqual(['a3/3', 'a read']);
});

test('accounts: one without budget does not delay another', () => {
  const [poor, rich] = [account(), account()];
  hold(open('a', poor), 1);
  hold(open('b', rich), 1);
  expect(look(rich, 5)).toEqual(['b1/1', 'b read']);
});

test('a connection held without a frame: is read when there is budget', () => {
  const budget = account();
  throttle.hold(open('a', budget));
  expect(look(budget, 1)).toEqual(['a read']);
});

test('a login: goes on when there is budget, and nothing is read until then', () => {
  const budget = account();
  throttle.hold(open('a', budget, Phase.TOKEN));
  throttle.hold(open('b', budget, Phase.TOKEN));
  expect(look(budget, 1)).toEqual(['a in']);
  expect(look(budget, 1)).toEqual(['b in']);
});

test('a congested uplink: nothing goes on', () => {
  const budget = account();
  hold(open('a', budget), 1);
  congested = true;
  expect(look(budget, 5)).toEqual([]);
  congested = false;
  expect(look(budget, 5)).toEqual(['a1/1', 'a read']);
});

test('a client that has ended its half: its held frames go on at once, charged to the budget up to a bound', () => {
  const budget = account();
  left.set(budget, 0);
  const a = open('a', budget);
  hold(a, 1, 2, 3);
  throttle.onEnd(a);
  expect(taken).toEqual(['a held', 'a1/1', 'a2/2']);
});

test('a connection that has ended: is left out', () => {
  const budget = account();
  const a = open('a', budget);
  hold(a, 1, 2);
  hold(open('b', budget), 1);
  a.phase = Phase.CLOSING;
  a.held = undefined;
  expect(look(budget, 5)).toEqual(['b1/1', 'b read']);
});

test('accounts that together have more than a portion: they take turns, portion by portion', () => {
  const budgets = Array.from({ length: 5 }, account);
  budgets.forEach((budget, i) => {
    left.set(budget, 9);
    const connection = open('abcde'[i] as string, budget);
    for (const ref of [1, 2]) throttle.hold(connection, encodeFrame(FrameType.PING, ref, 0n), 200 * 1024);
  });
  const looks = [1, 2, 3, 4].map(() => {
    taken = [];
    throttle.look();
    return taken.map((what) => what.slice(0, 2));
  });
  // Two of an account are a portion and more; what is more is taken from the next one.
  expect(looks).toEqual([['a1', 'a2', 'a '], ['b1'], ['c1'], ['d1', 'd2', 'd ']]);
});

test('large frames: go on at once within a portion; small ones in any case', () => {
  const budget = account();
  expect([1, 2, 3].map(() => throttle.mayPass(budget, 140 * 1024))).toEqual([true, true, false]);
  expect(throttle.mayPass(budget, 1024)).toBe(true);
  throttle.look();
  expect(throttle.mayPass(budget, 140 * 1024)).toBe(true);
});

test('a frame of an account with another connection waiting: waits for its turn', () => {
  const [waiting, other] = [account(), account()];
  hold(open('a', waiting), 1);
  expect(throttle.mayPass(waiting, 20)).toBe(false);
  expect(throttle.mayPass(other, 20)).toBe(true);
});

test('connections with nothing held: one per account and check is read, so that what it brings fits the budget', () => {
  const budget = account();
  for (const name of ['a', 'b']) {
    const connection = open(name, budget);
    (connection.socket as PassThrough).unshift(Buffer.alloc(1000));
    throttle.hold(connection);
  }
  throttle.hold(open('c', budget));
  expect(look(budget, 1)).toEqual(['a read']);
  expect(look(budget, 1)).toEqual(['b read']);
  expect(look(budget, 1)).toEqual(['c read']);
});
