/** scripts/build-image.sh: by docker or by buildah, whichever answers. The image itself: test/deploy/image.verify.ts. */
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { ROOT } from '../harness/gochat.ts';

const folder = mkdtempSync(join(tmpdir(), 'gochat-build-image-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** Runs the script where there are only these programs, which print what they are told. */
function build(name: string, programs: Readonly<Record<string, string>>) {
  const bin = join(folder, name);
  mkdirSync(bin);
  symlinkSync('/usr/bin/dirname', join(bin, 'dirname'));
  for (const [program, text] of Object.entries(programs)) {
    writeFileSync(join(bin, program), `#!/bin/sh\n${text}\n`);
    chmodSync(join(bin, program), 0o755);
  }
  const { status, stdout, stderr } = spawnSync(join(ROOT, 'scripts/build-image.sh'), ['shop/gochat:v1'], {
    env: { PATH: bin },
    encoding: 'utf8',
  });
  return { status, stdout, stderr };
}

const ECHO = 'echo "${0##*/} $*"';

test('a Docker daemon answers: docker', () => {
  const docker = `[ "$1" = info ] || ${ECHO}`;
  expect(build('docker', { docker, buildah: ECHO })).toMatchObject({
    stdout: 'docker build --tag shop/gochat:v1 .\n',
    status: 0,
  });
});

test('docker without its daemon: buildah', () => {
  expect(build('buildah', { docker: 'exit 1', buildah: ECHO })).toMatchObject({
    stdout: 'buildah build --format docker --layers --tag shop/gochat:v1 .\n',
    status: 0,
  });
});

test('neither: exit 1 and the remedy', () => {
  const { status, stderr } = build('neither', {});
  expect(stderr).toContain('start Docker, or install buildah');
  expect(status).toBe(1);
});
