/** The systemd unit, as systemd-analyze judges it. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { ROOT } from '../harness/gochat.ts';
import { install } from './install.ts';

/** systemd's scale is 0 to 100; from 20 on it says "medium" and worse. */
const MAX_EXPOSURE = 20;

const folder = mkdtempSync(join(tmpdir(), 'gochat-unit-'));
afterAll(() => rmSync(folder, { recursive: true }));

// systemd-analyze looks whether the program is there.
const text = readFileSync(join(ROOT, 'deployments/systemd/gochat@.service'), 'utf8');
writeFileSync(join(folder, 'gochat@.service'), text.replaceAll('/opt/gochat', ROOT));
install('systemd');

test.each(['gateway', 'state', 'ipconf', 'api', 'up'])('gochat@%s: no error and no warning', (mode) => {
  const { status, stderr } = spawnSync(
    'systemd-analyze',
    ['verify', join(folder, `gochat@${mode}.service`)],
    {
      encoding: 'utf8',
    },
  );
  expect(stderr).toBe('');
  expect(status).toBe(0);
});

test('a setting that does not exist: reported', () => {
  writeFileSync(
    join(folder, 'wrong@.service'),
    text.replace('PrivateTmp', 'PrivatTmp').replaceAll('/opt/gochat', ROOT),
  );
  const { stderr } = spawnSync('systemd-analyze', ['verify', join(folder, 'wrong@up.service')], {
    encoding: 'utf8',
  });
  expect(stderr).toContain('PrivatTmp');
});

test(`exposure: at most ${MAX_EXPOSURE} of 100`, () => {
  const file = join(folder, 'gochat@.service');
  execFileSync('systemd-analyze', [
    'security',
    '--offline=true',
    `--threshold=${MAX_EXPOSURE}`,
    '--no-pager',
    file,
  ]);
});
