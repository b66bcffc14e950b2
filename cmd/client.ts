/** `gochat client`: chat in a terminal, or from scripts with --plain and --json. */
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline/promises';
import { Writable } from 'node:stream';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { runPlain, runTerminal, webSocketTransport } from '../client/mod.ts';
import { GochatError } from '../common/mod.ts';
import { load } from './config.ts';

export async function run(
  flags: Readonly<Record<string, unknown>>,
  file: string | undefined,
): Promise<number> {
  const config = load('client', flags, file);
  if (config.tlsCa !== undefined) trust(config.tlsCa);
  const sdk = config.transport === 'ws' ? { transport: webSocketTransport() } : {};
  if (isScreen(config)) {
    const abort = new AbortController();
    const onSignal = () => abort.abort();
    process.once('SIGINT', onSignal).once('SIGTERM', onSignal).once('SIGHUP', onSignal);
    const { api, ipconf, user, password, device } = config;
    return runTerminal({
      api,
      ipconf,
      user,
      password,
      device,
      input: process.stdin,
      output: process.stdout,
      signal: abort.signal,
      sdk,
    });
  }
  const user = config.user ?? (await ask('User name: ', '--user NAME', false));
  const password = config.password ?? (await ask('Password: ', '--password or GOCHAT_PASSWORD', true));
  const abort = new AbortController();
  const onSignal = () => abort.abort();
  process.once('SIGINT', onSignal).once('SIGTERM', onSignal);
  return runPlain({
    api: config.api,
    ipconf: config.ipconf,
    user,
    password,
    device: config.device ?? '',
    json: config.json,
    input: process.stdin,
    output: process.stdout,
    errorOutput: process.stderr,
    color: process.stdout.isTTY && process.env['NO_COLOR'] === undefined,
    signal: abort.signal,
    timeoutMs: config.timeoutMs,
    sdk,
  });
}

/** Whether there is a terminal that a screen can be drawn on. */
function isScreen({ plain, json }: { readonly plain: boolean; readonly json: boolean }): boolean {
  const { TERM = 'dumb' } = process.env;
  return !plain && !json && process.stdin.isTTY && process.stdout.isTTY && TERM !== 'dumb';
}

/** Trusts an authority for every connection of this process. @throws GochatError CONFIG_INVALID */
function trust(path: string): void {
  try {
    setDefaultCACertificates([...getCACertificates('default'), readFileSync(path, 'utf8')]);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new GochatError('CONFIG_INVALID', { details: { what: `tls_ca ${path}: ${reason}.` }, cause });
  }
}

/** Prompts on the terminal; without one the flag is required. @throws GochatError USAGE */
async function ask(question: string, flag: string, hidden: boolean): Promise<string> {
  if (!process.stdin.isTTY) {
    throw new GochatError('USAGE', {
      details: { what: `${flag} is needed where there is no terminal to ask on.` },
    });
  }
  process.stderr.write(question);
  const echo = new Writable({
    write: (chunk, _, done) => (hidden ? done() : process.stderr.write(chunk, () => done())),
  });
  const terminal = createInterface({ input: process.stdin, output: echo, terminal: true });
  const answer = await terminal.question('');
  terminal.close();
  if (hidden) process.stderr.write('\n');
  return answer;
}
