/** Tests of docs/protocol.md on what is beside the log: WATCH and presence, the user's own devices; on every wire. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { roomOf } from './answers.ts';
import { newUser, startSystem, type System } from './system.ts';
import { type Frame, WireClient, WIRES } from './wire-client.ts';

let system: System;
let tokens: Record<'ann' | 'bob' | 'carl', string>;

beforeAll(async () => {
  system = await startSystem(['--heartbeat-interval-ms', '600000', '--session-grace-ms', '300']);
  tokens = {
    ann: await newUser(system, 'ann'),
    bob: await newUser(system, 'bob'),
    carl: await newUser(system, 'carl'),
  };
});

afterAll(() => system[Symbol.asyncDispose]());

let refs = 10_000;

/** Sends a WATCH and returns what answers it. */
async function watch(client: WireClient, fields: Frame): Promise<Frame> {
  const ref = ++refs;
  client.send({ type: 'WATCH', ref, ...fields });
  return Promise.race(['WATCHED', 'NACK'].map((type) => client.next(type, (frame) => frame['ref'] === ref)));
}

const statusOf = (frame: Frame, user: unknown) =>
  (frame['users'] as Frame[]).find((each) => each['user'] === user)?.['status'];

describe.each(WIRES)('on %s', (wire) => {
  test('WATCH: the state, then what changes; a connection that breaks is offline after its grace', async () => {
    await using ann = await WireClient.hello(system, tokens.ann, { wire });
    const bob = await WireClient.hello(system, tokens.bob);
    const { id, name } = await roomOf(ann, []);
    await bob.ask({ join_room: { room: name } });
    const { user } = bob.welcome;
    const watched = await watch(ann, { conversations: [id], users: [user] });
    expect(watched).toMatchObject({ type: 'WATCHED', conversations: [{ conversation: id, members: 2 }] });
    expect(statusOf(watched, user)).toBe('PRESENCE_STATUS_ONLINE');
    const told = (status: string) => ann.next('PRESENCE', (frame) => statusOf(frame, user) === status);
    bob.send({ type: 'WATCH', ref: 1, idle: true });
    await told('PRESENCE_STATUS_IDLE');
    bob.webSocket?.terminate();
    const offline = await told('PRESENCE_STATUS_OFFLINE');
    expect(Number((offline['users'] as Frame[])[0]?.['last_seen_ms'])).toBeGreaterThan(0);
    await using again = await WireClient.hello(system, tokens.bob);
    await told('PRESENCE_STATUS_ONLINE');
    const answer = await ann.ask({ get_presence: { users: [again.welcome['user']] } });
    expect(statusOf(answer['presences'] as Frame, user)).toBe('PRESENCE_STATUS_ONLINE');
  });

  test('WATCH of what is not to be seen, and of too much: the code, and the watch before stays', async () => {
    await using ann = await WireClient.hello(system, tokens.ann, { wire });
    await using carl = await WireClient.hello(system, tokens.carl);
    const { id } = await roomOf(ann, []);
    const others = await roomOf(carl, []);
    expect(await watch(ann, { conversations: [id] })).toMatchObject({ type: 'WATCHED' });
    const wrong: readonly (readonly [Frame, string])[] = [
      [{ conversations: [others.id] }, 'NOT_VISIBLE'],
      [{ conversations: ['18446744073709551615'] }, 'NOT_VISIBLE'],
      [{ users: [carl.welcome['user']] }, 'NOT_VISIBLE'],
      [{ users: ['77'] }, 'NOT_VISIBLE'],
      [{ conversations: Array.from({ length: 9 }, (_, i) => String(i + 1)) }, 'WATCH_TOO_LARGE'],
      [{ users: Array.from({ length: 501 }, (_, i) => String(i + 1)) }, 'WATCH_TOO_LARGE'],
    ];
    for (const [fields, code] of wrong)
      expect(await watch(ann, fields)).toMatchObject({ type: 'NACK', code, retryable: false });
  });

  test('READ: to who watches; get_readers lists them; TYPING in a room', async () => {
    await using ann = await WireClient.hello(system, tokens.ann, { wire });
    await using bob = await WireClient.hello(system, tokens.bob);
    const { id, name } = await roomOf(ann, ['one', 'two']);
    await bob.ask({ join_room: { room: name } });
    const { user } = bob.welcome;
    expect(await watch(ann, { conversations: [id] })).toMatchObject({
      conversations: [{ conversation: id, members: 2, receipts: [] }],
    });
    bob.send({ type: 'RECEIPTS', receipts: [{ conversation: id, delivered_seq: '2', read_seq: '1' }] });
    const receipts = [{ user, read_seq: '1', read_epoch: '0', delivered_seq: '2' }];
    expect(await ann.next('READ', ({ key }) => key === id)).toMatchObject({ receipts });
    expect(await watch(ann, { conversations: [id] })).toMatchObject({ conversations: [{ receipts }] });
    const readersOf = async (seq: string) => (await ann.ask({ get_readers: { seq } }, id))['readers'];
    expect(await readersOf('1')).toMatchObject({ readers: [{ id: user, name: 'bob' }], next: '' });
    expect(await readersOf('2')).toMatchObject({ readers: [] });
    expect(await ann.ask({ get_readers: { seq: '99' } }, id)).toMatchObject({ code: 'TARGET_NOT_FOUND' });
    bob.send({ type: 'TYPING', key: id });
    expect(await ann.next('TYPING', ({ key }) => key === id)).toMatchObject({ user });
  });

  test('SELF: the other device is told what this one has changed, and get_self has the whole', async () => {
    await using phone = await WireClient.hello(system, tokens.ann, { wire, device: 'phone' });
    await using laptop = await WireClient.hello(system, tokens.ann, { device: 'laptop' });
    const { id } = await roomOf(phone, ['one', 'two']);
    await phone.ask({ set_mute: { until_ms: '9007199254740991' } }, id);
    await laptop.next('SELF', ({ mutes }) => (mutes as Frame[])[0]?.['conversation'] === id);
    await phone.ask({ set_draft: { text: 'well,' } }, id);
    await laptop.next('SELF', ({ drafts }) => (drafts as Frame[])[0]?.['text'] === 'well,');
    phone.send({ type: 'RECEIPTS', receipts: [{ conversation: id, delivered_seq: '2', read_seq: '2' }] });
    const { reads } = await laptop.next('SELF', (frame) => (frame['reads'] as Frame[]).length > 0);
    expect(reads).toMatchObject([{ conversation: id, read_seq: '2' }]);
    const answer = await laptop.ask({ get_self: {} });
    expect(answer['self']).toMatchObject({
      mutes: expect.arrayContaining([{ conversation: id, until_ms: '9007199254740991' }]) as unknown,
      drafts: expect.arrayContaining([
        expect.objectContaining({ conversation: id, text: 'well,' }),
      ]) as unknown,
    });
    await phone.ask({ set_draft: {} }, id);
    await laptop.next('SELF', ({ drafts }) => (drafts as Frame[])[0]?.['text'] === '');
  });
});
