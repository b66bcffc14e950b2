/** examples/minimal-client.py was written from docs/protocol.md alone. */
import { type ChildProcess, execFile, spawn, spawnSync } from 'node:child_process';
import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import { newUser, startSystem, type System } from './system.ts';
import { type Frame, WireClient } from './wire-client.ts';

const CLIENT = new URL('../../examples/minimal-client.py', import.meta.url).pathname;
const INSTALL = new URL('../../scripts/install-for-tests.sh', import.meta.url).pathname;
const hasPython = () => spawnSync('python3', ['--version']).status === 0;
let system: System;

beforeAll(async () => {
  if (!hasPython()) await promisify(execFile)('bash', [INSTALL, 'python3']);
  system = await startSystem([]);
});

afterAll(() => system[Symbol.asyncDispose]());

async function portOf(server: Server): Promise<number> {
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  return (server.address() as AddressInfo).port;
}

/** Stands between a client and the gateway; `isOpen` false: it cuts what there is and takes nothing. */
class Path {
  isOpen = true;
  taken = 0;
  readonly #sockets = new Set<Socket>();

  /** Returns the address of an ipconf that knows this way to the gateway alone. */
  async listen(): Promise<string> {
    const [host, port] = system.ws.split(':') as [string, string];
    const proxy = createServer((client) => {
      if (this.isOpen) this.#join(client, connect({ host, port: Number(port) }));
      else client.destroy();
    });
    const wsPort = await portOf(proxy);
    const backoff = { base_ms: 200, max_ms: 10_000 };
    const body = JSON.stringify({
      code: 'OK',
      data: [{ ip: '127.0.0.1', port: 0, ws_port: wsPort }],
      backoff,
    });
    return `http://127.0.0.1:${await portOf(createHttpServer((_, response) => void response.end(body)))}`;
  }

  #join(client: Socket, gateway: Socket): void {
    this.taken++;
    for (const [from, to] of [
      [client, gateway],
      [gateway, client],
    ] as const) {
      from.pipe(to);
      from.on('error', () => to.destroy()).on('close', () => to.destroy());
      this.#sockets.add(from);
    }
  }

  cut(): void {
    this.isOpen = false;
    for (const socket of this.#sockets) socket.destroy();
  }
}

/** The lines that a process prints. */
function linesOf({ stdout, stderr }: ChildProcess): { readonly out: string[]; errors: string } {
  const lines = { out: [] as string[], errors: '' };
  let rest = '';
  stdout?.setEncoding('utf8').on('data', (text: string) => {
    const parts = (rest + text).split('\n');
    rest = parts.pop() as string;
    lines.out.push(...parts);
  });
  stderr?.setEncoding('utf8').on('data', (text: string) => (lines.errors += text));
  return lines;
}

test('the example client: loses and repeats nothing when its connection breaks, and folds edits and retractions', async () => {
  const path = new Path();
  const ipconf = await path.listen();
  await using ann = await WireClient.hello(system, await newUser(system, 'ann'));
  await newUser(system, 'bob');
  const { id } = (await ann.ask({ create_room: { name: 'lobby' } }))['conversation'] as { id: string };
  const { seq: first } = await ann.say(id, 'before bob came');
  await ann.say(id, 'a slip of the pen');
  await ann.put(id, { kind: 'ENTRY_KIND_RETRACT', target: '2' });
  const message = () => ann.next('MESSAGE', ({ kind }) => kind === 'ENTRY_KIND_MESSAGE');

  const bob = spawn('python3', [CLIENT, system.api, ipconf, 'bob', 'bob-secret', 'lobby', 'python']);
  onTestFinished(() => void bob.kill('SIGKILL'));
  const printed = linesOf(bob);
  const prints = (count: number) =>
    eventually(`${count} lines of the Python client`, () => {
      if (bob.exitCode !== null) throw new Error(`it ended with ${bob.exitCode}: ${printed.errors}`);
      return printed.out.length >= count;
    });
  await prints(1);
  bob.stdin.write('one\nGrüße 👋\n');
  for (const text of ['one', 'Grüße 👋'])
    expect(await message()).toMatchObject({ key: id, from: 'bob', text });
  const { seq: live } = await ann.say(id, 'live');
  await ann.put(id, { kind: 'ENTRY_KIND_EDIT', target: live, text: 'still live' });
  await prints(3);

  path.cut();
  bob.stdin.write('sent while the connection is broken\n');
  await ann.say(id, 'missed 1');
  await ann.put(id, { kind: 'ENTRY_KIND_RETRACT', target: first });
  const { seq: missed } = await ann.say(id, 'missed 2');
  await ann.put(id, { kind: 'ENTRY_KIND_EDIT', target: missed, text: 'missed too' });
  path.isOpen = true;
  expect(await message()).toMatchObject({ text: 'sent while the connection is broken' });
  await prints(6);
  expect(path.taken).toBeGreaterThan(1);

  bob.stdin.end();
  await eventually('the Python client to say goodbye', () => bob.exitCode === 0);
  expect(printed).toEqual({
    out: [
      'ann: before bob came',
      'ann: live',
      'ann (edited): still live',
      'ann: missed 1',
      'ann (retracted a message)',
      // A page has its messages folded.
      'ann: missed too',
    ],
    errors: '',
  });
  const { messages } = (await ann.ask({ get_history: {} }, id))['history'] as { messages: readonly Frame[] };
  const said = messages.filter(({ kind }) => kind === 'ENTRY_KIND_MESSAGE');
  expect(said.map(({ from }) => from)).toEqual(['ann', 'ann', 'bob', 'bob', 'ann', 'ann', 'ann', 'bob']);
});
