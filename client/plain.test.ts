import { PassThrough, Writable } from 'node:stream';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { EntryKind, FrameType, MemberChange, Self, SystemEvent } from '../proto/client.ts';
import type { PlainOptions } from './plain.ts';
import { runPlain } from './plain.ts';
import type { World } from './testing/harness.ts';
import { makeWorld } from './testing/harness.ts';
import { within } from '../test/harness/eventually.ts';
import { TestClock } from '../test/harness/test-clock.ts';

type Line = Record<string, unknown> & { event: string };

interface Run {
  readonly input: PassThrough;
  readonly exit: Promise<number>;
  readonly out: () => string;
  readonly err: () => string;
  /** The JSON events so far. */
  readonly events: () => Line[];
  /** Resolves when an event like this has been printed. */
  readonly seen: (like: object) => Promise<void>;
}

function sink(): { stream: Writable; text: () => string } {
  const chunks: string[] = [];
  const stream = new Writable({
    write(chunk: Buffer, _, done) {
      chunks.push(chunk.toString());
      done();
    },
  });
  return { stream, text: () => chunks.join('') };
}

function start(world: World, options: Partial<PlainOptions> = {}): Run {
  const input = new PassThrough();
  const output = sink();
  const errorOutput = sink();
  const code = runPlain({
    api: 'http://api.test',
    ipconf: 'http://ipconf.test',
    user: 'alice',
    password: 'secret',
    json: true,
    input,
    output: output.stream,
    errorOutput: errorOutput.stream,
    color: false,
    ...options,
    sdk: {
      fetch: world.directory.fetch,
      backoff: { baseMs: 1, maxMs: 5 },
      firstConnectMs: 50,
      receiptDelayMs: 1,
      ...options.sdk,
    },
  });
  const events = () =>
    output
      .text()
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as Line);
  const seen = (like: object) => expect.poll(events).toContainEqual(expect.objectContaining(like));
  return {
    input,
    /** Resolves with the exit code. */
    get exit() {
      return within(() => `the end of the run, which has printed ${output.text().slice(-1000)}`, code);
    },
    out: output.text,
    err: errorOutput.text,
    events,
    seen,
  };
}

const only = (events: Line[], name: string) => events.filter(({ event }) => event === name);

