import { describe, expect, test } from 'vitest';
import { EntryKind, FrameType, Message, Send, SystemEvent } from '../../proto/client.ts';
import { collect, makeClient, makeWorld, next, type World } from '../testing/harness.ts';
import type { ClientEvent, GochatClient, LogEntry } from './mod.ts';
import { Fold } from './mod.ts';

const EDIT = EntryKind.ENTRY_KIND_EDIT;
const RETRACT = EntryKind.ENTRY_KIND_RETRACT;
const PIN = EntryKind.ENTRY_KIND_PIN;

/** Connects alice, and bob by another client. */
async function meet(world: World): Promise<{ alice: GochatClient; bob: GochatClient; room: string }> {
  const alice = makeClient(world);
  const bob = makeClient(world, { user: 'bob' });
  await Promise.all([alice.connect(), bob.connect()]);
  return { alice, bob, room: world.room.toString() };
}

/** Makes a view of a room from the events of a client. */
function viewOf(client: GochatClient): Fold {
  const fold = new Fold();
  client.onAny((event) => {
    if (event.type === 'skipped') fold.skip(event.toSeq);
    else if (isEntry(event)) fold.add(event);
  });
  return fold;
}

function isEntry(event: ClientEvent): event is ClientEvent & LogEntry {
  return 'kind' in event && 'seq' in event;
}

