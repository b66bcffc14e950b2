/** The Makefile: the targets that people know are there and described. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ROOT } from '../harness/gochat.ts';

const HELP = execFileSync('make', ['--silent', 'help'], { cwd: ROOT }).toString();

const TARGETS =
  'all help build run test test-coverage fmt vet lint clean proto api build-binary build-image docker-build docker-run ' +
  'migrate verify verify-deploy verify-workflows compose-dev compose-prod compose-logs compose-ps';

test.each(TARGETS.split(' '))('make %s', (target) => {
  expect(HELP).toMatch(new RegExp(`^  ${target} +\\S`, 'm'));
  // A dry run: it knows how to make it.
  execFileSync('make', ['--dry-run', target], { cwd: ROOT, stdio: ['ignore', 'ignore', 'pipe'] });
});

test('make help: describes every target', () => {
  const phony = /^\.PHONY: (.*)$/m.exec(readFileSync(join(ROOT, 'Makefile'), 'utf8'))?.[1]?.split(' ') ?? [];
  expect(phony).toContain('help');
  expect(phony.filter((target) => !new RegExp(`^  ${target} `, 'm').test(HELP))).toEqual([]);
});