describe('--json', () => {
  test('script: exactly these events in this order, and exit code 0', async () => {
    const world = await makeWorld();
    const run = start(world);
    run.input.end('/dm bob\nhello\n/join lobby\nhi all\n/history\n/who\n/quit\nnever said\n');
    expect(await run.exit).toBe(0);
    const direct = world.gateway.chat.direct(world.alice, world.bob).toString();
    const room = world.room.toString();
    const id = expect.stringMatching(/^[0-9a-f]{20}-\d+$/);
    // Answers come in the order of the requests per server; a sent may stand on either side of the next joined.
    const events = run.events();
    expect(events.slice(0, 3)).toEqual([
      {
        event: 'connected',
        session: '1',
        user: 'alice',
        display_name: 'alice',
        gateway: 'fake',
        resumed: false,
      },
      { event: 'opened', conversation: room, name: 'lobby', kind: 'room' },
      { event: 'synced', messages: 0 },
    ]);
    expect(only(events, 'joined')).toEqual([
      { event: 'joined', conversation: direct, name: 'bob', kind: 'direct' },
      { event: 'joined', conversation: room, name: 'lobby', kind: 'room' },
    ]);
    expect(only(events, 'sent')).toEqual([
      {
        event: 'sent',
        client_msg_id: id,
        conversation: direct,
        seq: 1,
        id: `${direct}000001`,
        duplicate: false,
        kind: 'message',
      },
      {
        event: 'sent',
        client_msg_id: id,
        conversation: room,
        seq: 1,
        id: `${room}000001`,
        duplicate: false,
        kind: 'message',
      },
    ]);
    expect(events.slice(-3)).toEqual([
      {
        event: 'message',
        conversation: room,
        seq: 1,
        id: `${room}000001`,
        from: 'alice',
        sender: '1',
        text: 'hi all',
        at: new Date(1_700_000_000_001).toISOString(),
        version: 0,
        history: true,
      },
      { event: 'history', conversation: room, more: false, more_after: false, anchor_seq: null },
      {
        event: 'members',
        conversation: room,
        members: [
          { user: '1', name: 'alice', display_name: 'alice', online: true, role: 'owner', idle: false },
          { user: '2', name: 'bob', display_name: 'bob', online: true, role: 'member', idle: false },
        ],
        count: 2,
      },
    ]);
    expect(events).toHaveLength(10);
    expect(run.err()).toBe('');
  });

  test('empty input: brings what was missed, then ends with 0', async () => {
    const world = await makeWorld();
    world.gateway.say(world.room, world.bob, 'while you were out');
    const run = start(world);
    run.input.end();
    expect(await run.exit).toBe(0);
    expect(run.events().map(({ event }) => event)).toEqual(['connected', 'message', 'synced']);
    expect(run.events()[1]).toEqual({
      event: 'message',
      conversation: world.room.toString(),
      seq: 1,
      id: `${world.room}000001`,
      from: 'bob',
      sender: '2',
      text: 'while you were out',
      at: new Date(1_700_000_000_001).toISOString(),
      version: 0,
    });
  });

  test('messages: those of others arrive while the input is open', async () => {
    const world = await makeWorld();
    const run = start(world);
    await run.seen({ event: 'synced' });
    world.gateway.say(world.room, world.bob, 'ping');
    await run.seen({ event: 'message', from: 'bob', text: 'ping' });
    run.input.end();
    expect(await run.exit).toBe(0);
  });

  test('join: the room’s newest messages arrive before the end, even if the input has ended', async () => {
    const world = await makeWorld();
    const den = world.gateway.chat.addRoom('den', world.bob);
    world.gateway.say(den, world.bob, 'old');
    const run = start(world);
    run.input.end('/join den\n');
    expect(await run.exit).toBe(0);
    const events = run.events().map(({ event }) => event);
    expect(events).toEqual(['connected', 'opened', 'synced', 'joined', 'message']);
  });

  test('10,000 lines: all acknowledged, in order', async () => {
    const world = await makeWorld();
    const run = start(world);
    run.input.write('/join lobby\n');
    run.input.end(Array.from({ length: 10_000 }, (_, i) => `m${i}`).join('\n'));
    expect(await run.exit).toBe(0);
    const log = world.gateway.chat.conversations.get(world.room)?.log.map(({ text }) => text);
    expect(log).toEqual(Array.from({ length: 10_000 }, (_, i) => `m${i}`));
    expect(only(run.events(), 'sent')).toHaveLength(10_000);
  });

  test('window: without answers no more than 256 lines are sent', async () => {
    const world = await makeWorld();
    using clock = new TestClock();
    const run = start(world, { timeoutMs: 5000 });
    run.input.write('/join lobby\n');
    await run.seen({ event: 'joined' });
    world.gateway.only.fenced = true;
    run.input.end('x\n'.repeat(5_000));
    expect(await clock.until(run.exit)).toBe(1);
    expect(world.gateway.framesOf(FrameType.SEND)).toHaveLength(256);
    expect(only(run.events(), 'failed')).toHaveLength(256);
  });

  test('texts: a leading slash is written twice, /dm USER TEXT sends at once, empty lines are ignored', async () => {
    const world = await makeWorld();
    const run = start(world);
    run.input.end('/dm bob  two  words \n//shrug\n\n\r\nlast without newline');
    expect(await run.exit).toBe(0);
    const direct = world.gateway.chat.direct(world.alice, world.bob);
    const log = world.gateway.chat.conversations.get(direct)?.log.map(({ text }) => text);
    expect(log).toEqual(['two  words ', '/shrug', 'last without newline']);
  });

  test('a failed change of conversation: lines after it are not sent, and the exit code is 1', async () => {
    const world = await makeWorld();
    const run = start(world);
    run.input.end('/join lobby\none\n/dm nobody\nsecret\n/create lobby\nsecret too\n/join nowhere\n');
    expect(await run.exit).toBe(1);
    const codes = only(run.events(), 'error').map(({ code }) => code);
    expect(codes).toEqual([
      'USER_NOT_FOUND',
      'NO_CONVERSATION',
      'NAME_TAKEN',
      'NO_CONVERSATION',
      'ROOM_NOT_FOUND',
    ]);
    expect(world.gateway.chat.conversations.get(world.room)?.log).toHaveLength(1);
  });

  test('not UTF-8: the line is reported by its number and not sent, the others are sent, and exit code 1', async () => {
    const world = await makeWorld();
    const run = start(world);
    run.input.write('/join lobby\nfirst\n');
    run.input.end(Buffer.from('gr\u00fc\u00dfe\nlast\n', 'latin1'));
    expect(await run.exit).toBe(1);
    expect(only(run.events(), 'error')).toMatchObject([
      { code: 'INPUT_NOT_UTF8', message: expect.stringContaining('Line 3') },
    ]);
    const log = world.gateway.chat.conversations.get(world.room)?.log.map(({ text }) => text);
    expect(log).toEqual(['first', 'last']);
  });

  test('byte order mark: a script that begins with one works', async () => {
    const world = await makeWorld();
    const run = start(world);
    run.input.end('\ufeff/join lobby\nhi\n');
    expect(await run.exit).toBe(0);
  });

  test('room: shows the current conversation; NO_CONVERSATION if there is none', async () => {
    const world = await makeWorld();
    const run = start(world);
    run.input.end('/room\n/join lobby\nhi\n/room\n');
    expect(await run.exit).toBe(1);
    expect(only(run.events(), 'error')).toMatchObject([{ code: 'NO_CONVERSATION' }]);
    const conversation = world.room.toString();
    expect(only(run.events(), 'rooms')).toEqual([
      {
        event: 'rooms',
        conversations: [
          {
            conversation,
            kind: 'room',
            name: 'lobby',
            last_seq: 1,
            unread: 0,
            threads_unread: 0,
            owner: true,
            role: 'owner',
            last_message: expect.objectContaining({ event: 'message', seq: 1, text: 'hi' }),
          },
        ],
      },
    ]);
  });

  test('role: is given, announced, and shown by /who', async () => {
    const world = await makeWorld();
    const run = start(world);
    run.input.write('/join lobby\n/role @bob moderator\n');
    await run.seen({ event: 'member' });
    const change = { change: 'role', user: 'bob', by: 'alice', after_seq: 0, role: 'moderator' };
    expect(only(run.events(), 'member')).toEqual([
      { event: 'member', conversation: world.room.toString(), ...change },
    ]);
    run.input.end('/who\n/role nobody owner\n');
    expect(await run.exit).toBe(1);
    expect(only(run.events(), 'members')).toMatchObject([
      { members: [{ role: 'owner' }, { name: 'bob', role: 'moderator' }] },
    ]);
    expect(only(run.events(), 'error')).toMatchObject([{ code: 'USER_NOT_FOUND' }]);
  });

  test.each([
    '/dm',
    '/join ',
    '/create',
    '/role bob',
    '/role bob admin',
    '/history x',
    '/history 0',
    '/history 1001',
    '/history before',
    '/history around 0',
    '/history date yesterday',
    '/history unread 201',
    '/history backwards',
    '/reply 1',
    '/edit first x',
    '/retract',
    '/purge bob 1',
    '/pin x',
    '/unpin',
    '/nonsense',
    '/ hi',
  ])('bad command %j: COMMAND_INVALID, and exit code 1', async (line) => {
    const world = await makeWorld();
    const run = start(world);
    run.input.end(`${line}\n`);
    expect(await run.exit).toBe(1);
    expect(only(run.events(), 'error')).toMatchObject([{ code: 'COMMAND_INVALID' }]);
  });

  test('entries: a command and an event for each, in the order of the lines', async () => {
    const world = await makeWorld();
    world.gateway.say(world.room, world.bob, 'tea?');
    const bob = start(world, { user: 'bob' });
    await bob.seen({ event: 'synced' });
    const run = start(world);
    const lines = ['/join lobby', 'helo', '/edit last hello', '/reply 1 yes', '/pin 1', '/pins', '/unpin 1'];
    run.input.end([...lines, '/retract 4 too soon', '/purge bob 1 3 off topic', '/history 9\n'].join('\n'));
    expect(await run.exit).toBe(0);
    expect(only(run.events(), 'sent').map(({ kind, seq, target }) => [kind, seq, target])).toEqual([
      ['message', 2, undefined],
      ['edit', 3, 2],
      ['message', 4, 1],
      ['pin', 5, 1],
      ['unpin', 6, 1],
      ['retract', 7, 4],
      ['retract', 8, undefined],
    ]);
    expect(only(run.events(), 'pins')).toMatchObject([
      { pins: [{ seq: 1, from: 'bob', text: 'tea?' }], pins_version: 5 },
    ]);
    const place = { conversation: world.room.toString(), from: 'alice', sender: '1' };
    await bob.seen({ event: 'retracted', range: { sender: '2', from_seq: 1, to_seq: 3 } });
    const told = bob.events().filter((event) => 'seq' in event && event['from'] === 'alice');
    expect(told).toMatchObject([
      { event: 'message', seq: 2, text: 'helo', version: 0, ...place },
      { event: 'edited', seq: 3, target: 2, text: 'hello', version: 3, ...place },
      {
        event: 'message',
        seq: 4,
        text: 'yes',
        quote: { seq: 1, from: 'bob', text: 'tea?', cut: false, state: 'kept' },
      },
      { event: 'pinned', seq: 5, target: 1, ...place },
      { event: 'unpinned', seq: 6, target: 1, ...place },
      { event: 'retracted', seq: 7, target: 4, range: null, reason: 'too soon' },
      { event: 'retracted', seq: 8, target: null, reason: 'off topic' },
    ]);
    const history = run.events().filter((event) => event['history'] === true);
    expect(history.slice(0, 4)).toMatchObject([
      {
        event: 'message',
        seq: 1,
        text: '',
        version: 8,
        retraction: { seq: 8, by: '1', reason: 'off topic' },
      },
      { event: 'message', seq: 2, text: 'hello', version: 3 },
      { event: 'edited', seq: 3, target: 2, text: 'hello' },
      { event: 'message', seq: 4, text: '', retraction: { seq: 7 } },
    ]);
    bob.input.end();
    await bob.exit;
  });

  test('history: at a point, with what it has found and whether there is more', async () => {
    const world = await makeWorld();
    for (let i = 1; i <= 9; i++) world.gateway.say(world.room, world.bob, `m${i}`);
    world.gateway.chat.read.set(`${world.alice}/${world.room}`, 4n);
    const run = start(world);
    const points = ['before 3', 'after 7', 'around 5 3', 'unread 2', 'date 2023-11-14 1'];
    run.input.end(`/join lobby\n${points.map((point) => `/history ${point}\n`).join('')}`);
    expect(await run.exit).toBe(0);
    const pages: number[][] = [[]];
    for (const event of run.events()) {
      if (event['history'] === true) pages.at(-1)?.push(event['seq'] as number);
      if (event.event === 'history') pages.push([]);
    }
    expect(pages.slice(0, 3)).toEqual([
      [1, 2],
      [8, 9],
      [4, 5, 6],
    ]);
    expect(only(run.events(), 'history')).toMatchObject([
      { more: false, more_after: true, anchor_seq: null },
      { more: true, more_after: false, anchor_seq: null },
      { anchor_seq: 5 },
      { anchor_seq: 5 },
      { anchor_seq: 1 },
    ]);
  });

  test('conversations: in pages, with the last messages; nick: another name, told to others', async () => {
    const world = await makeWorld();
    world.gateway.say(world.room, world.bob, 'last words');
    const bob = start(world, { user: 'bob' });
    await bob.seen({ event: 'synced' });
    const run = start(world);
    run.input.end('/nick Alice A.\n/conversations\n/join lobby\nhi\n/edit last hi!\n');
    expect(await run.exit).toBe(0);
    expect(only(run.events(), 'profile')).toEqual([
      { event: 'profile', user: 'alice', display_name: 'Alice A.' },
    ]);
    expect(only(run.events(), 'conversations')).toMatchObject([
      { conversations: [{ name: 'lobby', last_message: { from: 'bob', text: 'last words' } }], next: null },
    ]);
    await bob.seen({ event: 'edited', from: 'Alice A.', sender: '1' });
    bob.input.end();
    await bob.exit;
  });

  test('edit last: with nothing said here it is refused', async () => {
    const world = await makeWorld();
    const run = start(world);
    run.input.end('/join lobby\n/edit last x\n');
    expect(await run.exit).toBe(1);
    expect(only(run.events(), 'error')).toMatchObject([{ code: 'COMMAND_INVALID' }]);
  });

  test('role: the same again is answered as well', async () => {
    const world = await makeWorld();
    const run = start(world);
    run.input.end('/join lobby\n/role bob moderator\n/role bob moderator\n');
    expect(await run.exit).toBe(0);
    const answer = { event: 'role', conversation: world.room.toString(), user: 'bob', role: 'moderator' };
    expect(only(run.events(), 'role')).toEqual([answer, answer]);
  });

  test('who is there: status, watch, away and back', async () => {
    const world = await makeWorld();
    const { gateway, bob, room } = world;
    gateway.chat.seen.set(bob, 1_760_000_000_000n);
    const run = start(world);
    run.input.write(
      '/join lobby\n/status bob\n/watch\n/away\n/back\n/watch off\n/readers 1\n/readers x\n/status nobody\n',
    );
    const conversation = room.toString();
    const last_seen = new Date(1_760_000_000_000).toISOString();
    const user = { user_id: bob.toString(), user: 'bob', status: 'offline', last_seen };
    await run.seen({ event: 'presence', ...user });
    run.input.end();
    expect(await run.exit).toBe(1);
    const watched = only(run.events(), 'watched');
    expect(watched.map(({ conversations }) => conversations)).toEqual([
      ...Array.from({ length: 3 }, () => [{ conversation, members: 2, receipts: [] }]),
      [],
    ]);
    expect(watched[0]?.['users']).toContainEqual(user);
    expect(gateway.watches.map(({ idle }) => idle)).toEqual([false, true, false, false]);
    expect(only(run.events(), 'readers')).toMatchObject([{ conversation, seq: 1, readers: [], more: false }]);
    expect(only(run.events(), 'error').map(({ code }) => code)).toEqual([
      'COMMAND_INVALID',
      'COMMAND_INVALID',
    ]);
  });

  test('mutes, drafts, settings: answered, and told where another device has changed them', async () => {
    const world = await makeWorld();
    const run = start(world);
    run.input.write(
      '/join lobby\n/mute 2\n/unmute\n/draft well,\n/invisible on\n/lastseen nobody\n/receipts off\n',
    );
    await run.seen({ event: 'settings', version: 4, invisible: true, last_seen: 'nobody', receipts: false });
    const self = Self.fromPartial({
      reads: [{ conversation: world.room, readSeq: 3n }],
      mutes: [{ conversation: world.room, untilMs: 5n }],
      drafts: [{ conversation: world.room, text: 'there' }],
    });
    for (const connection of world.gateway.connections)
      connection.send(FrameType.SELF, 0, 0n, Self.encode(self).finish());
    const conversation = world.room.toString();
    await run.seen({ event: 'draft', conversation, text: 'there' });
    await run.seen({ event: 'mute', conversation, until_ms: 5 });
    await run.seen({ event: 'read', conversation, read_seq: 3, read_epoch: 0 });
    run.input.write('/unread 1\n');
    await run.seen({ event: 'read', conversation, read_seq: 0, read_epoch: 1 });
    run.input.write('/drafts\n/invisible maybe\n/mute soon\n/lastseen friends\n');
    run.input.end();
    expect(await run.exit).toBe(1);
    expect(only(run.events(), 'mute').map(({ until_ms }) => until_ms === 0)).toEqual([
      false,
      true,
      false,
      true,
    ]);
    expect(only(run.events(), 'draft').map(({ text }) => text)).toEqual(['well,', 'there', 'well,']);
    expect(only(run.events(), 'error').map(({ code }) => code)).toEqual(Array(3).fill('COMMAND_INVALID'));
  });

  test('help: goes to standard error, standard output stays JSON', async () => {
    const world = await makeWorld();
    const run = start(world);
    run.input.end('/help\n');
    expect(await run.exit).toBe(0);
    expect(run.err()).toContain('/dm USER [TEXT]');
    expect(run.events().map(({ event }) => event)).toEqual(['connected', 'opened', 'synced']);
  });

  test('100 k text: fails with TEXT_TOO_LONG, the others are sent, exit code 1', async () => {
    const world = await makeWorld();
    const run = start(world);
    run.input.end(`/join lobby\nbefore\n${'x'.repeat(100_000)}\nafter\n`);
    expect(await run.exit).toBe(1);
    expect(only(run.events(), 'failed')).toEqual([
      {
        event: 'failed',
        client_msg_id: expect.any(String),
        code: 'TEXT_TOO_LONG',
        message: 'The text is longer than 16384 bytes of UTF-8. Split it into shorter messages.',
        retryable: false,
        kind: 'message',
      },
    ]);
    const log = world.gateway.chat.conversations.get(world.room)?.log.map(({ text }) => text);
    expect(log).toEqual(['before', 'after']);
  });

  test('history: more than a page, oldest first', async () => {
    const world = await makeWorld();
    for (let i = 1; i <= 450; i++) world.gateway.say(world.room, world.bob, `m${i}`);
    const run = start(world);
    run.input.end('/join lobby\n/history 420\n');
    expect(await run.exit).toBe(0);
    const history = only(run.events(), 'message').filter((event) => event['history'] === true);
    expect(history.map(({ seq }) => seq)).toEqual(Array.from({ length: 420 }, (_, i) => i + 31));
  });

  test('wrong password: an error event with the sentence, and exit code 1', async () => {
    const world = await makeWorld();
    const run = start(world, { password: 'wrong' });
    expect(await run.exit).toBe(1);
    expect(run.events()).toMatchObject([{ event: 'error', code: 'CREDENTIALS_WRONG' }]);
  });

  test('no server: the sentence names the address and the flag, exit code 1', async () => {
    const world = await makeWorld();
    world.directory.instead.set('/auth/login', () => {
      throw new TypeError('fetch failed');
    });
    const run = start(world);
    expect(await run.exit).toBe(1);
    expect(run.events()).toEqual([
      {
        event: 'error',
        code: 'SERVER_UNREACHABLE',
        message:
          'Cannot reach the API server at http://api.test. Start the servers (make run), or name the address with --api.',
      },
    ]);
  });

  test('wrong device name: exit code 2', async () => {
    const world = await makeWorld();
    world.gateway.admit = () => ({ code: 'DEVICE_INVALID', retryable: false });
    const run = start(world, { device: 'a b' });
    expect(await run.exit).toBe(2);
  });

  test('gateway lost: disconnected with the wait, connected again, and all is sent', async () => {
    const world = await makeWorld();
    let count = 0;
    world.gateway.fate = (_, connection) => {
      if (++count !== 3) return 'accept';
      connection.destroy();
      return 'lose';
    };
    const run = start(world);
    run.input.end(`/join lobby\n${Array.from({ length: 6 }, (_, i) => `m${i}`).join('\n')}\n`);
    expect(await run.exit).toBe(0);
    expect(only(run.events(), 'disconnected')).toEqual([
      {
        event: 'disconnected',
        code: 'CONNECTION_LOST',
        reason: expect.stringContaining('The connection to the gateway broke.'),
        retry_in_ms: expect.any(Number),
      },
    ]);
    expect(only(run.events(), 'connected').map(({ resumed }) => resumed)).toEqual([false, true]);
    const log = world.gateway.chat.conversations.get(world.room)?.log.map(({ text }) => text);
    expect(log).toEqual(['m0', 'm1', 'm2', 'm3', 'm4', 'm5']);
  });

  test('replaced session: ends at once with 1 and retry_in_ms null', async () => {
    const world = await makeWorld();
    const run = start(world);
    await run.seen({ event: 'synced' });
    world.gateway.only.close('SESSION_REPLACED', false);
    expect(await run.exit).toBe(1);
    expect(run.events().at(-1)).toMatchObject({
      event: 'disconnected',
      code: 'SESSION_REPLACED',
      retry_in_ms: null,
    });
  });

  test('deadline: sends without any answer fail and the exit code is 1', async () => {
    const world = await makeWorld();
    using clock = new TestClock();
    const run = start(world, { timeoutMs: 5000 });
    await run.seen({ event: 'synced' });
    run.input.write('/join lobby\n');
    await run.seen({ event: 'joined' });
    world.gateway.only.fenced = true;
    run.input.end('one\ntwo\n');
    expect(await clock.until(run.exit)).toBe(1);
    expect(only(run.events(), 'failed')).toMatchObject([
      { code: 'DEADLINE_EXCEEDED', retryable: true },
      { code: 'DEADLINE_EXCEEDED', retryable: true },
    ]);
  });

  test('deadline: a sync without any answer ends with an error and exit code 1', async () => {
    const world = await makeWorld();
    world.gateway.mute.add('sync');
    using clock = new TestClock();
    const run = start(world, { timeoutMs: 5000 });
    expect(await clock.until(run.exit)).toBe(1);
    expect(only(run.events(), 'error')).toMatchObject([{ code: 'DEADLINE_EXCEEDED' }]);
  });

  test('signal: ends at once; what has no answer fails', async () => {
    const world = await makeWorld();
    const controller = new AbortController();
    const run = start(world, { signal: controller.signal });
    run.input.write('/join lobby\n');
    await run.seen({ event: 'joined' });
    world.gateway.only.fenced = true;
    run.input.write('lost\n');
    await expect.poll(() => world.gateway.received.at(-1)?.type).toBe(FrameType.SEND);
    controller.abort();
    expect(await run.exit).toBe(1);
    expect(only(run.events(), 'failed')).toMatchObject([{ code: 'CLIENT_CLOSED' }]);
  });

  test('signal: exit code 0 if nothing is unanswered', async () => {
    const world = await makeWorld();
    const controller = new AbortController();
    const run = start(world, { signal: controller.signal });
    await run.seen({ event: 'synced' });
    controller.abort();
    expect(await run.exit).toBe(0);
  });

  test('output: a closed pipe ends the run with exit code 1', async () => {
    const world = await makeWorld();
    const output = new Writable({ write: (_, __, done) => done(new Error('EPIPE')) });
    const run = start(world, { output });
    expect(await run.exit).toBe(1);
  });

  test('output: a slow reader loses nothing', async () => {
    const world = await makeWorld();
    const held: (() => void)[] = [];
    let text = '';
    let slow = true;
    const output = new Writable({
      highWaterMark: 1,
      write(chunk: Buffer, _, done) {
        text += chunk.toString();
        if (slow) held.push(done);
        else done();
      },
    });
    using clock = new TestClock();
    const timeoutMs = 3000;
    const run = start(world, { output, timeoutMs });
    await expect.poll(() => held).toHaveLength(1);
    // Who does not read for longer than that has not lost the server.
    await clock.advance(timeoutMs + 200);
    for (let i = 1; i <= 300; i++) world.gateway.say(world.room, world.bob, `m${i}`);
    slow = false;
    for (const done of held) done();
    await expect.poll(() => text).toContain('"m300"');
    run.input.end();
    expect(await run.exit).toBe(0);
    expect(text.match(/"message"/g)).toHaveLength(300);
  });

  test('JSON: C1 controls are escaped', async () => {
    const world = await makeWorld();
    world.gateway.say(world.room, world.bob, 'a\u009b31mb\u001b[0m');
    const run = start(world);
    run.input.end();
    await run.exit;
    expect(run.out()).toContain('a\\u009b31mb\\u001b[0m');
  });
});

