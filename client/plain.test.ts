import { PassThrough, Writable } from 'node:stream';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { FrameType } from '../proto/client.ts';
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
      { event: 'connected', session: '1', user: 'alice', gateway: 'fake', resumed: false },
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
      },
      { event: 'sent', client_msg_id: id, conversation: room, seq: 1, id: `${room}000001`, duplicate: false },
    ]);
    expect(events.slice(-2)).toEqual([
      {
        event: 'message',
        conversation: room,
        seq: 1,
        id: `${room}000001`,
        from: 'alice',
        text: 'hi all',
        at: new Date(1_700_000_000_001).toISOString(),
        history: true,
      },
      {
        event: 'members',
        conversation: room,
        members: [
          { user: '1', name: 'alice', display_name: 'alice', online: true, role: 'owner' },
          { user: '2', name: 'bob', display_name: 'bob', online: true, role: 'member' },
        ],
      },
    ]);
    expect(events).toHaveLength(9);
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
      text: 'while you were out',
      at: new Date(1_700_000_000_001).toISOString(),
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
          { conversation, kind: 'room', name: 'lobby', last_seq: 1, unread: 1, owner: true, role: 'owner' },
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
    '/nonsense',
    '/ hi',
  ])('bad command %j: COMMAND_INVALID, and exit code 1', async (line) => {
    const world = await makeWorld();
    const run = start(world);
    run.input.end(`${line}\n`);
    expect(await run.exit).toBe(1);
    expect(only(run.events(), 'error')).toMatchObject([{ code: 'COMMAND_INVALID' }]);
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
        '[#lobby] bob: anyone?',
        '* you are in #lobby',
        '* bob was made an owner by alice in #lobby',
        '[#lobby] alice: hi',
        '* you talk to bob',
        '[@bob] alice: psst',
        '* in @bob: alice (online), bob (online)',
      ]),
    );
    expect(run.err()).toBe('! test: USER_NOT_FOUND (USER_NOT_FOUND)\n');
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
    expect(run.out()).toContain('[#lobby] alice: hi\n');
    expect(run.out()).toContain('/history [N]');
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
    expect(run.out()).toContain(`[#lobby] ${time} bob: hi\n`);
  });

  test('remote text: cannot move the cursor, forge a line or change the direction', async () => {
    const world = await makeWorld();
    world.gateway.say(world.room, world.bob, 'x\n[#lobby] alice: forged\u001b[2J\u009b\u202e\ttab');
    const run = start(world, { json: false });
    run.input.end();
    expect(await run.exit).toBe(0);
    expect(run.out()).toContain('[#lobby] bob: x ⏎ [#lobby] alice: forged�[2J��  tab\n');
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
    await expect.poll(() => text()).toContain('[#lobby] bob: hey\n');
    input.write('/dm nobody\r');
    await expect.poll(() => run.err()).toContain('USER_NOT_FOUND');
    input.write('\u0004');
    expect(await run.exit).toBe(0);
    expect(text()).not.toContain('alice: hello');
  });
});
