/** The folder of `make build-binary`: started in a file system that holds only it, the C and C++ libraries and a shell. */
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Gochat, ROOT } from '../harness/gochat.ts';
import { install } from './install.ts';

const root = mkdtempSync(join(tmpdir(), 'gochat-binary-'));
const folder = join(root, 'gochat');
afterAll(() => rmSync(root, { recursive: true }));

beforeAll(() => {
  install('iproute2');
  execFileSync(join(ROOT, 'scripts/build-binary.sh'), [folder], { stdio: ['ignore', 2, 2] });
  for (const program of ['/bin/sh', join(folder, 'bin/node')]) {
    const libraries = execFileSync('ldd', [program])
      .toString()
      .matchAll(/(\/\S+) \(0x/g);
    for (const [, path = ''] of libraries) copy(path);
  }
  copy('/bin/sh');
  mkdirSync(join(root, 'proc'));
});

function copy(path: string): void {
  mkdirSync(join(root, dirname(path)), { recursive: true });
  copyFileSync(path, join(root, path));
}

test('starts the whole system in an empty file system, and stops by TERM', async () => {
  // Its network is its own, so that the usual ports are free. Node.js reads its memory's size from /proc.
  const enter = 'ip link set lo up; mount -t proc proc "$0/proc"; exec chroot "$0" "$@"';
  const program = ['unshare', '--net', '--mount', 'sh', '-ec', enter, root];
  await using up = new Gochat(
    ['/gochat/bin/gochat', 'up', '--no-demo', '--data-dir', '/data'],
    {},
    { program },
  );
  await up.until(({ stdout }) => stdout.includes('Ctrl-C') || undefined, 'GoChat is up');
  up.signal('SIGTERM');
  expect((await up.exit()).code).toBe(0);
});

test('has its own Node.js and the parts in C, and runs by a link', async () => {
  expect(readdirSync(join(folder, 'dist/common/internals'))).toContain('write-many.node');
  const node = execFileSync(join(folder, 'scripts/node.sh')).toString().trim();
  expect(node).toBe(join(folder, 'bin/node'));
  const link = join(root, 'link');
  symlinkSync('gochat/bin/gochat', link);
  await using version = new Gochat(['version'], {}, { program: [link] });
  expect((await version.exit()).stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
});
