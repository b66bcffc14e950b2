/** The GitHub workflows: their secrets are those that people know, and what they call exists. */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { ROOT } from '../harness/gochat.ts';

interface Job {
  readonly uses?: string;
  readonly secrets?: Readonly<Record<string, string>>;
  readonly steps?: readonly { readonly run?: string; readonly uses?: string }[];
}

const FOLDER = join(ROOT, '.github/workflows');
const files = readdirSync(FOLDER).map((name) => readFileSync(join(FOLDER, name), 'utf8'));
const jobs = files.flatMap((text) => Object.values((parse(text) as { jobs: Record<string, Job> }).jobs));
const steps = jobs.flatMap((job) => job.steps ?? []);

test('secrets: Docker Hub, and host, user and key of each server', () => {
  const used = [...files.join('').matchAll(/secrets\.(\w+)/g)].map(([, name]) => name);
  // Those of a called workflow have no prefix.
  const outer = used.filter((name) => name?.startsWith('SERVER_') === false);
  const servers = ['DEV', 'STAGING', 'PROD'].flatMap((name) =>
    ['HOST', 'USER', 'KEY', 'KNOWN_HOSTS'].map((part) => `${name}_SERVER_${part}`),
  );
  expect(new Set(outer)).toEqual(new Set(['DOCKERHUB_TOKEN', 'DOCKERHUB_USERNAME', ...servers]));
});

test('steps: the targets and scripts that they call exist', () => {
  const help = readFileSync(join(ROOT, 'Makefile'), 'utf8');
  const commands = steps.flatMap(({ run = '' }) => run.split('\n'));
  const targets = commands.flatMap((line) => /^make (.+)$/.exec(line.trim())?.[1]?.split(' ') ?? []);
  expect(targets).toContain('test-coverage');
  for (const target of targets) expect(help).toMatch(new RegExp(`^${target}:`, 'm'));
  const scripts = commands.flatMap((line) => /^\.\/(scripts\/\S+)/.exec(line.trim())?.[1] ?? []);
  expect(scripts).toEqual(['scripts/deploy.sh']);
  for (const script of scripts) expect(statSync(join(ROOT, script)).mode & 0o100).not.toBe(0);
});

test('actions: pinned by commit', () => {
  for (const { uses } of [...jobs, ...steps])
    if (uses !== undefined && !uses.startsWith('./')) expect(uses).toMatch(/@[0-9a-f]{40}$/);
});
