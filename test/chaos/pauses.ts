/**
 * `make pauses`: how long a sender waits for its ack while state nodes come, go and die; how soon a kick, a logout and a
 * revocation end a connection; how soon a lost tail is found.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { GochatClient, tcpTransport, type Token } from '../../client/mod.ts';
import { signup } from '../harness/gochat.ts';
import { Random } from './random.ts';
import { System } from './system.ts';

const SENDERS = 16;
const ROUNDS = 4;
/** After a change, until the senders have settled. */
const AFTER_MS = 3000;
const TEXT = 'x'.repeat(128);
const LINKS = ['servers to state-0', 'servers to state-1'];

const dir = await mkdtemp(join(tmpdir(), 'gochat-pauses-'));
await using cleanup = new AsyncDisposableStack();
cleanup.defer(() => rm(dir, { recursive: true }));
const system = cleanup.use(
  await System.start({
    dir,
    random: new Random(1, 'pauses'),
    states: 2,
    onCrash: (name, what) => process.stderr.write(`${name}: ${what}\n`),
  }),
);
let users = 0;

/** Connects a client of its own user. */
async function connect(): Promise<{ user: string; client: GochatClient; token: Token }> {
  const user = `user${users++}`;
  await signup(system.urls, user);
  const token = await logIn(user);
  // Tokens do not last as long as this does.
  let first: Token | undefined = token;
  const getToken = async () => {
    const good = first ?? (await logIn(user));
    first = undefined;
    return good;
  };
  const device = `device${users}`;
  const client = new GochatClient({ ...system.urls, getToken, device, transport: tcpTransport() });
  await client.connect();
  return { user, client, token };
}

async function logIn(name: string): Promise<Token> {
  const { token } = (await post('/auth/login', { name, password: `${name}-secret` })) as { token: string };
  return { token };
}

async function post(path: string, body: object, token?: Token): Promise<unknown> {
  const response = await fetch(`${system.urls.api}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...(token && { authorization: `Bearer ${token.token}` }) },
    body: JSON.stringify(body),
  });
  if (response.status === 504) return await post(path, body, token);
  if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
  return await response.json();
}

/** Sends to its own room, each message after the previous one's ack. */
class Sender {
  longestMs = 0;
  sends = 0;
  #running = true;
  readonly #done: Promise<void>;

  constructor(client: GochatClient, room: string) {
    this.#done = this.#run(client, room);
  }

  async stop(): Promise<void> {
    this.#running = false;
    await this.#done;
  }

  async #run(client: GochatClient, room: string): Promise<void> {
    while (this.#running) {
      const begun = performance.now();
      await client.send(room, TEXT);
      this.longestMs = Math.max(this.longestMs, performance.now() - begun);
      this.sends++;
    }
  }
}

function print(what: string, ms: readonly number[], unit: string): void {
  const sorted = ms.toSorted((a, b) => a - b);
  const [median, longest] = [sorted[sorted.length >> 1] ?? 0, sorted.at(-1) ?? 0];
  process.stdout.write(
    `${what.padEnd(44)} ${median.toFixed(0).padStart(7)} ${longest.toFixed(0).padStart(7)}  of ${ms.length} ${unit}\n`,
  );
}

async function ownership(): Promise<void> {
  const clients: GochatClient[] = [];
  // One after the other: log-ins are made slow on purpose.
  while (clients.length < SENDERS) clients.push((await connect()).client);
  const changes: Record<string, () => Promise<void>> = {
    'nothing happens': async () => undefined,
    'a state node leaves (TERM)': () => system.server('state-1').end('SIGTERM'),
    'a state node joins': () => restart(),
    'a state node is killed (-9)': () => system.server('state-1').end('SIGKILL'),
    'and joins again': () => restart(),
    'a state node freezes for 15 s (SIGSTOP)': async () => {
      system.server('state-1').signal('SIGSTOP');
      await sleep(15_000);
      system.server('state-1').signal('SIGCONT');
    },
  };
  const restart = async () => {
    system.server('state-1').start();
    await system.server('state-1').up();
  };
  const longest = new Map<string, number[]>();
  const senders = await Promise.all(
    clients.map(async (client, i) => new Sender(client, (await client.createRoom(`room-${i}`)).id)),
  );
  for (let round = 0; round < ROUNDS; round++) {
    for (const [what, change] of Object.entries(changes)) {
      if (what.includes('freezes') && round > 0) continue;
      await sleep(1000);
      for (const sender of senders) sender.longestMs = 0;
      const before = senders.map(({ sends }) => sends);
      await change();
      await sleep(AFTER_MS);
      // Wait for senders that still wait.
      while (senders.some(({ sends }, i) => sends < (before[i] ?? 0) + 2)) await sleep(50);
      const waits = longest.get(what) ?? [];
      longest.set(what, waits);
      waits.push(...senders.map(({ longestMs }) => longestMs));
    }
  }
  await Promise.all(senders.map((sender) => sender.stop()));
  for (const [what, waits] of longest) print(what, waits, 'longest waits of a sender');
  await Promise.all(clients.map((client) => client.close()));
}

/** Measures the times from an order to the end of its connections. */
async function evictions(): Promise<void> {
  const operator = (query: string) => fetch(`${system.admins['state-0']}/kick?${query}`, { method: 'POST' });
  const orders: Record<string, (user: string, token: Token) => Promise<unknown>> = {
    'a kick ends a connection': (user) => operator(`user=${user}&reason=test`),
    'a revocation ends a connection': (user) => operator(`user=${user}&revoke=true`),
    'a logout ends another connection of its token': (_, token) => post('/auth/logout', {}, token),
  };
  for (const [what, order] of Object.entries(orders)) {
    const times: number[] = [];
    for (let i = 0; i < ROUNDS * 4; i++) {
      const { user, client, token } = await connect();
      const ended = new Promise<void>((resolve) => {
        client.on('disconnected', () => resolve());
      });
      const begun = performance.now();
      await Promise.all([order(user, token), ended]);
      times.push(performance.now() - begun);
      await client.close();
    }
    print(what, times, 'connections');
  }
}

/** Measures a lost tail: the last push is lost with its streams, and no message follows. */
async function lostTail(): Promise<void> {
  const log = new pg.Client(system.services.urls.postgres);
  await log.connect();
  const times: number[] = [];
  for (let i = 0; i < ROUNDS * 2; i++) {
    const [ann, bob] = [await connect(), await connect()];
    const name = `tail-${i}`;
    const { id } = await ann.client.createRoom(name);
    await bob.client.joinRoom(name);
    for (const link of LINKS) for (const proxy of system.link(link)) proxy.impose({ down: { hold: true } });
    void ann.client.send(id, TEXT);
    const isThere = async () =>
      (await log.query('select from messages where conversation = $1', [id])).rowCount === 1;
    while (!(await isThere())) await sleep(10);
    await ann.client.close();
    const found = new Promise<void>((resolve) => {
      bob.client.on('message', () => resolve());
    });
    const begun = performance.now();
    for (const link of LINKS)
      for (const proxy of system.link(link)) {
        proxy.reset();
        proxy.heal();
      }
    await found;
    times.push(performance.now() - begun);
    await bob.client.close();
  }
  await log.end();
  print('a lost tail is found, after the streams broke', times, 'receivers');
}

process.stdout.write(`${'ms'.padEnd(44)}  median longest\n`);
await ownership();
await evictions();
await lostTail();
