import { describe, expect, test, vi } from 'vitest';
import type { ConversationId, SessionId, UserId } from '../../common/mod.ts';
import { client, deliverCount, encodeFrame, FrameType, LinkKind } from '../../proto/mod.ts';
import { DEFAULT_LIMITS } from '../limits.ts';
import type { Downlink } from '../session/downlink.ts';
import { LocationMap } from '../session/location-map.ts';
import { settle, testNode } from '../testing/test-node.ts';
import { Fanout, type FanoutOptions } from './fanout.ts';
import { eventually } from '../../test/harness/eventually.ts';

const ROOM = 7n;

function messages(lines: readonly string[]): string[] {
  return lines.filter((line) => line.includes('MESSAGE'));
}

describe('fan-out', () => {
  test('a room: each stream gets the frame once, with all its connections except the sending one', async () => {
    const { store, worker } = await testNode();
    await store.addRoom(ROOM, 'room', [1n, 2n, 3n]);
    const [a, b, c] = [worker(), worker(), worker()];
    a.attach(1, 1n, { device: 'phone' });
    a.attach(2, 1n, { device: 'laptop' });
    a.attach(3, 2n);
    b.attach(1, 2n, { device: 'other' });
    b.attach(2, 3n);
    b.attach(3, 4n);
    c.attach(1, 4n);
    for (const w of [a, b, c]) w.take();
    a.send(1, 1, ROOM, 'm1', 'hello');
    await settle();
    const toA = a.take().filter((record) => deliverCount(record) > 0);
    expect(toA).toHaveLength(2);
    const toB = b.take();
    expect(toB).toHaveLength(1);
    expect(toB[0]?.[0]).toBe(LinkKind.DELIVER);
    expect(deliverCount(toB[0] as Uint8Array)).toBe(2);
    expect(c.take()).toEqual([]);
  });

  test('TYPING: to the other members once they are known, not from non-members, and never marked as lost', async () => {
    const { store, worker } = await testNode({ pushBytes: 100 });
    await store.addRoom(ROOM, 'room', [1n, 2n]);
    const [a, b] = [worker(), worker()];
    a.attach(1, 1n);
    b.attach(1, 2n);
    b.attach(2, 3n);
    const typing = (conn: number, w = a) => w.frames([conn, encodeFrame(FrameType.TYPING, 0, ROOM)]);
    a.take();
    b.take();
    typing(1);
    typing(2, b);
    typing(1);
    await settle();
    expect(a.delivered()).toEqual([]);
    const [told, ...more] = b.delivered();
    expect([told?.conn, told?.type, more]).toEqual([1, FrameType.TYPING, []]);
    expect(client.Typing.decode(told?.payload ?? new Uint8Array())).toMatchObject({
      user: 1n,
      name: 'user1',
    });
    b.stream.queuedBytes = 26;
    typing(1);
    b.stream.queuedBytes = 0;
    b.drained();
    expect(b.take()).toEqual([]);
  });

  test('TYPING: not to the other devices of who types', async () => {
    const { store, worker } = await testNode();
    await store.addRoom(ROOM, 'room', [1n, 2n]);
    const w = worker();
    w.attach(1, 1n, { device: 'phone' });
    w.attach(2, 1n, { device: 'desk' });
    w.attach(3, 2n);
    w.take();
    w.frames([1, encodeFrame(FrameType.TYPING, 0, ROOM)]);
    await settle();
    expect(w.delivered().map(({ conn, type }) => [conn, type])).toEqual([[3, FrameType.TYPING]]);
  });

  test('TYPING to unknown conversations: asks the store for a few at a time', async () => {
    const { store, worker } = await testNode();
    const { promise, resolve } = Promise.withResolvers<undefined>();
    const asked = vi.spyOn(store, 'membersOf').mockReturnValue(promise);
    const w = worker();
    w.attach(1, 1n);
    for (let room = 1n; room <= 100n; room++) w.frames([1, encodeFrame(FrameType.TYPING, 0, room)]);
    await settle();
    expect(asked).toHaveBeenCalledTimes(16);
    resolve(undefined);
    await settle();
    w.frames([1, encodeFrame(FrameType.TYPING, 0, 101n)]);
    expect(asked).toHaveBeenCalledTimes(17);
  });

  test('TYPING after a pause: a user who left through another node does not get it', async () => {
    const { store, worker } = await testNode({ ephemeralMembersMs: 0 });
    await store.addRoom(ROOM, 'room', [1n, 2n, 3n]);
    const w = worker();
    for (const user of [1n, 2n, 3n]) w.attach(Number(user), user);
    const typing = () => w.frames([1, encodeFrame(FrameType.TYPING, 0, ROOM)]);
    typing();
    await settle();
    expect(w.delivered().map(({ conn }) => conn)).toEqual([2, 3]);
    await store.leave(ROOM, 3n);
    typing();
    await settle();
    expect(w.delivered().map(({ conn }) => conn)).toEqual([2]);
  });

  test("the sender's other devices: get the message; the sending connection gets SENT alone", async () => {
    const { store, worker } = await testNode();
    await store.addRoom(ROOM, 'room', [1n]);
    const [a, b] = [worker(), worker()];
    a.attach(1, 1n, { device: 'phone' });
    b.attach(1, 1n, { device: 'laptop' });
    a.take();
    b.take();
    a.send(1, 1, ROOM, 'm1');
    await settle();
    expect(a.lines()).toEqual(['1: SENT ref=1 m1 seq=1']);
    expect(b.lines()).toEqual(['1: MESSAGE 7#1 user1: m1']);
  });

  test('a large room: connections are found once and again after each change', async () => {
    const { store, worker } = await testNode();
    const users = Array.from({ length: 40 }, (_, i) => BigInt(i + 1));
    await store.addRoom(ROOM, 'room', users);
    const w = worker();
    users.forEach((user, i) => w.attach(i + 1, user));
    w.take();
    for (let round = 1; round <= 3; round++) {
      w.send(5, round, ROOM, `m${round}`);
      await settle();
      const conns = w.delivered().map(({ conn }) => conn);
      expect(conns.sort((x, y) => x - y)).toEqual(users.map(Number));
    }
    w.detach(40);
    w.attach(50, 40n);
    w.send(5, 9, ROOM, 'm9');
    await settle();
    const conns = w.delivered().map(({ conn }) => conn);
    expect(conns).toContain(50);
    expect(conns).not.toContain(40);
    expect(conns).toHaveLength(40);
  });

  test('someone joins: the next send reaches them, on a node that had the old list', async () => {
    const { store, worker } = await testNode();
    await store.addRoom(ROOM, 'room', [1n]);
    const w = worker();
    w.attach(1, 1n);
    w.attach(2, 2n);
    w.send(1, 1, ROOM, 'm1');
    await settle();
    w.take();
    await store.addRoom(8n, 'other', [2n]);
    await store.addMember(ROOM, 2n);
    w.send(1, 2, ROOM, 'm2');
    await settle();
    expect(messages(w.lines())).toEqual(['2: MESSAGE 7#2 user1: m2']);
    expect(store.calls.get('membersOf')).toBe(2);
  });

  test('one user joins and another leaves a large room: only these are loaded', async () => {
    const { store, worker } = await testNode();
    const users = Array.from({ length: 1000 }, (_, i) => BigInt(i + 1));
    await store.addRoom(ROOM, 'room', users);
    const changes = vi.spyOn(store, 'memberChanges');
    const w = worker();
    for (const user of [1n, 500n, 2000n]) w.attach(Number(user), user);
    const pushedTo = async (ref: number) => {
      w.take();
      w.send(1, ref, ROOM, `m${ref}`);
      await settle();
      return messages(w.lines()).map((line) => line.split(':')[0]);
    };
    expect(await pushedTo(1)).toEqual(['500']);
    await store.addMember(ROOM, 2000n);
    expect((await pushedTo(2)).toSorted((a, b) => Number(a) - Number(b))).toEqual(['500', '2000']);
    await store.leave(ROOM, 500n);
    expect(await pushedTo(3)).toEqual(['2000']);
    expect(store.calls.get('membersOf')).toBe(1);
    const rows = await Promise.all(changes.mock.results.map(({ value }) => value));
    expect(rows.map((row) => (row?.joined.length ?? 0) + (row?.left.length ?? 0))).toEqual([1, 1]);
  });

  test('known members: no further read of the store', async () => {
    const { store, worker } = await testNode();
    await store.addRoom(ROOM, 'room', [1n, 2n]);
    const w = worker();
    w.attach(1, 1n);
    for (let i = 1; i <= 5; i++) {
      w.send(1, i, ROOM, `m${i}`);
      await settle();
    }
    expect(store.calls.get('membersOf')).toBe(1);
  });

  test('members that cannot be loaded: pushes wait and go out in order once they can', async () => {
    const { store, worker } = await testNode();
    await store.addRoom(ROOM, 'room', [1n, 2n]);
    const w = worker();
    w.attach(1, 1n);
    w.attach(2, 2n);
    w.take();
    store.failing.add('membersOf');
    for (let i = 1; i <= 3; i++) w.send(1, i, ROOM, `m${i}`);
    await settle();
    expect(messages(w.lines())).toEqual([]);
    store.failing.delete('membersOf');
    const seen: string[] = [];
    await eventually(() => {
      seen.push(...messages(w.lines()));
      return seen.length === 3;
    });
    expect(seen).toEqual([1, 2, 3].map((i) => `2: MESSAGE 7#${i} user1: m${i}`));
  });

  test('too many pushes wait: they are dropped, and the members resynchronise once they are loaded', async () => {
    const { store, worker } = await testNode({ waitingPushes: 2 });
    await store.addRoom(ROOM, 'room', [1n, 2n]);
    const w = worker();
    w.attach(1, 1n);
    w.attach(2, 2n);
    w.attach(3, 3n);
    w.take();
    store.failing.add('membersOf');
    for (let i = 1; i <= 4; i++) w.send(1, i, ROOM, `m${i}`);
    await settle();
    expect(messages(w.lines())).toEqual([]);
    store.failing.delete('membersOf');
    let lines: string[] = [];
    await eventually(() => {
      lines = [...lines, ...w.lines()];
      return lines.some((line) => line.startsWith('fence'));
    });
    expect(lines[0]).toBe('fence 1,2');
  });

  test('too many conversations cannot be loaded: every connection resynchronises', async () => {
    const { store, worker } = await testNode({ failedLoads: 2 });
    const w = worker();
    w.attach(1, 1n);
    w.attach(2, 2n);
    w.take();
    store.failing.add('membersOf');
    for (let room = 10; room < 13; room++) {
      await store.addRoom(BigInt(room), `r${room}`, [1n]);
      w.send(1, room, BigInt(room), 'm');
    }
    await settle();
    expect(w.lines().filter((line) => line.startsWith('fence'))).toEqual(['fence 2,1']);
  });

  test('a congested worker: pushes are left out, answers are not, and it resynchronises when it has caught up', async () => {
    const { store, worker } = await testNode({ pushBytes: 100 });
    await store.addRoom(ROOM, 'room', [1n, 2n, 3n]);
    const w = worker();
    w.attach(1, 1n);
    w.attach(2, 2n);
    w.attach(3, 3n);
    w.take();
    w.stream.queuedBytes = 101;
    w.send(1, 1, ROOM, 'm1');
    await settle();
    expect(w.lines()).toEqual(['1: SENT ref=1 m1 seq=1']);
    w.detach(3);
    w.stream.queuedBytes = 0;
    w.drained();
    expect(w.lines()).toEqual(['fence 2']);
    w.drained();
    expect(w.lines()).toEqual([]);
  });

  test('cache: conversations not used lately are dropped, and loaded again', async () => {
    const { store, worker } = await testNode({ cachedConversations: 2 });
    for (let room = 1; room <= 4; room++) await store.addRoom(BigInt(room), `r${room}`, [1n, 2n]);
    const w = worker();
    w.attach(1, 1n);
    w.attach(2, 2n);
    w.take();
    for (const room of [1, 2, 3, 4, 1]) {
      w.send(1, room, BigInt(room), `m${store.batches.length}`);
      await settle();
    }
    expect(messages(w.lines())).toHaveLength(5);
    expect(store.calls.get('membersOf')).toBe(5);
  });
});

