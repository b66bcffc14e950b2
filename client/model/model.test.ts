/** The model equals one that is made anew, whatever has happened, in whatever order it came. */
import { describe, expect, onTestFinished, test } from 'vitest';
import { EntryKind, FrameType, MemberChange, Self, type Send, SystemEvent } from '../../proto/client.ts';
import { eventually } from '../../test/harness/eventually.ts';
import { makeClient, makeWorld, type World } from '../testing/harness.ts';
import type { GochatClientOptions } from '../sdk/mod.ts';
import { Model } from './mod.ts';

const EDIT = EntryKind.ENTRY_KIND_EDIT;
const RETRACT = EntryKind.ENTRY_KIND_RETRACT;
const PIN = EntryKind.ENTRY_KIND_PIN;
const UNPIN = EntryKind.ENTRY_KIND_UNPIN;

/** Connects alice with a model of hers that shows a room. */
async function open(world: World, options: Partial<GochatClientOptions> = {}): Promise<Model> {
  const client = makeClient(world, { newDevice: 0, ...options });
  const model = new Model(client);
  onTestFinished(() => model.close());
  await client.connect();
  await eventually('the conversations are here', () => model.conversations.isLoaded && model.settings.value);
  const timeline = model.timeline(world.room.toString());
  await timeline.jump();
  await timeline.loadPins();
  return model;
}

/** What a model shows of the room, from a seq on, without what only one of two clients can know. */
function shown(model: Model, { room }: World, fromSeq = 0) {
  const id = room.toString();
  const timeline = model.timeline(id);
  const items = timeline.items().filter((item) => seqOf(item) === 0 || seqOf(item) >= fromSeq);
  return {
    items,
    pins: timeline.pinned()?.map(({ seq, text }) => ({ seq, text })),
    row: model.conversations.get(id),
    draft: model.drafts.get(id),
  };
}

function seqOf(item: ReturnType<ReturnType<Model['timeline']>['items']>[number]): number {
  return item.kind === 'message' ? item.message.seq : item.entry.seq;
}

/** Waits until the model shows what a new one shows. */
async function expectFresh(model: Model, world: World): Promise<void> {
  const fresh = await open(world);
  const [first] = fresh.timeline(world.room.toString()).items();
  const fromSeq = first === undefined ? 0 : seqOf(first);
  await expect.poll(() => shown(model, world, fromSeq)).toEqual(shown(fresh, world));
}

/** Bob's entries: each kind, with what stands before it. */
const KINDS: Record<string, { before?: Partial<Send>[]; entry: Partial<Send> }> = {
  message: { entry: { text: 'hello' } },
  reply: { entry: { text: 'yes', replyTo: 1n } },
  edit: { entry: { kind: EDIT, target: 2n, text: 'new' } },
  'edit of what is quoted': {
    before: [{ text: 'yes', replyTo: 2n }],
    entry: { kind: EDIT, target: 2n, text: 'new' },
  },
  retract: { entry: { kind: RETRACT, target: 2n, reason: 'wrong' } },
  'retract of a range': {
    before: [{ text: 'a' }, { text: 'b' }],
    entry: { kind: RETRACT, range: { sender: 2n, fromSeq: 2n, toSeq: 9n } },
  },
  'retract of what is pinned': {
    before: [{ kind: PIN, target: 2n }],
    entry: { kind: RETRACT, target: 2n },
  },
  pin: { entry: { kind: PIN, target: 1n } },
  unpin: { before: [{ kind: PIN, target: 1n }], entry: { kind: UNPIN, target: 1n } },
};

const DELIVERIES = {
  pushed: (world: World, entry: Partial<Send>) => world.gateway.act(world.room, world.bob, entry),
  'pushed twice': (world: World, entry: Partial<Send>) => {
    world.gateway.push(world.room, world.gateway.act(world.room, world.bob, entry));
  },
  'lost, with a later one that comes': (world: World, entry: Partial<Send>) => {
    world.gateway.act(world.room, world.bob, entry, false);
    world.gateway.say(world.room, world.bob, 'later');
  },
  'lost with the connection': (world: World, entry: Partial<Send>) => {
    world.gateway.act(world.room, world.bob, entry, false);
    world.gateway.only.destroy();
  },
};

