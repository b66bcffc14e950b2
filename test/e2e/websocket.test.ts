import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { Client, signup, startUp } from '../harness/gochat.ts';

/** The chat that docs/protocol.md shows: the indented lines behind the sentence that announces it. */
function example(): string {
  const page = readFileSync(new URL('../../docs/protocol.md', import.meta.url), 'utf8');
  const found = /A chat in a browser's console[^]*?\n\n((?: {4}.*\n)+)/.exec(page)?.[1];
  if (found === undefined) throw new Error('docs/protocol.md shows no chat in JSON');
  return found;
}

test('docs/protocol.md: its chat in JSON talks with a user on TCP', { timeout: 60_000 }, async () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'gochat-e2e-'));
  onTestFinished(() => rmSync(dataDir, { recursive: true, force: true }));
  await using up = await startUp(dataDir);
  await signup(up, 'ann');
  const ws = /ws:\/\/\S+/.exec(up.process.stdout)?.[0];
  const script = example()
    .replace('http://127.0.0.1:8080', up.api)
    .replace('ws://127.0.0.1:8901', ws as string);
  const chat = spawn(process.execPath, ['--input-type=module', '-e', script]);
  onTestFinished(() => void chat.kill('SIGKILL'));
  let printed = '';
  for (const stream of [chat.stdout, chat.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => (printed += text));
  await expect.poll(() => printed).toContain('SENT');

  await using ann = new Client(up, 'ann');
  await ann.event('synced');
  ann.say('/join lobby', 'hello from TCP');
  expect(await ann.event('message', ({ from }) => from === 'demo')).toMatchObject({ text: 'hello' });
  await expect.poll(() => printed).toContain('MESSAGE ann hello from TCP');
});
