/** Completion in a real zsh and a real fish, which are installed. bash: test/e2e/completion.test.ts. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { runGochat } from '../harness/gochat.ts';
import { install } from './install.ts';

const folder = mkdtempSync(join(tmpdir(), 'gochat-completion-'));
afterAll(() => rmSync(folder, { recursive: true }));

beforeAll(async () => {
  install('zsh', 'fish');
  for (const shell of ['zsh', 'fish'])
    writeFileSync(join(folder, shell), (await runGochat(['completion', shell])).stdout);
});

const LINES = [
  ['a command', 'gochat ipc', 'ipconf'],
  ['a subcommand', 'gochat ctl ki', 'kick'],
  ['a subcommand after a flag', 'gochat ctl --admin=http://x dr', 'drain'],
  ['a flag of a subcommand', 'gochat ctl kick --dev', '--device'],
  ['a flag of a mode', 'gochat gateway --ws-', '--ws-port'],
  ['the value of an argument', 'gochat config check ip', 'ipconf'],
  ['a file for the value of a flag', 'gochat state --config ./zs', './zsh'],
] as const;

test.each(LINES)('fish completes %s', (_, line, expected) => {
  const program = 'source ./fish; complete --do-complete $argv[1]';
  const output = execFileSync('fish', ['--no-config', '-c', program, line], { cwd: folder }).toString();
  expect(output.split('\n').map((one) => one.split('\t')[0])).toContain(expected);
});

// A terminal of its own, in which the key is pressed. What the shell then shows must contain the completed line.
const PRESS_TAB = `
zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell 'PS1=""; autoload -U compinit; compinit -u -D; source ./zsh; print set-up-"done"'
zpty -r shell shown '*set-up-done*'
zpty -w -n shell "$1"$'\\t'
zpty -r shell shown "*\${1% *} $2*"
zpty -d shell`;

test.each(LINES)('zsh completes %s', (_, line, expected) => {
  execFileSync('zsh', ['-fc', PRESS_TAB, 'zsh', line, expected], { cwd: folder, timeout: 60_000 });
});