describe.each(Object.entries(DELIVERIES))('verify, %s', (_, deliver) => {
  test.each(Object.entries(KINDS))(
    '%s: the model equals a new one',
    async (_name, { before = [], entry }) => {
      const world = await makeWorld();
      world.gateway.say(world.room, world.alice, 'mine');
      world.gateway.say(world.room, world.bob, 'his');
      const model = await open(world);
      for (const each of before) world.gateway.act(world.room, world.bob, each);
      deliver(world, entry);
      await expectFresh(model, world);
    },
  );
});

describe('verify', () => {
  test.each(['joined', 'left', 'removed', 'role'])(
    'system entry, %s: the model equals a new one',
    async (what) => {
      const world = await makeWorld();
      const event = {
        joined: SystemEvent.SYSTEM_EVENT_JOINED,
        left: SystemEvent.SYSTEM_EVENT_LEFT,
        removed: SystemEvent.SYSTEM_EVENT_REMOVED,
        role: SystemEvent.SYSTEM_EVENT_ROLE,
      }[what] as SystemEvent;
      const model = await open(world);
      const entry = world.gateway.chat.record(world.room, world.alice, event, world.bob);
      world.gateway.push(world.room, entry);
      await expectFresh(model, world);
    },
  );

  test('a conversation that is new, and one that is left: the list equals a new one', async () => {
    const world = await makeWorld();
    const { chat } = world.gateway;
    const model = await open(world);
    const garden = chat.addRoom('garden', world.bob, world.alice);
    world.gateway.say(garden, world.bob, 'come');
    await expect.poll(() => model.conversations.get(garden.toString())?.unread).toBe(1);
    chat.leave(garden, world.alice, MemberChange.MEMBER_CHANGE_REMOVED);
    world.gateway.tell(garden, world.alice, {
      change: MemberChange.MEMBER_CHANGE_REMOVED,
      user: world.alice,
    });
    await expect.poll(() => model.conversations.get(garden.toString())).toBeUndefined();
    await expectFresh(model, world);
  });

  test('a mixture of everything, with lost pushes and connections: the model equals a new one', async () => {
    const world = await makeWorld();
    const { gateway, room, bob } = world;
    const id = room.toString();
    const model = await open(world, { catchUp: 20 });
    const timeline = model.timeline(id);
    let random = 7;
    const choose = (below: number) => {
      random = (random * 48_271) % 2_147_483_647;
      return random % below;
    };
    for (let step = 0; step < 300; step++) {
      const { log } = gateway.chat.conversations.get(room) as { log: readonly unknown[] };
      const target = 1 + choose(Math.max(1, log.length));
      const own = timeline.lastOwn();
      const act = (send: Partial<Send>) => {
        // What a server would refuse changes nothing.
        const clientMsgId = `bob-${step}`;
        const appended = gateway.chat.append(room, bob, { clientMsgId, text: '', ...send });
        if (typeof appended !== 'string' && choose(4) > 0) gateway.push(room, appended.message);
      };
      const actions = [
        () => act({ text: `text ${step}` }),
        () => act({ text: `text ${step}` }),
        () => act({ text: `answer ${step}`, replyTo: BigInt(target) }),
        () => act({ kind: EDIT, target: BigInt(target), text: `edited ${step}` }),
        () => act({ kind: RETRACT, target: BigInt(target) }),
        () => act({ kind: PIN, target: BigInt(target) }),
        () => act({ kind: UNPIN, target: BigInt(target) }),
        () => timeline.send(`mine ${step}`),
        () => own && timeline.edit(own.message.seq || own.message.clientMsgId, `mine, edited ${step}`),
        () => choose(4) === 0 && own && timeline.retract(own.message.seq || own.message.clientMsgId),
        () => model.conversations.read(id, target),
        () => void timeline.older(),
        () => choose(6) === 0 && void timeline.jump({ around: target }),
        () => choose(10) === 0 && gateway.connections.forEach((connection) => connection.destroy()),
      ];
      if (choose(3) === 0) await new Promise((resolve) => setImmediate(resolve));
      actions[choose(actions.length)]?.();
    }
    gateway.say(room, bob, 'the last one');
    await eventually('nothing waits to be sent', () => timeline.waiting === 0);
    await timeline.jump();
    await timeline.loadPins();
    // A badge that was asked for before the last read stays until the next: this is the next.
    await eventually('the last one is here', () => JSON.stringify(timeline.items()).includes('the last one'));
    model.conversations.read(id, model.conversations.get(id)?.lastSeq ?? 0);
    await eventually('it is read', () => gateway.chat.see(room, world.alice).unread === 0n);
    await expectFresh(model, world);
  });
});

