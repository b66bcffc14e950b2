/** Completion in a real bash. zsh and fish: test/deploy/completion.verify.ts. */
import { execFileSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { runGochat } from '../harness/gochat.ts';

const { stdout: SCRIPT } = await runGochat(['completion', 'bash']);

/** What bash offers for a line that ends at the cursor. */
function offered(...words: string[]): string[] {
  const program = `${SCRIPT}
compopt() { :; } # It is for readline, which is not there.
COMP_WORDS=(gochat "$@"); COMP_CWORD=$#; _gochat; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const output = execFileSync('bash', ['-uc', program, 'bash', ...words], { cwd: import.meta.dirname });
  return output.toString().trim().split('\n');
}

test.each([
  ['commands', ['st'], ['state']],
  ['a subcommand', ['ctl', 'ki'], ['kick']],
  ['a subcommand after a flag and its value', ['ctl', '--admin', 'http://x', 'dr'], ['drain']],
  ['a flag of a subcommand', ['ctl', 'kick', '--dev'], ['--device']],
  ['a flag of a mode', ['gateway', '--ws'], ['--ws-port']],
  ['the value of an argument', ['config', 'check', 'ip'], ['ipconf']],
  ['shells', ['completion', 'f'], ['fish']],
  ['files for the value of a flag', ['state', '--config', 'completion.t'], ['completion.test.ts']],
  ['no flag of another mode', ['client', '--workers'], ['']],
])('bash completes %s', (_, words, expected) => {
  expect(offered(...words)).toEqual(expected);
});

test('bash offers every command and nothing hidden', () => {
  expect(offered('')).toEqual(
    expect.arrayContaining(['up', 'gateway', 'state', 'ipconf', 'api', 'client', 'ctl', 'config']),
  );
  expect(offered('')).not.toContain('help');
});

test('an unknown shell: exit 2 and the shells there are', async () => {
  const { code, stderr } = await runGochat(['completion', 'csh']);
  expect(code).toBe(2);
  expect(stderr).toContain('bash, zsh, fish');
});
