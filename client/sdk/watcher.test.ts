import { expect, test } from 'vitest';
import {
  FrameType,
  MemberChange,
  MembersChanged,
  Presence,
  PresenceStatus,
  Read,
  Watched,
} from '../../proto/client.ts';
import { collect, makeClient, makeWorld, next } from '../testing/harness.ts';

test('watch: resolves with the state; presence follows as events; after a resync it is sent again', async () => {
  const world = await makeWorld();
  const { gateway, bob, room } = world;
  const client = makeClient(world);
  await client.connect();
  gateway.chat.seen.set(bob, 1_760_000_000_000n);
  const state = await client.watch({ conversations: [room.toString()], users: [bob.toString()] });
  const user = { user: bob.toString(), status: 'offline', lastSeenMs: 1_760_000_000_000 };
  expect(state).toEqual({
    conversations: [
      { conversation: room.toString(), members: gateway.chat.members(room).length, receipts: [] },
    ],
    users: [user],
  });
  const presence = next(client, 'presence');
  const users = [{ user: bob, status: PresenceStatus.PRESENCE_STATUS_IDLE, lastSeenMs: 0n }];
  for (const connection of gateway.connections)
    connection.send(FrameType.PRESENCE, 0, 0n, Presence.encode({ users }).finish());
  expect(await presence).toEqual({ ...user, type: 'presence', status: 'idle', lastSeenMs: undefined });
  const again = next(client, 'watched');
  for (const connection of gateway.connections) connection.resync();
  expect(await again).toMatchObject({ users: [user] });
  expect(gateway.watches).toHaveLength(2);
  expect(gateway.watches[1]).toEqual(gateway.watches[0]);
});

test('watch: before the connection, and while another is under way: the last one counts, and all are answered', async () => {
  const world = await makeWorld();
  const { gateway, bob, alice } = world;
  const client = makeClient(world);
  const first = client.watch({ users: [bob.toString()] });
  const second = client.watch({ users: [alice.toString()] });
  await client.connect();
  await Promise.all([first, second]);
  const calls = [[bob], [alice], [alice, bob]].map((users) => client.watch({ users: users.map(String) }));
  expect((await Promise.all(calls)).at(-1)?.users.map(({ user }) => user)).toEqual([`${alice}`, `${bob}`]);
  expect(gateway.watches.map(({ users }) => users)).toEqual([[alice], [bob], [alice, bob]]);
});

test('watch: a refusal for good rejects, and the one before is sent after a resync; one for now is sent again', async () => {
  const world = await makeWorld();
  const { gateway, bob } = world;
  const client = makeClient(world);
  await client.connect();
  await client.watch({ users: [bob.toString()] });
  gateway.refuse.set('watch', { code: 'NOT_VISIBLE', retryable: false });
  await expect(client.watch({ users: ['77'] })).rejects.toMatchObject({ code: 'NOT_VISIBLE' });
  gateway.refuse.set('watch', { code: 'RATE_LIMITED', retryable: true });
  const later = client.watch({ idle: true });
  gateway.refuse.clear();
  await later;
  gateway.refuse.set('watch', { code: 'NOT_VISIBLE', retryable: false });
  await expect(client.watch({ users: ['77'] })).rejects.toMatchObject({ code: 'NOT_VISIBLE' });
  gateway.refuse.clear();
  const again = next(client, 'watched');
  for (const connection of gateway.connections) connection.resync();
  await again;
  expect(gateway.watches.at(-1)).toMatchObject({ users: [], idle: true });
});

test('watch: refused after a reconnect: an error event, and nothing is watched', async () => {
  const world = await makeWorld();
  const { gateway, bob } = world;
  const client = makeClient(world);
  await client.connect();
  await client.watch({ users: [bob.toString()] });
  gateway.refuse.set('watch', { code: 'NOT_VISIBLE', retryable: false });
  const events = collect(client);
  for (const connection of gateway.connections) connection.resync();
  await expect
    .poll(() => events.filter(({ type }) => type === 'error'))
    .toMatchObject([{ code: 'NOT_VISIBLE' }]);
  gateway.refuse.clear();
  for (const connection of gateway.connections) connection.resync();
  await client.presence([bob.toString()]);
  expect(gateway.watches).toHaveLength(2);
});

