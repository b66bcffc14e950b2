/** Another commit of this repository, built in a git work tree of its own. */
import { lstatSync, readFileSync, symlinkSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT, run } from './child.ts';

const MODULES = 'node_modules';
const LOCK = 'package-lock.json';

/** A commit, checked out and built; disposing removes it. */
export interface CommitTree extends AsyncDisposable {
  readonly root: string;
}

/** A commit's id and subject. */
export interface Commit {
  readonly id: string;
  readonly subject: string;
}

/** Returns the commit that git knows by this name; undefined when there is none. */
export async function findCommit(name: string): Promise<Commit | undefined> {
  const asked = ['rev-parse', '--verify', '--quiet', '--end-of-options', `${name}^{commit}`];
  const id = await run('git', asked).catch(() => undefined);
  if (id === undefined) return undefined;
  const subject = await run('git', ['show', '--no-patch', '--format=%s', id.trim()]);
  return { id: id.trim(), subject: subject.trim() };
}

/** Returns what this tree's figures belong to: its commit, and whether files differ from it. */
export async function describeHead(): Promise<string> {
  return (await run('git', ['describe', '--always', '--dirty', '--abbrev=12'])).trim();
}

/** Checks the commit out into the folder, which must not exist yet, and builds it with its own packages. */
export async function buildCommit({ id }: Commit, root: string): Promise<CommitTree> {
  await run('git', ['worktree', 'add', '--detach', root, id]);
  const modules = join(root, MODULES);
  const remove = async () => {
    // Before git clears the folder: the link leads to this tree's packages.
    if (lstatSync(modules, { throwIfNoEntry: false })?.isSymbolicLink()) unlinkSync(modules);
    await run('git', ['worktree', 'remove', '--force', root]);
  };
  try {
    const samePackages = readFileSync(join(root, LOCK)).equals(readFileSync(join(ROOT, LOCK)));
    if (samePackages) symlinkSync(join(ROOT, MODULES), modules);
    // The packages of this tree are installed, whatever the file times of the other tree say.
    await run('make', [
      '--directory',
      root,
      ...(samePackages ? ['--old-file', `${MODULES}/.installed`] : []),
      'build',
    ]);
  } catch (error) {
    await remove();
    throw error;
  }
  return { root, [Symbol.asyncDispose]: remove };
}