describe('entries', () => {
  test('each kind: comes as its event, with what it concerns', async () => {
    const world = await makeWorld();
    const { alice, bob, room } = await meet(world);
    const events = collect(bob);
    const last = next(bob, 'retracted', ({ range }) => range !== undefined);
    await alice.send(room, 'helo');
    await alice.edit(room, 1, 'hello');
    await alice.send(room, 'answer', { replyTo: 1 });
    await alice.pin(room, 3);
    await alice.unpin(room, 3);
    await alice.retract(room, 1, { reason: 'typo' });
    await alice.retractRange(
      room,
      { sender: world.alice.toString(), fromSeq: 2, toSeq: 99 },
      { reason: 'all' },
    );
    await last;
    const place = { conversation: room, sender: world.alice.toString(), from: 'alice' };
    const quote = {
      seq: 1,
      sender: world.alice.toString(),
      from: 'alice',
      text: 'hello',
      cut: false,
      version: 2,
    };
    const range = { sender: world.alice.toString(), fromSeq: 2, toSeq: 99 };
    expect(events.filter((event) => 'seq' in event)).toMatchObject([
      { type: 'message', kind: 'message', seq: 1, text: 'helo', version: 0, ...place },
      { type: 'edited', kind: 'edit', seq: 2, target: 1, text: 'hello', version: 2, ...place },
      { type: 'message', seq: 3, text: 'answer', replyTo: 1, quote: { ...quote, state: 'kept' } },
      { type: 'pinned', kind: 'pin', seq: 4, target: 3, ...place },
      { type: 'unpinned', kind: 'unpin', seq: 5, target: 3 },
      { type: 'retracted', kind: 'retract', seq: 6, target: 1, reason: 'typo' },
      { type: 'retracted', seq: 7, target: undefined, range, reason: 'all' },
    ]);
  });

  test('own entries: SENT reports them, with what is needed to show them; other devices of the user get events', async () => {
    const world = await makeWorld();
    const { alice, room } = await meet(world);
    const phone = makeClient(world);
    await phone.connect();
    const events = collect(alice);
    const edited = next(phone, 'edited');
    const { clientMsgId } = await alice.send(room, 'helo');
    const sent = await alice.edit(room, clientMsgId, 'hello');
    expect(sent).toMatchObject({
      kind: 'edit',
      seq: 2,
      target: 1,
      text: 'hello',
      from: 'alice',
      duplicate: false,
    });
    expect(await edited).toMatchObject({ seq: 2, target: 1, text: 'hello' });
    await alice.send(room, 'yes', { replyTo: 1 });
    expect(events.filter(({ type }) => type === 'sent')).toMatchObject([
      { type: 'sent', kind: 'message', seq: 1 },
      { type: 'sent', kind: 'edit', seq: 2 },
      { type: 'sent', kind: 'message', seq: 3, replyTo: 1 },
    ]);
  });

  test('the views of both sides are one', async () => {
    const world = await makeWorld();
    const { alice, bob, room } = await meet(world);
    const views = [viewOf(alice), viewOf(bob)] as const;
    await alice.send(room, 'helo');
    const reply = next(alice, 'message');
    await bob.send(room, 'hi', { replyTo: 1 });
    await reply;
    const sends = [
      alice.edit(room, 1, 'hello'),
      alice.send(room, 'oops'),
      alice.send(room, 'me too', { replyTo: 2 }),
    ];
    await Promise.all(sends);
    const gone = next(bob, 'retracted');
    await alice.retract(room, 4);
    await gone;
    const [left, right] = views.map((view) => view.shown());
    expect(left).toEqual(right);
    expect(left).toMatchObject([
      { text: 'hello', version: 3 },
      { text: 'hi', quote: { text: 'hello', version: 3 } },
      { text: '', retraction: { seq: 6, by: world.alice.toString() } },
      { text: 'me too', quote: { text: 'hi' } },
    ]);
  });

  test('offline: an edit of a message without a seq waits behind it, and names it by its client_msg_id', async () => {
    const world = await makeWorld();
    const client = makeClient(world);
    const room = world.room.toString();
    const sending = client.send(room, 'draft', { clientMsgId: 'note-1' });
    const editing = client.edit(room, 'note-1', 'final');
    await client.connect();
    expect(await sending).toMatchObject({ clientMsgId: 'note-1', seq: 1 });
    expect(await editing).toMatchObject({ kind: 'edit', seq: 2, target: 1 });
    const sends = world.gateway.framesOf(FrameType.SEND).map(({ payload }) => Send.decode(payload));
    expect(sends).toMatchObject([{ target: 0n }, { target: 0n, targetClientMsgId: 'note-1' }]);
  });

  test('refused for good: a message takes its edit with it, and both are told', async () => {
    const world = await makeWorld();
    const client = makeClient(world);
    const events = collect(client);
    const room = world.room.toString();
    world.gateway.fate = ({ text }) => (text === 'bad' ? { nack: 'MESSAGE_UNSTORABLE' } : 'accept');
    const sends = [
      client.send(room, 'bad', { clientMsgId: 'a' }),
      client.edit(room, 'a', 'worse'),
      client.send(room, 'good'),
    ];
    await client.connect();
    const failed = { status: 'rejected', reason: { code: 'MESSAGE_UNSTORABLE' } };
    expect(await Promise.allSettled(sends)).toMatchObject([failed, failed, { value: { seq: 1 } }]);
    expect(events.filter(({ type }) => type === 'failed')).toMatchObject([
      { clientMsgId: 'a', kind: 'message', code: 'MESSAGE_UNSTORABLE' },
      { kind: 'edit', code: 'MESSAGE_UNSTORABLE' },
    ]);
  });

  test('client_msg_id: another send under one that waits is refused; one of an earlier run is stored once', async () => {
    const world = await makeWorld();
    const room = world.room.toString();
    world.gateway.act(world.room, world.alice, { clientMsgId: 'kept', text: 'from before' });
    const client = makeClient(world);
    const sending = client.send(room, 'from before', { clientMsgId: 'kept' });
    await expect(client.send(room, 'x', { clientMsgId: 'kept' })).rejects.toMatchObject({
      code: 'ARGUMENT_INVALID',
    });
    const events = collect(client);
    const synced = next(client, 'synced');
    await client.connect();
    expect(await sending).toMatchObject({ seq: 1, duplicate: true });
    await synced;
    expect(events.filter(({ type }) => type === 'message')).toEqual([]);
  });

  test('bare entries and unknown kinds: take their place in the order and show nothing', async () => {
    const world = await makeWorld();
    const client = makeClient(world);
    await client.connect();
    await next(client, 'synced');
    const events = collect(client);
    const last = next(client, 'message');
    const entry = (seq: bigint, fields: Partial<Message>) => {
      const message = Message.fromPartial({
        seq,
        id: seq,
        sender: world.bob,
        from: 'bob',
        atMs: 1n,
        ...fields,
      });
      world.gateway.only.send(FrameType.MESSAGE, 0, world.room, Message.encode(message).finish());
    };
    const kinds = [EDIT, RETRACT, PIN, EntryKind.ENTRY_KIND_UNPIN];
    for (const [index, kind] of kinds.entries()) entry(BigInt(index + 1), { kind, bare: true });
    entry(5n, { kind: 77 as EntryKind });
    entry(6n, { text: 'still here', bare: true });
    await last;
    expect(events).toMatchObject([{ type: 'message', seq: 6, text: 'still here' }]);
    expect(world.gateway.syncs()).toHaveLength(1);
  });

  test('system: what the server has recorded, by whom and about whom', async () => {
    const world = await makeWorld();
    const carol = world.gateway.chat.addUser('carol');
    const client = makeClient(world);
    await client.connect();
    const told = next(client, 'system');
    const entry = world.gateway.chat.record(world.room, world.bob, SystemEvent.SYSTEM_EVENT_REMOVED, carol);
    world.gateway.push(world.room, entry);
    expect(await told).toMatchObject({
      kind: 'system',
      event: 'removed',
      sender: world.bob.toString(),
      from: 'bob',
      user: carol.toString(),
      name: 'carol',
      clientMsgId: '',
    });
  });

  test('joined on another device: a conversation in which nothing was said is told, though the join stands in its log', async () => {
    const world = await makeWorld();
    const { gateway, alice, bob } = world;
    const client = makeClient(world);
    await client.connect();
    await next(client, 'synced');
    const opened = next(client, 'opened', ({ name }) => name === 'den');
    const den = gateway.chat.addRoom('den', bob, alice);
    gateway.push(den, gateway.chat.record(den, alice, SystemEvent.SYSTEM_EVENT_JOINED, alice));
    expect(await opened).toMatchObject({ conversation: den.toString(), kind: 'room' });
  });

  test('a page of a synchronisation: messages as they are now, and what is gone comes as a tombstone', async () => {
    const world = await makeWorld();
    const { gateway, room, bob } = world;
    gateway.say(room, bob, 'helo');
    gateway.say(room, bob, 'secret');
    gateway.act(room, bob, { kind: EDIT, target: 1n, text: 'hello' });
    gateway.act(room, bob, { kind: RETRACT, target: 2n, reason: 'private' });
    const client = makeClient(world);
    const view = viewOf(client);
    const events = collect(client);
    const synced = next(client, 'synced');
    await client.connect();
    expect(await synced).toMatchObject({ messages: 2 });
    const retraction = { seq: 4, by: bob.toString(), reason: 'private' };
    expect(events.filter((event) => 'seq' in event)).toMatchObject([
      { type: 'message', text: 'hello', version: 3 },
      { type: 'message', text: '', version: 4, retraction },
      { type: 'edited', target: 1, text: 'hello' },
      { type: 'retracted', target: 2 },
    ]);
    expect(view.shown()).toMatchObject([
      { text: 'hello', version: 3 },
      { version: 4, retraction },
    ]);
  });

  test('pins: listed, with who pinned them, the newest pin first', async () => {
    const world = await makeWorld();
    const { gateway, room, bob } = world;
    gateway.say(room, bob, 'one');
    gateway.say(room, bob, 'two');
    gateway.act(room, bob, { kind: PIN, target: 2n });
    gateway.act(room, bob, { kind: PIN, target: 1n });
    const client = makeClient(world);
    await client.connect();
    const list = await client.pins(room.toString());
    expect(list).toMatchObject({
      pins: [
        { message: { seq: 1, text: 'one' }, by: bob.toString(), atMs: 1_700_000_000_004 },
        { message: { seq: 2, text: 'two' }, by: bob.toString() },
      ],
      pinsVersion: 4,
    });
    const view = new Fold();
    expect(view.load().pins(list)).toBe(true);
    expect(view.pinned()).toEqual([1, 2]);
  });
});

