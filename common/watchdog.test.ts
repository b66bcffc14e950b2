import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { expect, test } from 'vitest';
import { within } from '../test/harness/eventually.ts';

const MODULE = new URL('watchdog.ts', import.meta.url).href;

function start(script: string) {
  const code = `import { startWatchdog } from ${JSON.stringify(MODULE)};\n${script}`;
  const child = spawn(process.execPath, ['--input-type=module-typescript', '--eval', code]);
  return { exit: once(child, 'exit'), stderr: text(child.stderr) };
}

test('a blocked event loop: the process is killed, and says why', async () => {
  const { exit, stderr } = start(`startWatchdog('state', 1); setTimeout(() => { for (;;); }, 10);`);
  expect(await within('the end of a process that hangs', exit)).toEqual([null, 'SIGKILL']);
  expect(JSON.parse(await stderr)).toMatchObject({
    level: 'fatal',
    name: 'state',
    msg: expect.stringContaining('1 s'),
  });
});

test('an event loop that turns: the process lives, and ends when it has nothing to do', async () => {
  const { exit } = start(`startWatchdog('state', 1); setTimeout(() => undefined, 3000);`);
  expect(await within('the end of a process', exit)).toEqual([0, null]);
});
