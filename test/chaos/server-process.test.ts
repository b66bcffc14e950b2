import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ServerProcess } from './server-process.ts';

let dir: string;
let crashes: string[];

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'gochat-server-process-'));
  crashes = [];
});

afterEach(() => rm(dir, { recursive: true }));

/** A program in the place of bin/gochat that says these lines and stays. */
async function says(...lines: readonly string[]): Promise<ServerProcess> {
  const bin = join(dir, 'program');
  const script = lines.map((line) => `echo '${line}' >&2`).join('\n');
  await writeFile(bin, `#!/bin/sh\n${script}\nexec sleep 60\n`, { mode: 0o755 });
  const process = new ServerProcess({
    name: 'program',
    bin,
    args: [],
    env: {},
    cwd: dir,
    logPath: join(dir, 'log'),
    onCrash: (what) => crashes.push(what),
  });
  process.start();
  return process;
}

const UP = '{"level":"info","msg":"state is up"}';

describe('ServerProcess', () => {
  test('a truncated line: is ignored, and later lines are read', async () => {
    await using process = await says('{"level":"fatal","ms', UP);
    await process.up();
    expect(crashes).toEqual([]);
  });

  test('a fatal log line, and an uncaught error: are reported as crashes', async () => {
    const fatal = '{"level":"fatal","msg":"no more"}';
    await using process = await says(fatal, 'TypeError: of nothing', UP);
    await process.up();
    expect(crashes).toEqual([`fatal: ${fatal}`, 'TypeError: of nothing']);
  });
});