describe('skipping', () => {
  test('a long absence: the newest entries come, and what was jumped over is told before them', async () => {
    const world = await makeWorld();
    const client = makeClient(world, { catchUp: 3 });
    const events = collect(client);
    await client.connect();
    world.gateway.say(world.room, world.bob, 'm1');
    await next(client, 'message');
    for (let i = 2; i <= 10; i++) world.gateway.say(world.room, world.bob, `m${i}`, false);
    const synced = next(client, 'synced');
    world.gateway.only.resync();
    await synced;
    expect(events.filter(({ type }) => type === 'skipped' || type === 'message')).toMatchObject([
      { type: 'message', seq: 1 },
      { type: 'skipped', conversation: world.room.toString(), fromSeq: 2, toSeq: 7 },
      { type: 'message', seq: 8 },
      { type: 'message', seq: 9 },
      { type: 'message', seq: 10 },
    ]);
  });

  test('catchUp all: everything comes, whatever the number', async () => {
    const world = await makeWorld();
    for (let i = 1; i <= 1_500; i++) world.gateway.say(world.room, world.bob, `m${i}`);
    const client = makeClient(world, { catchUp: 'all', newDevice: 'all' });
    const synced = next(client, 'synced');
    await client.connect();
    expect(await synced).toMatchObject({ messages: 1_500 });
  });
});

