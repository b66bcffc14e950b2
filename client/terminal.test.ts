import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { describe, expect, onTestFinished, test } from 'vitest';
import { within } from '../test/harness/eventually.ts';
import { runTerminal, type TerminalOptions } from './terminal.ts';
import { emulate } from './terminal/testing/emulator.ts';
import { makeWorld, type World } from './testing/harness.ts';

const ESC = '\x1b';

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'gochat-terminal-'));
  onTestFinished(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

/** The client on an emulator; it is ended with the test. */
function start(world: World, options: Partial<TerminalOptions> = {}, size = { width: 100, height: 20 }) {
  const emulator = emulate(size);
  const input = Object.assign(new PassThrough(), { setRawMode: () => undefined });
  const abort = new AbortController();
  let suspended = 0;
  const run = runTerminal({
    api: 'http://api.test',
    ipconf: 'http://ipconf.test',
    input,
    output: emulator.output,
    environment: { LANG: 'C.UTF-8', XDG_CONFIG_HOME: folder() },
    signal: abort.signal,
    suspend: () => void suspended++,
    ...options,
    sdk: {
      fetch: world.directory.fetch,
      backoff: { baseMs: 1, maxMs: 5 },
      receiptDelayMs: 1,
      ...options.sdk,
    },
  });
  onTestFinished(async () => {
    abort.abort();
    await run;
    emulator.dispose();
  });
  const screen = async () => (await emulator.rows()).join('\n');
  return {
    emulator,
    input,
    exit: () => within('the end of the client', run),
    screen,
    shows: (text: string | RegExp) =>
      expect
        .poll(screen)
        .toEqual(typeof text === 'string' ? expect.stringContaining(text) : expect.stringMatching(text)),
    hides: (text: string) => expect.poll(screen).not.toContain(text),
    press: (...keys: string[]) => {
      for (const key of keys) input.write(key);
    },
    suspended: () => suspended,
  };
}

const ALICE = { user: 'alice', password: 'secret' };

describe('signing in', () => {
  test('asks who one is, hides the password, and keeps a login that nobody else can read', async () => {
    const world = await makeWorld();
    const config = folder();
    const environment = { LANG: 'C.UTF-8', XDG_CONFIG_HOME: config };
    const first = start(world, { environment });
    await first.shows('(o) Log in');
    first.press('alice', '\t', 'secret');
    await first.shows('******');
    expect(first.emulator.written()).not.toContain('secret');
    first.press('\r');
    await first.shows('#lobby');
    first.press('/quit', '\r');
    expect(await first.exit()).toBe(0);
    const file = join(config, 'gochat/account.json');
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(readFileSync(file, 'utf8')).not.toContain('secret');

    const second = start(world, { environment });
    await second.shows('#lobby');
    expect(second.emulator.written()).not.toContain('Log in');
  });

  test('a wrong password: says so, and one tries again', async () => {
    const world = await makeWorld();
    const client = start(world);
    client.press('alice', '\t', 'wrong', '\r');
    await client.shows('[ Log in ]');
    await client.shows(/wrong|Wrong|password/);
    client.press('\x15', 'secret', '\r');
    await client.shows('#lobby');
  });

  test('a folder that cannot be written: says that the login will not be kept', async () => {
    const client = start(await makeWorld(), {
      environment: { LANG: 'C.UTF-8', XDG_CONFIG_HOME: '/proc/nowhere' },
    });
    await client.shows('cannot be written');
    client.press('alice', '\t', 'secret', '\r');
    await client.shows('#lobby');
  });
});

describe('chatting', () => {
  test('shows what is said, sends, edits, answers and takes back', async () => {
    const world = await makeWorld();
    world.gateway.say(world.room, world.bob, 'hello from bob');
    const client = start(world, ALICE);
    await client.shows('hello from bob');
    client.press('good morning', '\r');
    await client.shows(/good morning +(✓|✓✓|✓◉)/);
    client.press(`${ESC}e`);
    await client.shows('editing your message');
    client.press('\x15', 'good evening', '\r');
    await client.shows('good evening (edited)');
    client.press('\t', 'k', 'r');
    await client.shows('reply to bob: hello from bob');
    client.press('hello to you', '\r');
    await client.shows('│ bob: hello from bob');
    client.press('\t', 'd');
    await client.shows('Take this message back');
    client.press('y');
    await client.shows('message retracted by its author');
  });

  test('commands of the line client: what they print stands over the timeline', async () => {
    const world = await makeWorld();
    const client = start(world, ALICE);
    await client.shows('#lobby');
    client.press('/who', '\r');
    await client.shows(/in #lobby: .*bob/);
    client.press('/nothing', '\r');
    await client.shows('There is no command /nothing.');
    client.press('/help', '\r');
    await client.shows('The answer');
    client.press(ESC);
    await client.hides('The answer');
  });

  test('goes to another conversation, by name, and keeps what is written in each', async () => {
    const world = await makeWorld();
    world.gateway.chat.addRoom('garden', world.alice, world.bob);
    const client = start(world, ALICE);
    await client.shows(/▸1 # (lobby|garden)/);
    client.press('\x0b', 'lob', '\r');
    await client.shows(/▸\d # lobby/);
    client.press('half a sentence');
    client.press('\x0b', 'gard', '\r');
    await client.shows(/▸\d # garden/);
    await client.hides('half a sentence');
    client.press(`${ESC}/`);
    await client.shows('half a sentence');
  });

  test('hostile names and texts: nothing of them is obeyed', async () => {
    const world = await makeWorld();
    world.gateway.chat.displayNames.set(world.bob, 'bob\x1b[2J\x1b]0;owned\x07');
    world.gateway.say(world.room, world.bob, 'one\x1b[31m\x1b]52;c;aGk=\x07two \u202eevil');
    const client = start(world, ALICE);
    await client.shows('two <U+202E>evil');
    expect(client.emulator.written()).not.toContain('\x1b]52');
    expect(client.emulator.title).not.toContain('owned');
    expect(client.emulator.title).toContain('GoChat');
  });

  test('a paste of 10,000 lines: one text, folded, not sent', async () => {
    const world = await makeWorld();
    const client = start(world, ALICE);
    await client.shows('#lobby');
    const text = Array.from({ length: 10_000 }, (_, line) => `line ${line}`).join('\n');
    client.press(`${ESC}[200~${text}${ESC}[201~`);
    await client.shows('pasted: 10000 lines');
    await client.shows('… 9998 more lines');
    expect(world.gateway.chat.conversations.get(world.room)?.log).toEqual([]);
    client.press(ESC);
    await client.hides('pasted');
  });

  test('20 by 5 and back: what one reads and writes stays', async () => {
    const world = await makeWorld();
    for (let at = 0; at < 40; at++) world.gateway.say(world.room, world.alice, `message ${at}`);
    const client = start(world, ALICE);
    await client.shows('message 39');
    client.press('typed');
    client.emulator.resize({ width: 20, height: 5 });
    await client.shows('[alice] typed');
    await client.hides('GoChat');
    client.emulator.resize({ width: 10, height: 3 });
    await client.shows('needs 20×4');
    client.press(' on');
    client.emulator.resize({ width: 100, height: 20 });
    await client.shows('message 39');
    await client.shows('[alice] typed on');
  });

  test('scrolling: what one reads stays where it is while others write', async () => {
    const world = await makeWorld();
    for (let at = 0; at < 100; at++) world.gateway.say(world.room, world.alice, `message ${at}.`);
    const client = start(world, ALICE);
    await client.shows('message 99.');
    client.press(`${ESC}[5~`, `${ESC}[5~`);
    await client.hides('message 99.');
    const [chosen = ''] = /message \d+\./.exec((await client.emulator.rows())[5] as string) ?? [];
    const row = async () => (await client.emulator.rows()).findIndex((each) => each.includes(chosen));
    const before = await row();
    expect(before).toBe(5);
    for (let at = 0; at < 5; at++) world.gateway.say(world.room, world.bob, `news ${at}`);
    await client.shows(/▾ \d+ newer/);
    expect(await row()).toBe(before);
    client.press(ESC);
    await client.shows('news 4');
  });

  test('no connection: says so, what is written waits, and is sent', async () => {
    const world = await makeWorld();
    const client = start(world, { ...ALICE, sdk: { backoff: { baseMs: 60_000, maxMs: 60_000 } } });
    await client.shows('online');
    await world.gateway[Symbol.asyncDispose]();
    await client.shows('OFFLINE');
    client.press('written without a connection', '\r');
    await client.shows(/written without a connection +\.\./);
  });
});

describe('the terminal', () => {
  test('suspended and continued: modes are off between, and all is drawn anew', async () => {
    const client = start(await makeWorld(), ALICE);
    await client.shows('#lobby');
    client.press('\x1a');
    await expect.poll(client.suspended).toBe(1);
    expect(client.emulator.written().endsWith(`${ESC}[?1049l${ESC}[23;2t${ESC}[?25h`)).toBe(true);
    process.emit('SIGCONT');
    await client.shows('#lobby');
  });

  test('bare: the messages without frames, until a key comes', async () => {
    const world = await makeWorld();
    world.gateway.say(world.room, world.bob, 'to be copied');
    const client = start(world, ALICE);
    await client.shows('to be copied');
    client.press(`${ESC}l`);
    await client.shows(/\d\d:\d\d bob: to be copied/);
    await client.hides('GoChat  ');
    client.press('x');
    await client.shows('GoChat  ');
  });

  test('without UTF-8: the frame is ASCII', async () => {
    const client = start(await makeWorld(), {
      ...ALICE,
      environment: { LANG: 'C', XDG_CONFIG_HOME: folder() },
    });
    await client.shows('#lobby');
    expect(await client.screen()).toMatch(/^[\x20-\x7e\n]*$/);
  });

  test('NO_COLOR: no colours', async () => {
    const environment = { LANG: 'C.UTF-8', NO_COLOR: '1', XDG_CONFIG_HOME: folder() };
    const client = start(await makeWorld(), { ...ALICE, environment });
    await client.shows('#lobby');
    const coloured = client.emulator
      .written()
      .split(ESC)
      .filter((each) => /^\[[\d;]*3\d(?:;\d+)*m/.test(each));
    expect(coloured).toEqual([]);
  });

  test('it goes: the client ends', async () => {
    const client = start(await makeWorld(), ALICE);
    await client.shows('#lobby');
    client.emulator.output.emit('error', Object.assign(new Error('write EPIPE'), { code: 'EPIPE' }));
    expect(await client.exit()).toBe(0);
  });

  test('Ctrl-C: clears the input first, and twice on an empty one quits', async () => {
    const client = start(await makeWorld(), ALICE);
    await client.shows('#lobby');
    client.press('something');
    await client.shows('something');
    client.press('\x03');
    await client.hides('something');
    client.press('\x03');
    await client.shows('Ctrl-C again quits.');
    client.press('\x03');
    expect(await client.exit()).toBe(0);
  });
});