test('a frame for very many users: goes to some of them in each tick, and in the end to all', async () => {
  const locations = new LocationMap<Downlink>();
  const push = vi.fn(() => true);
  const downlink = { index: 0, ended: false, push } as unknown as Downlink;
  const index = locations.open(downlink);
  const users = Array.from({ length: 12_000 }, (_, i) => BigInt(i + 1) as UserId);
  for (const user of [1n, 6_000n, 12_000n])
    locations.attach(index, {
      conn: Number(user),
      user: user as UserId,
      userName: '',
      device: 'phone',
      unnamed: false,
      session: 1n as SessionId,
      token: 0n,
      epoch: 1n,
      claimedHere: false,
    });
  const collect = vi.spyOn(locations, 'collect');
  const fanout = new Fanout({ locations, limits: DEFAULT_LIMITS } as unknown as FanoutOptions);
  fanout.announceTo(users, encodeFrame(FrameType.MEMBERS_CHANGED, 0, ROOM));
  expect(push).toHaveBeenCalledTimes(1);
  await eventually('all users have it', () => push.mock.calls.length === 3);
  expect(collect.mock.calls.map(([packed]) => packed.length / 2)).toEqual([5000, 5000, 2000]);
});

test('a large room while connections come and go: those of all members are pushed to, and few members are looked at', async () => {
  const locations = new LocationMap<Downlink>();
  const pushed = new Set<string>();
  const open = () => {
    const downlink = { index: -1 } as { index: number } & Downlink;
    downlink.push = ({ conns }) => {
      for (const conn of conns) pushed.add(`${downlink.index}/${conn}`);
      return true;
    };
    downlink.index = locations.open(downlink);
    return downlink.index;
  };
  const streams = [open(), open(), open()];
  const users = Array.from({ length: 1000 }, (_, i) => BigInt(i + 1) as UserId);
  // Every other one is a member.
  const members = users.filter((user) => user % 2n === 0n).map((user) => ({ user, visibleAfterSeq: 0 }));
  const fanout = new Fanout({
    locations,
    limits: DEFAULT_LIMITS,
    store: { membersOf: () => Promise.resolve({ version: 1, members }) },
    metrics: { deliveries: { add: () => undefined } },
  } as unknown as FanoutOptions);
  const frame = encodeFrame(FrameType.MEMBERS_CHANGED, 0, ROOM);
  const announce = () => {
    pushed.clear();
    fanout.announce(ROOM as ConversationId, 1, frame);
  };
  const expected = () =>
    members
      .flatMap(({ user }) => locations.connectionsOf(user))
      .map(({ stream, conn }) => `${stream.index}/${conn}`)
      .toSorted();
  const attach = (stream: number, conn: number, user: UserId, epoch: number) =>
    locations.attach(stream, {
      conn,
      user,
      userName: '',
      device: `d${conn % 3}`,
      unnamed: false,
      session: 1n as SessionId,
      token: 0n,
      epoch: BigInt(epoch),
      claimedHere: false,
    });
  for (const [i, user] of users.entries()) attach(streams[i % 3] as number, i + 1, user, 1);
  announce();
  await fanout.settled();
  announce();
  expect([...pushed].toSorted()).toEqual(expected());
  const collect = vi.spyOn(locations, 'collect');
  let number = 7;
  const next = (below: number) => (number = (number * 48_271) % 2_147_483_647) % below;
  for (let round = 0; round < 300; round++) {
    for (let change = next(4); change > 0; change--) {
      const stream = streams[next(3)] as number;
      // Numbers of connections are used again, by others too.
      if (next(3) === 0) locations.detach(stream, 1 + next(1000));
      else attach(stream, 1 + next(1000), users[next(1000)] as UserId, 2 + round);
    }
    if (round === 200) {
      locations.close(streams[0] as number);
      streams[0] = open();
    }
    announce();
    expect([...pushed].toSorted()).toEqual(expected());
  }
  const looked = collect.mock.calls.map(([packed]) => packed.length / 2);
  // But for the end of a stream nobody but who has changed: an attach may put another connection of the user out.
  expect(looked.filter((count) => count > 12)).toHaveLength(1);
});