test('close: a watch without an answer is rejected', async () => {
  const world = await makeWorld();
  world.gateway.mute.add('watch');
  const client = makeClient(world);
  await client.connect();
  const rejected = expect(client.watch({ idle: true })).rejects.toMatchObject({ code: 'CLIENT_CLOSED' });
  await client.close();
  await rejected;
  await expect(client.watch({})).rejects.toMatchObject({ code: 'CLIENT_CLOSED' });
});

test('READ, and a count of members: events', async () => {
  const world = await makeWorld();
  const { gateway, bob, room } = world;
  const client = makeClient(world);
  await client.connect();
  const events = collect(client);
  const receipts = [{ user: bob, readSeq: 2n, readEpoch: 0n, deliveredSeq: 3n }];
  const counted = MembersChanged.fromPartial({ change: MemberChange.MEMBER_CHANGE_COUNT, members: 300 });
  for (const connection of gateway.connections) {
    connection.send(FrameType.READ, 0, room, Read.encode({ receipts }).finish());
    connection.send(FrameType.MEMBERS_CHANGED, 0, room, MembersChanged.encode(counted).finish());
  }
  const conversation = room.toString();
  const told = () => events.filter(({ type }) => type === 'receipts' || type === 'memberCount');
  await expect.poll(told).toEqual([
    { type: 'receipts', conversation, receipts: [{ user: bob.toString(), readSeq: 2, deliveredSeq: 3 }] },
    { type: 'memberCount', conversation, members: 300 },
  ]);
});

test('readers: a page of them', async () => {
  const world = await makeWorld();
  const { gateway, alice, bob, room } = world;
  gateway.chat.read.set(`${bob}/${room}`, 2n);
  gateway.chat.read.set(`${alice}/${room}`, 1n);
  const client = makeClient(world);
  await client.connect();
  expect(await client.readers(room.toString(), 2)).toEqual({
    readers: [{ id: bob.toString(), name: 'bob', displayName: 'bob' }],
    next: undefined,
  });
  await expect(client.readers(room.toString(), -1)).rejects.toMatchObject({ code: 'ARGUMENT_INVALID' });
});

test('a READ overtaken by the WATCHED it was to follow, or by a newer READ: the greater cursor stays', async () => {
  const world = await makeWorld();
  const { gateway, bob, room } = world;
  const client = makeClient(world);
  await client.connect();
  gateway.mute.add('watch');
  void client.watch({ conversations: [room.toString()] }).catch(() => undefined);
  const events = collect(client);
  const receipt = (readSeq: bigint, readEpoch: bigint, deliveredSeq: bigint) => [
    { user: bob, readSeq, readEpoch, deliveredSeq },
  ];
  await expect.poll(() => gateway.watches.length).toBe(1);
  const send = (...receipts: ReturnType<typeof receipt>[]) => {
    for (const connection of gateway.connections)
      for (const of of receipts)
        connection.send(FrameType.READ, 0, room, Read.encode({ receipts: of }).finish());
  };
  send(receipt(5n, 0n, 7n));
  const whole = { conversation: room, members: 2, receipts: receipt(0n, 0n, 8n) };
  const answer = Watched.encode(Watched.fromPartial({ conversations: [whole] })).finish();
  for (const connection of gateway.connections) connection.send(FrameType.WATCHED, 0, 0n, answer);
  // Older, of the same age, and with a later epoch.
  send(receipt(4n, 0n, 8n), receipt(5n, 0n, 8n), receipt(2n, 1n, 3n));
  const told = () =>
    events.flatMap((event) => {
      if (event.type === 'receipts') return event.receipts;
      return event.type === 'watched' ? event.conversations.flatMap(({ receipts }) => receipts) : [];
    });
  const user = bob.toString();
  await expect.poll(told).toEqual([
    { user, readSeq: 5, deliveredSeq: 7 },
    { user, readSeq: 5, deliveredSeq: 8 },
    { user, readSeq: 2, deliveredSeq: 8 },
  ]);
});

test('a conversation that the user leaves is watched no longer: a resync does not ask for it', async () => {
  const world = await makeWorld();
  const { gateway, bob, room } = world;
  const client = makeClient(world);
  await client.connect();
  await client.joinRoom('lobby');
  await client.watch({ conversations: [room.toString()], users: [bob.toString()] });
  await client.leaveRoom(room.toString());
  for (const connection of gateway.connections) connection.resync();
  await expect.poll(() => gateway.watches.at(-1)).toMatchObject({ conversations: [], users: [bob] });
});
