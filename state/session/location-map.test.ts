import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { SessionId, UserId } from '../../common/mod.ts';
import { type Attachment, LocationMap } from './location-map.ts';
import { SlotIndex } from './slot-index.ts';
import { packIds } from './u64.ts';

function attachment(conn: number, user: bigint, epoch: number, more: Partial<Attachment> = {}): Attachment {
  return {
    conn,
    user: user as UserId,
    userName: `user${user}`,
    device: 'phone',
    unnamed: false,
    session: 1n as SessionId,
    epoch: BigInt(epoch),
    token: 0n,
    claimedHere: false,
    ...more,
  };
}

function connsOfUser(map: LocationMap<string>, user: bigint): string[] {
  const found: number[][] = [];
  map.collect(packIds([user]), found);
  return found.flatMap((conns, index) => conns.map((conn) => `${map.stream(index)}:${conn}`)).sort();
}

describe('location map', () => {
  test('a newer connection of a device: replaces the older one, whatever its stream', () => {
    const map = new LocationMap<string>();
    const [a, b] = [map.open('a'), map.open('b')];
    expect(map.attach(a, attachment(1, 5n, 10))).toEqual([]);
    expect(map.attach(b, attachment(1, 5n, 11))).toEqual([{ stream: 'a', conn: 1, session: 1n }]);
    expect(connsOfUser(map, 5n)).toEqual(['b:1']);
    expect(map.slotOf(a, 1)).toBe(-1);
  });

  test('all but one connection: others with its number, on other streams, are included', () => {
    const map = new LocationMap<string>();
    const [a, b] = [map.open('a'), map.open('b')];
    map.attach(a, attachment(1, 5n, 10, { device: 'phone' }));
    map.attach(a, attachment(2, 5n, 11, { device: 'desk' }));
    map.attach(b, attachment(1, 6n, 12));
    const found: number[][] = [];
    map.collect(packIds([5n, 6n]), found, a, 1);
    expect(found).toEqual([[2], [1]]);
  });

  test('an older connection that arrives late: is the one that is replaced', () => {
    const map = new LocationMap<string>();
    const [a, b] = [map.open('a'), map.open('b')];
    map.attach(b, attachment(1, 5n, 11));
    expect(map.attach(a, attachment(1, 5n, 10))).toEqual([{ stream: 'a', conn: 1, session: 1n }]);
    expect(connsOfUser(map, 5n)).toEqual(['b:1']);
  });

  test('other devices, unnamed devices, other users: live side by side', () => {
    const map = new LocationMap<string>();
    const a = map.open('a');
    map.attach(a, attachment(1, 5n, 1));
    expect(map.attach(a, attachment(2, 5n, 2, { device: 'laptop' }))).toEqual([]);
    expect(map.attach(a, attachment(3, 5n, 3, { unnamed: true }))).toEqual([]);
    expect(map.attach(a, attachment(4, 5n, 4, { unnamed: true }))).toEqual([]);
    expect(map.attach(a, attachment(5, 6n, 5))).toEqual([]);
    expect(connsOfUser(map, 5n)).toEqual(['a:1', 'a:2', 'a:3', 'a:4']);
  });

  test('the same connection on the old and the new stream of its worker: replaces none', () => {
    const map = new LocationMap<string>();
    const [before, after] = [map.open('before'), map.open('after')];
    map.attach(before, attachment(1, 5n, 10));
    expect(map.attach(after, attachment(1, 5n, 10))).toEqual([]);
    map.close(before);
    expect(connsOfUser(map, 5n)).toEqual(['after:1']);
  });

  test('the same connection again: is replaced, not doubled', () => {
    const map = new LocationMap<string>();
    const a = map.open('a');
    map.attach(a, attachment(1, 5n, 10));
    expect(map.attach(a, attachment(1, 5n, 10, { userName: 'new' }))).toEqual([]);
    expect(map.size).toBe(1);
    expect(map.callerAt(map.slotOf(a, 1))).toMatchObject({ user: 5n, userName: 'new', device: 'phone' });
  });

  test('the end of a stream: removes all of it, and its number is reused', () => {
    const map = new LocationMap<string>();
    const [a, b] = [map.open('a'), map.open('b')];
    for (let conn = 0; conn < 200; conn++) map.attach(a, attachment(conn, BigInt(conn), 1));
    map.attach(b, attachment(1, 1n, 1, { device: 'laptop' }));
    map.close(a);
    expect(map.size).toBe(1);
    expect(map.isOnline(1n as UserId)).toBe(true);
    expect(map.isOnline(2n as UserId)).toBe(false);
    expect(map.connsOf(a)).toEqual([]);
    expect(map.open('c')).toBe(a);
  });

  test('the end of a stream, in parts: its number is not reused before the last', () => {
    const map = new LocationMap<string>();
    const [a, b] = [map.open('a'), map.open('b')];
    for (let conn = 0; conn < 4; conn++) map.attach(a, attachment(conn, BigInt(conn), 1));
    map.attach(b, attachment(0, 0n, 1));
    const users = () => map.close(a, 2).map(({ user }) => user);
    expect([...users(), ...users()]).toEqual([3n, 2n, 1n, 0n]);
    expect([map.stream(a), map.countOf(a), map.open('c')]).toEqual(['a', 0, 2]);
    expect(users()).toEqual([]);
    expect([map.stream(a), map.open('d')]).toEqual([undefined, a]);
    expect([map.hasDevice(0n as UserId, 'phone'), map.hasDevice(1n as UserId, 'phone')]).toEqual([
      true,
      false,
    ]);
  });

  test('detach: returns what was attached, once', () => {
    const map = new LocationMap<string>();
    const a = map.open('a');
    const was = attachment(1, 2n ** 63n - 1n, 7, { unnamed: true, claimedHere: true, device: '~9' });
    map.attach(a, was);
    expect(map.callerAt(map.slotOf(a, 1)).device).toBe('');
    expect(map.detach(a, 1)).toEqual(was);
    expect(map.detach(a, 1)).toBeUndefined();
  });

  test('any sequence of calls: agrees with a simple model', () => {
    const stream = fc.integer({ min: 0, max: 2 });
    const conn = fc.integer({ min: 0, max: 5 });
    const command = fc.oneof(
      {
        weight: 6,
        arbitrary: fc.record({
          attach: stream,
          conn,
          user: fc.bigInt({ min: 1n, max: 4n }),
          epoch: fc.integer({ min: 1, max: 6 }),
          device: fc.constantFrom('x', 'y'),
          unnamed: fc.boolean(),
        }),
      },
      { weight: 2, arbitrary: fc.record({ detach: stream, conn }) },
      { weight: 1, arbitrary: fc.record({ close: stream }) },
    );
    fc.assert(
      fc.property(fc.array(command, { maxLength: 120, size: 'max' }), (commands) => {
        const map = new LocationMap<string>();
        const streams = ['s0', 's1', 's2'];
        for (const name of streams) map.open(name);
        let model: { at: string; a: Attachment }[] = [];
        for (const next of commands) {
          if ('close' in next) {
            map.close(next.close);
            map.open(streams[next.close] as string);
            model = model.filter(({ at }) => !at.startsWith(`s${next.close}:`));
          } else if ('detach' in next) {
            const at = `s${next.detach}:${next.conn}`;
            const known = model.find((entry) => entry.at === at);
            expect(map.detach(next.detach, next.conn)).toEqual(known?.a);
            model = model.filter((entry) => entry !== known);
          } else {
            const at = `s${next.attach}:${next.conn}`;
            const a = attachment(next.conn, next.user, next.epoch, {
              device: next.device,
              unnamed: next.unnamed,
            });
            const replaced = map.attach(next.attach, a).map(({ stream, conn }) => `${stream}:${conn}`);
            model = model.filter((entry) => entry.at !== at);
            const rivals = model.filter(
              (entry) =>
                !a.unnamed && !entry.a.unnamed && entry.a.user === a.user && entry.a.device === a.device,
            );
            if (rivals.some((entry) => entry.a.epoch > a.epoch)) {
              expect(replaced).toEqual([at]);
            } else {
              const losers = rivals.filter((entry) => entry.a.epoch < a.epoch);
              expect(replaced.toSorted()).toEqual(losers.map((entry) => entry.at).toSorted());
              model = model.filter((entry) => !losers.includes(entry));
              model.push({ at, a });
            }
          }
          expect(map.size).toBe(model.length);
          for (const index of streams.keys()) {
            const conns = model.filter(({ at }) => at.startsWith(`s${index}:`)).map(({ a }) => a.conn);
            expect(new Set(map.connsOf(index))).toEqual(new Set(conns));
            expect(map.countOf(index)).toBe(conns.length);
          }
          for (const user of [1n, 2n, 3n, 4n]) {
            const expected = model.filter((entry) => entry.a.user === user).map((entry) => entry.at);
            expect(connsOfUser(map, user)).toEqual(expected.toSorted());
            expect(map.isOnline(user as UserId)).toBe(expected.length > 0);
          }
        }
      }),
      { numRuns: 100 },
    );
  });
});

describe('slot index', () => {
  test('any sequence of calls: agrees with a Map, through growth and removal', () => {
    const half = fc.oneof(fc.integer({ min: 0, max: 12 }), fc.integer({ min: 0, max: 0xffffffff }));
    const command = fc.record({
      low: half,
      high: half,
      remove: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(command, { maxLength: 400, size: 'max' }), (commands) => {
        const keys: { low: number; high: number }[] = [];
        const index = new SlotIndex({
          low: (slot) => keys[slot]?.low as number,
          high: (slot) => keys[slot]?.high as number,
        });
        const model = new Map<string, number>();
        for (const { low, high, remove } of commands) {
          const key = `${low}/${high}`;
          if (remove) expect(index.delete(low, high)).toBe(model.delete(key));
          else {
            const slot = keys.push({ low, high }) - 1;
            index.set(low, high, slot);
            model.set(key, slot);
          }
        }
        expect(index.size).toBe(model.size);
        for (const { low, high } of commands)
          expect(index.get(low, high)).toBe(model.get(`${low}/${high}`) ?? -1);
      }),
    );
  });
});