describe('echo', () => {
  test('own message, edit, retraction and pin: shown at once, and the same when they are stored', async () => {
    const world = await makeWorld();
    const model = await open(world);
    const timeline = model.timeline(world.room.toString());
    timeline.send('helo');
    const [echo] = timeline.items();
    expect(echo).toMatchObject({ state: 'sending', isOwn: true, message: { seq: 0, text: 'helo' } });
    timeline.edit(echo?.kind === 'message' ? echo.message.clientMsgId : '', 'hello');
    expect(timeline.items()).toMatchObject([{ key: echo?.key, change: 'edit', message: { text: 'hello' } }]);
    await expect
      .poll(() => timeline.items())
      .toMatchObject([{ key: echo?.key, state: 'stored', change: undefined }]);
    timeline.pin(1, true);
    expect(timeline.pinned()).toMatchObject([{ seq: 1, text: 'hello' }]);
    timeline.retract(1);
    expect(timeline.items()).toMatchObject([{ change: 'retract', message: { text: '' } }]);
    await eventually('all is stored', () => timeline.waiting === 0);
    await expectFresh(model, world);
  });

  test('refused: the message says why, sent again or given up; a change is taken back, and its text kept', async () => {
    const world = await makeWorld();
    const model = await open(world);
    const timeline = model.timeline(world.room.toString());
    timeline.send('kept');
    await eventually('it is stored', () => timeline.waiting === 0);
    world.gateway.fate = () => ({ nack: 'ROLE_TOO_LOW' });
    timeline.send('refused');
    timeline.edit(1, 'too late');
    timeline.pin(1, true);
    await eventually('all is refused', () => timeline.waiting === 0);
    const [kept, refused] = timeline.items();
    expect(kept).toMatchObject({ message: { text: 'kept' }, change: undefined });
    expect(timeline.pinned()).toEqual([]);
    expect(refused).toMatchObject({ state: 'failed', refusal: { code: 'ROLE_TOO_LOW', text: 'refused' } });
    world.gateway.fate = () => 'accept';
    const id = refused?.kind === 'message' ? refused.message.clientMsgId : '';
    timeline.resend(id);
    await expect.poll(() => timeline.items().at(-1)).toMatchObject({ state: 'stored' });
    expect(timeline.discard(id)).toBe('');
  });
});

