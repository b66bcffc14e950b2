/** The full screen of the real bin/gochat, in tmux. */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { install } from '../deploy/install.ts';
import { type Cluster, startCluster } from '../harness/cluster.ts';
import { Client, ROOT, signup } from '../harness/gochat.ts';

const run = promisify(execFile);

let cluster: Cluster;

beforeAll(async () => {
  install('tmux');
  cluster = await startCluster({ gateways: 2, states: 1 });
  await signup(cluster, 'ann');
  await signup(cluster, 'bob');
});
afterAll(() => cluster[Symbol.asyncDispose]());

interface Tmux {
  /** Types into the terminal; names of keys as tmux has them. */
  press(...keys: string[]): Promise<void>;
  type(text: string): Promise<void>;
  tmux(...args: string[]): Promise<string>;
  screen(): Promise<string>;
  shows(text: string | RegExp): Promise<void>;
}

/** A shell in a terminal of 100 by 24; it ends with the test. */
async function open(environment: Readonly<Record<string, string>> = {}): Promise<Tmux> {
  const folder = mkdtempSync(join(tmpdir(), 'gochat-tmux-'));
  const tmux = async (...args: string[]) => {
    const { stdout } = await run('tmux', ['-S', join(folder, 'socket'), ...args]);
    return stdout;
  };
  onTestFinished(async () => {
    await tmux('kill-server').catch(() => '');
    // The client may still be writing what it keeps.
    rmSync(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  });
  const set = {
    LANG: 'C.UTF-8',
    PS1: 'shell> ',
    HOME: folder,
    XDG_CONFIG_HOME: join(folder, 'config'),
    ...environment,
  };
  const variables = Object.entries(set).flatMap(([name, value]) => ['-e', `${name}=${value}`]);
  const shell = ['bash', '--norc', '--noprofile'];
  await tmux('-f', '/dev/null', 'new-session', '-d', '-x', '100', '-y', '24', ...variables, ...shell);
  const screen = () => tmux('capture-pane', '-p');
  return {
    tmux,
    screen,
    press: async (...keys) => void (await tmux('send-keys', ...keys)),
    type: async (text) => void (await tmux('send-keys', '-l', text)),
    shows: (text) =>
      expect
        .poll(screen)
        .toEqual(typeof text === 'string' ? expect.stringContaining(text) : expect.stringMatching(text)),
  };
}

const start = (flags = '') =>
  `${join(ROOT, 'bin/gochat')} client --api ${cluster.api} --ipconf ${cluster.ipconf} ${flags}`;

/** Waits until the client has ended, with 0. */
async function ended(terminal: Tmux): Promise<void> {
  await terminal.shows(/shell>\s*$/);
  await terminal.type('echo "exit $?"');
  await terminal.press('Enter');
  await terminal.shows('exit 0');
}

async function logIn(terminal: Tmux, name: string): Promise<void> {
  await terminal.type(start());
  await terminal.press('Enter');
  await terminal.shows('Log in');
  await terminal.type(name);
  await terminal.press('Tab');
  await terminal.type(`${name}-secret`);
  await terminal.press('Enter');
  await terminal.shows('online');
}

test('one signs in, chats, resizes, suspends, and goes on when a gateway is killed', async () => {
  const terminal = await open();
  await logIn(terminal, 'ann');
  await terminal.type('/create yard');
  await terminal.press('Enter');
  await terminal.shows('#yard');
  await using bob = new Client(cluster, 'bob');
  bob.say('/join yard');
  await bob.event('joined');
  bob.say('שלום 写作者 👨‍👩‍👧 \u001b[2J');
  await terminal.shows('<1B>[2J');
  await terminal.type('good morning');
  await terminal.press('Enter');
  await terminal.shows(/good morning +✓/);

  await terminal.tmux('resize-window', '-x', '20', '-y', '5');
  await terminal.shows(/^.{0,20}\n/);
  await terminal.shows('[ann]');
  await terminal.tmux('resize-window', '-x', '100', '-y', '24');
  await terminal.shows(/GoChat +ann/);
  await terminal.shows('good morning');

  await terminal.press('C-z');
  await terminal.shows('Stopped');
  await terminal.type('fg');
  await terminal.press('Enter');
  await terminal.shows('good morning');

  const gateway = /online (\S+)/.exec(await terminal.screen())?.[1];
  const victim = cluster.gateways.find(({ process }) => gateway?.endsWith(`-${process.child.pid}`));
  expect(victim).toBeDefined();
  victim?.process.signal('SIGKILL');
  bob.say('after the gateway');
  await terminal.shows('after the gateway');

  await terminal.press('C-c');
  await terminal.press('C-c');
  await ended(terminal);
});

test('what is not a terminal for a screen gets lines', async () => {
  const terminal = await open();
  await terminal.type(`TERM=dumb GOCHAT_PASSWORD=bob-secret ${start('--user bob')}`);
  await terminal.press('Enter');
  await terminal.shows('* connected as bob');
  await terminal.press('C-d');
  await ended(terminal);
});

test('no home: the login is not kept, and says so', async () => {
  const terminal = await open({ HOME: '/nonexistent', XDG_CONFIG_HOME: '' });
  await terminal.type(start());
  await terminal.press('Enter');
  await terminal.shows('cannot be written');
  await terminal.press('Escape');
  await ended(terminal);
});

test('the terminal goes: the client goes, too', async () => {
  const terminal = await open();
  await logIn(terminal, 'bob');
  const pane = Number(await terminal.tmux('display-message', '-p', '#{pane_pid}'));
  const children = async () =>
    (await run('ps', ['--ppid', String(pane), '-o', 'pid=']).catch(() => ({ stdout: '' }))).stdout.trim();
  const client = Number(await children());
  expect(client).toBeGreaterThan(0);
  await terminal.tmux('kill-session');
  await expect
    .poll(() =>
      run('ps', ['-p', String(client)]).then(
        () => 'runs',
        () => 'gone',
      ),
    )
    .toBe('gone');
});