describe('text output', () => {
  test('conversation: sender, text and room of each line; errors with the remedy on standard error', async () => {
    const world = await makeWorld();
    world.gateway.say(world.room, world.bob, 'anyone?');
    const run = start(world, { json: false });
    run.input.end('/join #lobby\nhi\n/role bob owner\n/dm bob psst\n/who\n/dm nobody\n');
    expect(await run.exit).toBe(1);
    const out = run.out().split('\n');
    expect(out).toEqual(
      expect.arrayContaining([
        '* connected as alice at fake',
        '[#lobby 1] bob: anyone?',
        '* you are in #lobby',
        '* bob was made an owner by alice in #lobby',
        '[#lobby 2] alice: hi',
        '* you talk to bob',
        '[@bob 1] alice: psst',
        '* in @bob: alice (online), bob (online)',
      ]),
    );
    expect(run.err()).toBe('! test: USER_NOT_FOUND (USER_NOT_FOUND)\n');
  });

  test('entries: edits, tombstones, quotes and what the server records, told apart from what people write', async () => {
    const world = await makeWorld();
    const { gateway, room, bob } = world;
    gateway.chat.displayNames.set(bob, 'Bob \u202eB.');
    gateway.say(room, bob, 'tea\n> or coffee?');
    const run = start(world, { json: false });
    run.input.write('/join lobby\n');
    await expect.poll(run.out).toContain('* you are in #lobby');
    gateway.act(room, bob, { text: '[#lobby 9 edited] mona: x', replyTo: 1n });
    gateway.act(room, bob, { kind: EntryKind.ENTRY_KIND_EDIT, target: 1n, text: 'milk?' });
    gateway.act(room, bob, { kind: EntryKind.ENTRY_KIND_PIN, target: 1n });
    gateway.act(room, bob, { kind: EntryKind.ENTRY_KIND_RETRACT, target: 2n, reason: 'no\n* you' });
    const joined = gateway.chat.record(room, bob, SystemEvent.SYSTEM_EVENT_JOINED, bob);
    gateway.push(room, joined);
    const change = { change: MemberChange.MEMBER_CHANGE_JOINED, user: bob, name: 'Bob \u202eB.' };
    gateway.tell(room, 0n, change);
    gateway.say(room, bob, 'end');
    await expect.poll(run.out).toContain('end\n');
    run.input.end('/history 9\n/pins\n/retract 1\n');
    expect(await run.exit).toBe(0);
    const lines = run.out().split('\n');
    const time = /\d{4}-\d\d-\d\d \d\d:\d\d /;
    expect(
      lines.slice(lines.indexOf('* you are in #lobby') + 1).map((line) => line.replace(time, '')),
    ).toEqual([
      '  > Bob �B.: tea ⏎ > or coffee?',
      '[#lobby 2] Bob �B.: [#lobby 9 edited] mona: x',
      '[#lobby 1 edited] Bob �B.: milk?',
      '* Bob �B. has pinned message 1 in #lobby',
      '* Bob �B. has retracted message 2 in #lobby (no ⏎ * you)',
      '* Bob �B. joined #lobby',
      '[#lobby 7] Bob �B.: end',
      '[#lobby 1 edited] Bob �B.: milk?',
      '[#lobby 2] Bob �B.: retracted by Bob �B. (no ⏎ * you)',
      '* Bob �B. joined #lobby',
      '[#lobby 7] Bob �B.: end',
      '[#lobby 1 pinned] Bob �B.: milk?',
      '* alice has retracted message 1 in #lobby',
      '',
    ]);
  });

  test('trouble: shows what was not sent, what is retried, and the reconnection', async () => {
    const world = await makeWorld();
    let count = 0;
    world.gateway.fate = (_, connection) => {
      if (++count !== 1) return 'accept';
      connection.destroy();
      return 'lose';
    };
    const run = start(world, { json: false });
    run.input.end(`/join lobby\nhi\n${'x'.repeat(20_000)}\n/help\n`);
    expect(await run.exit).toBe(1);
    expect(run.err()).toContain(
      '! not sent: The text is longer than 16384 bytes of UTF-8. Split it into shorter messages. (TEXT_TOO_LONG)\n',
    );
    expect(run.err()).toMatch(/^! disconnected: .* \(CONNECTION_LOST\) Next try in \d+ ms\.$/m);
    expect(run.out()).toContain('* back as alice at fake\n');
    expect(run.out()).toContain('[#lobby 1] alice: hi\n');
    expect(run.out()).toContain('/history [N] | POINT [N]');
  });

  test.each([
    ['Asia/Tokyo', '2023-11-15 07:13'],
    ['America/New_York', '2023-11-14 17:13'],
  ])('history: with the time of the reader, in %s', async (zone, time) => {
    vi.stubEnv('TZ', zone);
    onTestFinished(() => void vi.unstubAllEnvs());
    const world = await makeWorld();
    world.gateway.say(world.room, world.bob, 'hi');
    const run = start(world, { json: false });
    run.input.end('/join lobby\n/history\n');
    expect(await run.exit).toBe(0);
    expect(run.out()).toContain(`[#lobby 1] ${time} bob: hi\n`);
  });

  test('remote text: cannot move the cursor, forge a line or change the direction', async () => {
    const world = await makeWorld();
    world.gateway.say(world.room, world.bob, 'x\n[#lobby] alice: forged\u001b[2J\u009b\u202e\ttab');
    const run = start(world, { json: false });
    run.input.end();
    expect(await run.exit).toBe(0);
    expect(run.out()).toContain('[#lobby 1] bob: x ⏎ [#lobby] alice: forged�[2J��  tab\n');
  });

  test('colour: only when asked for', async () => {
    const world = await makeWorld();
    world.gateway.say(world.room, world.bob, 'hi');
    const plain = start(world, { json: false });
    plain.input.end();
    await plain.exit;
    expect(plain.out()).not.toContain('\u001b');
    world.gateway.say(world.room, world.bob, 'hi again');
    const coloured = start(world, { json: false, color: true });
    coloured.input.end();
    await coloured.exit;
    expect(coloured.out()).toContain('\u001b[33mbob\u001b[0m: hi again');
  });

  test('terminal: a prompt that names the conversation; typed lines are not repeated', async () => {
    const world = await makeWorld();
    const input = Object.assign(new PassThrough(), { isTTY: true });
    const { stream, text } = sink();
    const output = Object.assign(stream, { isTTY: true });
    const run = start(world, { json: false, input, output });
    await expect.poll(() => text()).toContain('* /help');
    input.write('/join lobby\r');
    await expect.poll(() => text()).toContain('#lobby> ');
    input.write('hello\r');
    await expect.poll(() => world.gateway.chat.conversations.get(world.room)?.log).toHaveLength(1);
    world.gateway.say(world.room, world.bob, 'hey');
    await expect.poll(() => text()).toContain('[#lobby 2] bob: hey\n');
    input.write('/dm nobody\r');
    await expect.poll(() => run.err()).toContain('USER_NOT_FOUND');
    input.write('\u0004');
    expect(await run.exit).toBe(0);
    expect(text()).not.toContain('alice: hello');
  });
});
