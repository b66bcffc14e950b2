import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ROOT } from './child.ts';
import { buildCommit, type Commit, findCommit } from './commit-tree.ts';

const BUILD_DEADLINE_MS = 600_000;

// A copy of the files alone has no commits.
describe.skipIf(!existsSync(join(ROOT, '.git')))('commits', () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'gochat-commit-'));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  test('an unknown name: refused as a commit', async () => {
    expect(await findCommit('no-such-commit')).toBeUndefined();
    expect(await findCommit('--all')).toBeUndefined();
  });

  test('a commit: is built in a work tree of its own, which is removed; the packages of this tree stay', {
    timeout: BUILD_DEADLINE_MS,
  }, async () => {
    const commit = (await findCommit('HEAD')) as Commit;
    expect(commit.id).toMatch(/^[0-9a-f]{40}$/);
    const root = join(folder, 'tree');
    const tree = await buildCommit(commit, root);
    expect(execFileSync(join(root, 'bin/gochat'), ['version'], { encoding: 'utf8' })).toMatch(/^\d/);
    await tree[Symbol.asyncDispose]();
    expect(existsSync(root)).toBe(false);
    expect(execFileSync('git', ['worktree', 'list'], { cwd: ROOT, encoding: 'utf8' })).not.toContain(root);
    expect(existsSync(join(ROOT, 'node_modules/.bin/tsc'))).toBe(true);
  });
});
