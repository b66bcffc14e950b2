import { describe, expect, test } from 'vitest';
import { FrameType, MemberChange, Receipts, Role } from '../../proto/client.ts';
import { collect, makeClient, makeWorld, next } from '../testing/harness.ts';

describe('membership', () => {
  test('leaveRoom: resolves when the last messages have come, and reports that the room is left', async () => {
    const world = await makeWorld();
    const client = makeClient(world);
    await client.connect();
    await client.joinRoom('lobby');
    const events = collect(client);
    // Its push is lost: only the log knows it.
    world.gateway.say(world.room, world.bob, 'before', false);
    await client.leaveRoom(world.room.toString());
    expect(events.filter(({ type }) => type === 'message' || type === 'left')).toMatchObject([
      { type: 'message', text: 'before' },
      { type: 'left', conversation: world.room.toString(), name: 'lobby', reason: 'left' },
    ]);
    await expect(client.send(world.room.toString(), 'after')).rejects.toMatchObject({ code: 'NOT_A_MEMBER' });
    await expect(client.leaveRoom(world.room.toString())).rejects.toMatchObject({ code: 'NOT_A_MEMBER' });
  });

  test('removed by the owner: the push makes the client sync, which reports the removal', async () => {
    const world = await makeWorld();
    const { gateway, alice, bob } = world;
    const room = gateway.chat.addRoom('bobs', bob, alice);
    const client = makeClient(world);
    await client.connect();
    await client.joinRoom('bobs');
    const left = next(client, 'left');
    gateway.chat.leave(room, alice, MemberChange.MEMBER_CHANGE_REMOVED);
    gateway.tell(room, alice, { change: MemberChange.MEMBER_CHANGE_REMOVED, user: alice, by: 'bob' });
    expect(await left).toMatchObject({ name: 'bobs', reason: 'removed' });
  });

  test('left on another device before this one knew the room: its messages come, and then that it is left', async () => {
    const { gateway, alice, bob, room, ...rest } = await makeWorld();
    for (const text of ['one', 'two', 'three']) gateway.say(room, bob, text);
    gateway.chat.delivered.set(`${alice}/${room}`, 1n);
    gateway.refuse.set('sync', { code: 'OVERLOADED', retryable: true });
    const client = makeClient({ gateway, alice, bob, room, ...rest });
    const events = collect(client);
    await client.connect();
    // Pushed to this device, which has not been told of the room yet; and then its user is out.
    gateway.say(room, bob, 'four');
    gateway.chat.leave(room, alice);
    const left = next(client, 'left');
    gateway.refuse.clear();
    expect(await left).toMatchObject({ name: 'lobby', reason: 'left' });
    expect(events.flatMap((event) => (event.type === 'message' ? [event.text] : []))).toEqual([
      'two',
      'three',
      'four',
    ]);
  });

  test('joined on another device: this one shows the room at once', async () => {
    const { gateway, alice, bob, ...rest } = await makeWorld();
    const room = gateway.chat.addRoom('bobs', bob);
    gateway.say(room, bob, 'before');
    const client = makeClient({ gateway, alice, bob, ...rest });
    await client.connect();
    await client.synchronised();
    const message = next(client, 'message');
    gateway.chat.conversations.get(room)?.members.add(alice);
    gateway.tell(room, alice, { change: MemberChange.MEMBER_CHANGE_JOINED, user: alice });
    expect(await message).toMatchObject({ text: 'before' });
    expect(client.conversation(room.toString())).toMatchObject({ name: 'bobs' });
  });

  test('a room made on another device: announced on this one at once, and known rooms are not announced again', async () => {
    const { gateway, alice, bob, ...rest } = await makeWorld();
    const client = makeClient({ gateway, alice, bob, ...rest });
    await client.connect();
    await client.synchronised();
    const opened: string[] = [];
    client.on('opened', ({ name }) => opened.push(name));
    const garden = gateway.chat.addRoom('garden', alice);
    gateway.tell(garden, alice, { change: MemberChange.MEMBER_CHANGE_JOINED, user: alice });
    await client.createRoom('own');
    await client.synchronised();
    expect(opened).toEqual(['garden']);
    expect(client.conversation(garden.toString())).toMatchObject({ name: 'garden', kind: 'room' });
    const message = next(client, 'message');
    gateway.say(garden, alice, 'first');
    expect(await message).toMatchObject({ text: 'first', seq: 1 });
  });

  test('a room of which nothing was shown: leaving it is not reported', async () => {
    const { gateway, alice, bob, room, ...rest } = await makeWorld();
    gateway.refuse.set('sync', { code: 'OVERLOADED', retryable: true });
    const client = makeClient({ gateway, alice, bob, room, ...rest });
    const events = collect(client);
    await client.connect();
    gateway.say(room, bob, 'one');
    gateway.chat.conversations.delete(room);
    gateway.refuse.clear();
    const pushed = () => gateway.syncs().flatMap((sync) => sync.pushed);
    await expect.poll(() => pushed()).toEqual([{ conversation: room, seq: 0n }]);
    await client.synchronised();
    expect(pushed()).toHaveLength(1);
    expect(events.filter(({ type }) => type === 'message' || type === 'left')).toEqual([]);
  });

  test('removed while the push was lost: the next sync reports it', async () => {
    const world = await makeWorld();
    const client = makeClient(world);
    await client.connect();
    await client.joinRoom('lobby');
    const left = next(client, 'left');
    world.gateway.chat.conversations.delete(world.room);
    world.gateway.only.resync();
    expect(await left).toMatchObject({ name: 'lobby', reason: 'deleted' });
  });

  test('changes of other members: are reported, and change nothing else', async () => {
    const world = await makeWorld();
    const client = makeClient(world);
    await client.connect();
    await client.joinRoom('lobby');
    const told = next(client, 'member');
    await client.removeMember(world.room.toString(), 'bob');
    expect(await told).toEqual({
      type: 'member',
      conversation: world.room.toString(),
      change: 'removed',
      user: world.bob.toString(),
      name: 'bob',
      by: 'alice',
      afterSeq: 0,
    });
    await client.deleteRoom(world.room.toString());
    expect(client.conversation(world.room.toString())).toBeUndefined();
  });

  test('setRole: is reported with the role; the user’s own role also changes in the conversation', async () => {
    const world = await makeWorld();
    const client = makeClient(world);
    await client.connect();
    const { id } = await client.joinRoom('lobby');
    expect(client.conversation(id)).toMatchObject({ role: 'owner' });
    let told = next(client, 'member');
    await client.setRole(id, 'bob', 'owner');
    const event = { type: 'member', conversation: id, change: 'role', by: 'alice', afterSeq: 0 };
    expect(await told).toEqual({ ...event, user: world.bob.toString(), name: 'bob', role: 'owner' });
    expect((await client.members(id)).members.map(({ role }) => role)).toEqual(['owner', 'owner']);
    told = next(client, 'member');
    const syncs = world.gateway.syncs().length;
    await client.setRole(id, 'alice', 'moderator');
    expect(await told).toEqual({ ...event, user: world.alice.toString(), name: 'alice', role: 'moderator' });
    expect(client.conversation(id)).toMatchObject({ role: 'moderator' });
    expect(world.gateway.syncs()).toHaveLength(syncs);
    await expect(client.setRole(id, 'bob', 'member')).rejects.toMatchObject({ code: 'ROLE_TOO_LOW' });
    await expect(client.setRole(id, 'bob', 'admin' as never)).rejects.toMatchObject({
      code: 'ARGUMENT_INVALID',
    });
  });

  test('a server of the previous release: owners are owners, and the others are members', async () => {
    const world = await makeWorld();
    world.gateway.chat.roleOf = () => Role.ROLE_UNSPECIFIED;
    const client = makeClient(world);
    await client.connect();
    const { id } = await client.joinRoom('lobby');
    expect(client.conversation(id)).toMatchObject({ role: 'member' });
    expect((await client.members(id)).members.map(({ role }) => role)).toEqual(['member', 'member']);
  });

  test('markRead: goes out with the receipts, and never back', async () => {
    const world = await makeWorld();
    const client = makeClient(world);
    await client.connect();
    const room = world.room.toString();
    client.markRead(room, 4);
    client.markRead(room, 2);
    await client.close();
    const reads = world.gateway
      .framesOf(FrameType.RECEIPTS)
      .flatMap(({ payload }) => Receipts.decode(payload).receipts)
      .map(({ readSeq }) => readSeq);
    expect(reads).toContain(4n);
    expect(reads).not.toContain(2n);
  });
});

describe('logout', () => {
  test('sends CLOSE, then revokes the token, once', async () => {
    const world = await makeWorld();
    const calls: (string | null)[] = [];
    world.directory.instead.set('/auth/logout', () => {
      calls.push('logout');
      return Response.json({ status: 'ok' });
    });
    const client = makeClient(world);
    await client.connect();
    await client.logout();
    await client.logout();
    expect(calls).toEqual(['logout']);
    await expect(client.send(world.room.toString(), 'x')).rejects.toMatchObject({ code: 'CLIENT_CLOSED' });
  });

  test('unreachable API server: it rejects, and the client is closed', async () => {
    const world = await makeWorld();
    const client = makeClient(world);
    await client.connect();
    world.directory.instead.set('/auth/logout', () => {
      throw new TypeError('fetch failed');
    });
    await expect(client.logout()).rejects.toMatchObject({ code: 'SERVER_UNREACHABLE' });
    await expect(client.send(world.room.toString(), 'x')).rejects.toMatchObject({ code: 'CLIENT_CLOSED' });
  });
});