describe('timeline', () => {
  test('many messages: the window stays small and without a hole, wherever one reads', async () => {
    const world = await makeWorld();
    for (let i = 1; i <= 1500; i++) world.gateway.say(world.room, world.bob, `${i}`, false);
    const model = await open(world);
    const timeline = model.timeline(world.room.toString());
    const seqs = () => timeline.items().map(seqOf);
    const expectWhole = () => expect(seqs()).toEqual(seqs().map((_, i) => (seqs()[0] ?? 0) + i));
    for (let i = 0; i < 20; i++) {
      await timeline.older();
      expectWhole();
    }
    expect(timeline.hasNewer).toBe(true);
    expect(seqs().length).toBeLessThanOrEqual(250);
    const before = seqs();
    world.gateway.say(world.room, world.bob, 'news');
    await expect.poll(() => model.conversations.get(world.room.toString())?.lastSeq).toBe(1501);
    expect(seqs()).toEqual(before);
    while (timeline.hasNewer) {
      await timeline.newer();
      expectWhole();
    }
    expect(seqs().at(-1)).toBe(1501);
    await timeline.jump({ around: 700 });
    expect(timeline.anchor).toBe(700);
    expectWhole();
  });

  test('entries that come while one reads above: what one reads stays', async () => {
    const world = await makeWorld();
    for (let i = 1; i <= 60; i++) world.gateway.say(world.room, world.bob, `${i}`, false);
    const model = await open(world);
    const timeline = model.timeline(world.room.toString());
    timeline.view(11, false);
    for (let i = 0; i < 600; i++) world.gateway.say(world.room, world.bob, 'news');
    await expect.poll(() => model.conversations.get(world.room.toString())?.lastSeq).toBe(660);
    expect(timeline.items().map(seqOf)).toContain(11);
    expect(timeline.hasNewer).toBe(true);
  });

  test('a page that cannot be fetched: says why, keeps what is there, and goes on after', async () => {
    const world = await makeWorld();
    for (let i = 1; i <= 80; i++) world.gateway.say(world.room, world.bob, `${i}`, false);
    const model = await open(world);
    const timeline = model.timeline(world.room.toString());
    const before = timeline.items();
    world.gateway.refuse.set('getHistory', { code: 'INTERNAL', retryable: false });
    await timeline.older();
    expect(timeline.error?.code).toBe('INTERNAL');
    expect(timeline.items()).toEqual(before);
    world.gateway.refuse.clear();
    await timeline.retry();
    await timeline.older();
    expect(timeline.items().length).toBe(80);
  });
});

describe('what devices share', () => {
  test('read, muted, written on another device: the model equals a new one', async () => {
    const world = await makeWorld();
    const { chat } = world.gateway;
    world.gateway.say(world.room, world.bob, 'one');
    const model = await open(world);
    expect(model.conversations.get(world.room.toString())?.unread).toBe(1);
    chat.read.set(`${world.alice}/${world.room}`, 1n);
    chat.mutes.set(`${world.alice}/${world.room}`, 99n);
    chat.drafts.set(`${world.alice}/${world.room}`, { conversation: world.room, text: 'begun', atMs: 5n });
    const self = { ...chat.selfOf(world.alice), reads: chat.reads(world.alice) };
    world.gateway.only.send(FrameType.SELF, 0, 0n, Self.encode(self).finish());
    await expect.poll(() => model.drafts.get(world.room.toString())).toBe('begun');
    expect(model.conversations.get(world.room.toString())).toMatchObject({ unread: 0, mutedUntilMs: 99 });
  });

  test('marked unread: the count is as the server says', async () => {
    const world = await makeWorld();
    for (const text of ['one', 'two', 'three']) world.gateway.say(world.room, world.bob, text);
    const model = await open(world);
    const id = world.room.toString();
    model.conversations.read(id, 3);
    expect(model.conversations.get(id)?.unread).toBe(0);
    await model.conversations.unread(id, 2);
    expect(model.conversations.get(id)).toMatchObject({ unread: 2, readSeq: 1 });
    await expectFresh(model, world);
  });

  test('a draft: is stored when it has rested, and gone when it is sent', async () => {
    const world = await makeWorld();
    const model = await open(world);
    const key = `${world.alice}/${world.room}`;
    model.drafts.set(world.room.toString(), 'begun');
    await expect.poll(() => world.gateway.chat.drafts.get(key)?.text).toBe('begun');
    model.drafts.set(world.room.toString(), '');
    await expect.poll(() => world.gateway.chat.drafts.get(key)?.text ?? '').toBe('');
  });

  test('mute: at once, and as before if it is refused', async () => {
    const world = await makeWorld();
    const model = await open(world);
    const id = world.room.toString();
    world.gateway.refuse.set('setMute', { code: 'INTERNAL', retryable: false });
    const refused = model.conversations.mute(id, true);
    expect(model.conversations.get(id)?.mutedUntilMs).toBeGreaterThan(0);
    await expect(refused).rejects.toMatchObject({ code: 'INTERNAL' });
    expect(model.conversations.get(id)?.mutedUntilMs).toBe(0);
  });
});
