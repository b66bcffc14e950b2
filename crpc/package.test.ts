/** crpc as others get it: packed, installed apart from the repository, compiled against and run. */
import { execFile } from 'node:child_process';
import { copyFile, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

const run = promisify(execFile);
const CRPC = fileURLToPath(new URL('.', import.meta.url));
const MODULES = join(CRPC, '../node_modules');
const NAME = '@gochat/crpc';
const TIMEOUT_MS = 120_000;

const TSCONFIG = {
  compilerOptions: {
    target: 'es2024',
    lib: ['es2024', 'esnext.disposable'],
    module: 'nodenext',
    types: ['node'],
    strict: true,
    allowImportingTsExtensions: true,
    noEmit: true,
    skipLibCheck: false,
  },
};

/** Makes a server, a client and calls, and says which functions and accessors of Node are other ones then. */
const PATCHES = `
import events from 'node:events';
import http2 from 'node:http2';
import net from 'node:net';
import stream, { PassThrough } from 'node:stream';
import tls from 'node:tls';

const session = http2.connect('http://localhost', { createConnection: () => new PassThrough() }).on('error', () => {});
session.destroy();
const ClientHttp2Session = session.constructor;
const Http2Session = Object.getPrototypeOf(ClientHttp2Session);
const places = { events, http2, net, stream, tls, globalThis };
const classes = [events, net.Socket, net.Server, tls.TLSSocket, tls.Server, stream, ...Object.values(stream), Http2Session, ClientHttp2Session];
for (const one of classes) if (typeof one === 'function' && one.prototype) places[one.name + '.prototype'] = one.prototype;

const state = () => new Map(Object.entries(places).flatMap(([place, object]) =>
  Object.entries(Object.getOwnPropertyDescriptors(object)).map(([key, { value, get }]) => [place + '.' + key, value ?? get])));
const before = state();
await import('./hello.ts');
const after = state();
const patched = [...before.keys()].filter((name) => !Object.is(before.get(name), after.get(name)));
console.log(JSON.stringify({ patched, looked: before.has('Http2Session.prototype.ping') }));
`;

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gochat-crpc-'));
  const { stdout } = await run('npm', ['pack', '--json', '--silent', '--pack-destination', folder], {
    cwd: CRPC,
  });
  const [{ filename }] = JSON.parse(stdout.slice(stdout.indexOf('['))) as [{ filename: string }];
  const installed = join(folder, 'node_modules', NAME);
  await mkdir(installed, { recursive: true });
  await run('tar', ['-xzf', join(folder, filename), '-C', installed, '--strip-components', '1']);
  // Nothing but what it says that it needs.
  for (const dependency of Object.keys((await readJson(join(installed, 'package.json'))).dependencies)) {
    const link = join(folder, 'node_modules', dependency);
    await mkdir(dirname(link), { recursive: true });
    await symlink(join(MODULES, dependency), link);
  }
  await writeFile(join(folder, 'package.json'), JSON.stringify({ type: 'module' }));
  await writeFile(join(folder, 'tsconfig.json'), JSON.stringify(TSCONFIG));
  await copyFile(join(CRPC, 'testing/gen/echo.ts'), join(folder, 'echo.ts'));
  for (const file of ['hello.ts', 'batch.ts']) {
    const text = await readFile(join(CRPC, 'example', file), 'utf8');
    const own = text
      .replaceAll("'../mod.ts'", `'${NAME}'`)
      .replaceAll("'../testing/gen/echo.ts'", "'./echo.ts'");
    await writeFile(join(folder, file), own);
  }
  await writeFile(join(folder, 'patches.js'), PATCHES);
}, TIMEOUT_MS);

afterAll(() => rm(folder, { recursive: true, force: true }));

describe('the packed package, installed outside the repository', { timeout: TIMEOUT_MS }, () => {
  test('a service in TypeScript: compiles against its types', async () => {
    const result = await run(join(MODULES, '.bin/tsc'), ['-p', folder]).catch((error: unknown) => error);
    expect(result).toMatchObject({ stdout: '' });
  });

  test.each([
    ['a service', 'hello.ts', 'hello, world\nanswer 1\nanswer 2\n'],
    ['a batch stream', 'batch.ts', 'one, two, three\n'],
    [
      'the example that comes with it',
      `node_modules/${NAME}/dist/example/hello.js`,
      'hello, world\nanswer 1\nanswer 2\n',
    ],
  ])('%s: runs', async (_, file, expected) => {
    const { stdout } = await run(process.execPath, [file], { cwd: folder });
    expect(stdout).toBe(expected);
  });

  test('in use: no function of Node.js is replaced', async () => {
    const { stdout } = await run(process.execPath, ['patches.js'], { cwd: folder });
    expect(stdout).toContain(JSON.stringify({ patched: [], looked: true }));
  });

  test('its dependencies: are the versions that the repository uses', async () => {
    const [own, root] = await Promise.all(
      ['package.json', '../package.json'].map((file) => readJson(join(CRPC, file))),
    );
    const all = { ...root?.devDependencies, ...root?.dependencies };
    for (const [name, range] of Object.entries(own?.dependencies ?? {}))
      expect(`${name} ${range.slice(1)}`).toBe(`${name} ${all[name]}`);
  });
});

interface Manifest {
  readonly dependencies: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
}

async function readJson(file: string): Promise<Manifest> {
  return JSON.parse(await readFile(file, 'utf8')) as Manifest;
}
