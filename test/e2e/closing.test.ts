/** Suspending and closing accounts where each server is a process of its own, on PostgreSQL. */
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Cluster, startCluster } from '../harness/cluster.ts';
import { eventually } from '../harness/eventually.ts';
import { runGochat, type RunningServer, startServer } from '../harness/gochat.ts';
import { helloFrame, RawClient } from '../harness/raw-client.ts';

const PASSWORD = 'correct horse battery';

let cluster: Cluster;

beforeAll(async () => {
  cluster = await startCluster({ gateways: 2, states: 2 });
}, 180_000);

afterAll(() => cluster[Symbol.asyncDispose]());

type Body = Readonly<Record<string, unknown>>;
interface User {
  readonly name: string;
  readonly token: string;
}

async function call(method: string, path: string, body?: unknown, token?: string): Promise<Body> {
  const response = await fetch(`${cluster.api}${path}`, {
    method,
    headers: {
      ...(body !== undefined && { 'content-type': 'application/json' }),
      ...(token !== undefined && { authorization: `Bearer ${token}` }),
    },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  return (await response.json()) as Body;
}

async function join(name: string): Promise<User> {
  await call('POST', '/auth/signup', { name, password: PASSWORD });
  const { token } = await call('POST', '/auth/login', { name, password: PASSWORD });
  return { name, token: String(token) };
}

const by = (user: User, method: string, path: string, body?: unknown) =>
  call(method, `/api/v1${path}`, body, user.token);

/** A connection to each gateway. */
async function connections(token: string): Promise<[RawClient, RawClient]> {
  const clients = cluster.gateways.map(({ up }) => new RawClient(String(up['tcp'])));
  for (const client of clients) await client.hello(token);
  return clients as [RawClient, RawClient];
}

test('suspended: the connections at all gateways end, and nothing is to be had with the token; then restored', async () => {
  const [admin, user] = [await join('admin'), await join('suspended')];
  const granted = await runGochat([
    'ctl',
    'account',
    'admin',
    '--grant-admin',
    '--admin',
    `http://${cluster.states[0]?.up['admin']}`,
  ]);
  expect([granted.code, granted.stderr]).toEqual([0, '']);
  const clients = await connections(user.token);
  const change = (state: string) => by(admin, 'PATCH', `/admin/accounts/${user.name}`, { state });
  expect(await change('suspended')).toMatchObject({ state: 'suspended' });
  for (const client of clients) {
    expect((await client.closeFrame()).code).toBe('ACCOUNT_SUSPENDED');
    await client[Symbol.asyncDispose]();
  }
  const login = () => call('POST', '/auth/login', { name: user.name, password: PASSWORD });
  expect((await login())['code']).toBe('ACCOUNT_SUSPENDED');
  // Each of the nodes refuses the token.
  for (let i = 0; i < 8; i++) expect((await by(user, 'GET', '/users/me'))['code']).toBe('TOKEN_REVOKED');
  expect(await change('active')).toMatchObject({ state: 'active' });
  const { token } = await login();
  expect(await by({ ...user, token: String(token) }, 'GET', '/users/me')).toMatchObject({ name: user.name });
}, 60_000);

test('closed, and all nodes are killed while the user leaves the rooms: the next one to start does the rest', async () => {
  const [owner, other] = [await join('leaving'), await join('staying')];
  const rooms: string[] = [];
  for (let i = 0; i < 5; i++) {
    const room = String((await by(owner, 'POST', '/rooms', { name: `room-${i}` }))['id']);
    rooms.push(room);
    await by(other, 'POST', `/rooms/${room}/join`);
    await by(owner, 'POST', `/rooms/${room}/messages`, { text: 'my secret' });
  }
  const { id: user } = await by(owner, 'GET', '/users/me');
  await using database = new Database(String(cluster.env['GOCHAT_STORE']));
  // Nobody can leave the rooms meanwhile.
  await database.holder.query('begin; select from conversations for update');
  expect(await by(owner, 'DELETE', '/users/me', { password: PASSWORD, retract: true })).toEqual({
    status: 'ok',
  });
  await eventually('a node that waits to make the user leave', async () => {
    const { rows } = await database.watcher.query(
      "select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'",
    );
    return rows.length > 0;
  });
  const left = async () => {
    const { rows } = await database.watcher.query('select from members where user_id = $1', [user]);
    return rows.length;
  };
  expect(await left()).toBe(5);
  for (const { process } of cluster.states) process.signal('SIGKILL');
  await Promise.all(cluster.states.map(({ process }) => process.exit()));
  await database.holder.query('rollback');
  await using next = await startServer('state', cluster.env);
  expect(next.up['crpc']).toBeDefined();
  await eventually('the rooms to be left', async () => (await left()) === 0);
  await eventually('the messages to be retracted', async () => {
    const texts = await Promise.all(
      rooms.map(async (room) => JSON.stringify(await by(other, 'GET', `/rooms/${room}/messages`))),
    );
    return texts.every((text) => text.includes('"retraction"') && !text.includes('my secret'));
  });
  const shown = await Promise.all(rooms.map((room) => by(other, 'GET', `/rooms/${room}`)));
  expect(shown.map(({ role }) => role)).toEqual(rooms.map(() => 'owner'));
  await using client = new RawClient(String((cluster.gateways[0] as RunningServer).up['tcp']));
  client.send(helloFrame({ token: owner.token }));
  expect((await client.closeFrame()).code).toMatch(/ACCOUNT_CLOSED|TOKEN_REVOKED/);
}, 120_000);

/** Two connections to the cluster's database. */
class Database implements AsyncDisposable {
  readonly holder: pg.Client;
  readonly watcher: pg.Client;
  readonly #connected: Promise<unknown>;

  constructor(url: string) {
    this.holder = new pg.Client({ connectionString: url });
    this.watcher = new pg.Client({ connectionString: url });
    this.#connected = Promise.all([this.holder.connect(), this.watcher.connect()]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#connected;
    await Promise.all([this.holder.end(), this.watcher.end()]);
  }
}