describe('the first synchronisation', () => {
  test('a new device: lists its conversations, and begins at the end of each', async () => {
    const world = await makeWorld();
    world.gateway.say(world.room, world.bob, 'old');
    const client = makeClient(world, { newDevice: 0 });
    const events = collect(client);
    const synced = next(client, 'synced');
    await client.connect();
    await synced;
    const id = world.room.toString();
    expect(events.map(({ type }) => type)).toEqual(['connected', 'listed', 'skipped', 'synced']);
    expect(events[1]).toMatchObject({ conversations: [{ id, unread: 1, lastMessage: { text: 'old' } }] });
    expect(events[2]).toMatchObject({ conversation: id, fromSeq: 1, toSeq: 1 });
    const message = next(client, 'message');
    world.gateway.say(world.room, world.bob, 'new');
    expect(await message).toMatchObject({ text: 'new', seq: 2 });
    expect((await client.history(id, { firstUnread: true })).anchor).toBe(1);
  });

  test('a device that has been here: goes on where it was, though another conversation is new to it', async () => {
    const world = await makeWorld();
    const { gateway, room, bob, alice } = world;
    gateway.say(room, bob, 'seen');
    gateway.chat.delivered.set(`${alice}/${room}`, 1n);
    const den = gateway.chat.addRoom('den', bob, alice);
    gateway.say(room, bob, 'missed');
    gateway.say(den, bob, 'first');
    const client = makeClient(world, { newDevice: 0 });
    const events = collect(client);
    const synced = next(client, 'synced');
    await client.connect();
    await synced;
    const shown = events.flatMap((event) => (event.type === 'message' ? [event.text] : []));
    expect(shown.toSorted()).toEqual(['first', 'missed']);
    expect(events.some(({ type }) => type === 'skipped')).toBe(false);
  });

  test('a new device that ends before anything came: is not new the next time', async () => {
    const world = await makeWorld();
    world.gateway.say(world.room, world.bob, 'old');
    const first = makeClient(world, { newDevice: 0 });
    const listed = next(first, 'synced');
    await first.connect();
    await listed;
    await first.close();
    await expect.poll(() => world.gateway.framesOf(FrameType.CLOSE)).toHaveLength(1);
    world.gateway.say(world.room, world.bob, 'missed');
    const second = makeClient(world, { newDevice: 0 });
    const message = next(second, 'message');
    await second.connect();
    expect(await message).toMatchObject({ text: 'missed' });
  });

  test('2,500 conversations: are named in ranges of ids, and all news come', async () => {
    const world = await makeWorld();
    const { gateway, alice, bob } = world;
    const rooms = Array.from({ length: 2_500 }, (_, i) => gateway.chat.addRoom(`r${i}`, bob, alice));
    for (const room of rooms) gateway.say(room, bob, 'old');
    const client = makeClient(world, { newDevice: 0 });
    const synced = next(client, 'synced');
    const events = collect(client);
    await client.connect();
    await synced;
    const lists = events.flatMap((event) => (event.type === 'listed' ? [event.conversations.length] : []));
    expect(lists).toEqual([500, 500, 500, 500, 500, 1]);
    for (const room of rooms) gateway.say(room, bob, 'new', false);
    const asked = gateway.syncs().length;
    const again = next(client, 'synced');
    gateway.only.resync();
    expect(await again).toMatchObject({ messages: 2_500 });
    const syncs = gateway.syncs().slice(asked);
    for (const { cursors, after, until } of syncs) {
      expect(cursors.length).toBeLessThanOrEqual(1000);
      expect(cursors.every(({ conversation: id }) => id > after && (until === 0n || id <= until))).toBe(true);
    }
    expect(new Set(syncs.map(({ after }) => after)).size).toBe(3);
  });
});

describe('names', () => {
  test('display names: of the connection, looked up, set, and told when they change', async () => {
    const world = await makeWorld();
    const client = makeClient(world);
    await client.connect();
    const bob = world.bob.toString();
    expect(await client.users([bob, '999'])).toEqual([{ id: bob, name: 'bob', displayName: 'bob' }]);
    expect(client.displayName(bob)).toBe('bob');
    expect(client.displayName('999')).toBeUndefined();
    await expect(client.users(['bob'])).rejects.toMatchObject({ code: 'ARGUMENT_INVALID' });
    const renamed = next(client, 'renamed');
    const message = next(client, 'message');
    world.gateway.chat.displayNames.set(world.bob, 'Bob B.');
    world.gateway.say(world.room, world.bob, 'me again');
    expect(await renamed).toEqual({ type: 'renamed', user: bob, displayName: 'Bob B.' });
    expect(await message).toMatchObject({ sender: bob, from: 'Bob B.' });
    expect(await client.setDisplayName('Alice A.')).toMatchObject({ name: 'alice', displayName: 'Alice A.' });
    expect(await client.send(world.room.toString(), 'hi')).toMatchObject({ from: 'Alice A.' });
  });
});
