/** ejabberd from Debian's package, with its message archive on the bench's PostgreSQL. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { stringify } from 'yaml';
import { Child } from '../lib/child.ts';
import { freePorts } from '../lib/ports.ts';
import { type Services, statementsOf } from '../lib/services.ts';
import { anonymous, type Peer, type Workload } from './peer.ts';

const SCHEMA = '/usr/share/ejabberd/sql/pg.sql';
const START_SCRIPT = '/usr/sbin/ejabberdctl';
const DATABASE = 'ejabberd';
/** Password of every account: they exist for one run, on loopback. */
const PASSWORD = 'bench';

/**
 * Starts ejabberd with nothing but its archive and stream management: no roster, no limits, no TLS, no distribution.
 *
 * A session handles its stanzas one after another and waits for the archive: the sender's copy is committed before stream
 * management answers, the receiver's before the message is delivered. More connections to PostgreSQL than ejabberd's own
 * default of 10 made it slower.
 */
export async function startEjabberd(folder: string, services: Services): Promise<Peer> {
  const store = await createDatabase(services.superuser);
  const [port] = await freePorts(1);
  mkdirSync(folder, { recursive: true });
  const config = join(folder, 'ejabberd.yml');
  writeFileSync(config, stringify(settings(port as number, new URL(store))), { mode: 0o600 });
  const child = new Child(
    'ejabberd',
    'erl',
    [
      '-noinput',
      '+K',
      'true',
      '+P',
      '250000',
      '-mnesia',
      'dir',
      `"${folder}/mnesia"`,
      '-eval',
      '{ok, _} = application:ensure_all_started(ejabberd), io:format("ejabberd is up~n").',
    ],
    {
      env: {
        ERL_LIBS: librariesOf(START_SCRIPT),
        EJABBERD_CONFIG_PATH: config,
        EJABBERD_LOG_PATH: join(folder, 'ejabberd.log'),
        ERL_CRASH_DUMP_BYTES: '0',
      },
    },
  );
  try {
    await child.until((output) => (output.includes('ejabberd is up') ? true : undefined));
  } catch (error) {
    await child[Symbol.asyncDispose]();
    throw error;
  }
  let next = 1;
  return {
    name: 'ejabberd',
    durability: "PostgreSQL commit, fsync, in the sender's archive; delivered: in the receiver's too",
    servers: [{ name: 'ejabberd', pid: child.pid }, services.postgres],
    statements: () => statementsOf(store),
    open: async (workload: Workload) => {
      if (workload.scenario !== 'direct' || workload.conversationsPerPair !== undefined) return undefined;
      const first = next;
      next += workload.connections / 2;
      await createAccounts(store, first, next - 1);
      const connections = anonymous(workload, first).map((connection, i) => {
        const account = `u${connection.conversation}${i % 2 === 0 ? 'a' : 'b'}`;
        return { ...connection, token: Buffer.from(`\0${account}\0${PASSWORD}`).toString('base64') };
      });
      return { protocol: 'xmpp', ports: [port as number], connections };
    },
    [Symbol.asyncDispose]: () => child[Symbol.asyncDispose](),
  };
}

function settings(port: number, store: URL): object {
  return {
    hosts: ['localhost'],
    loglevel: 'warning',
    listen: [{ port, ip: '127.0.0.1', module: 'ejabberd_c2s', backlog: 1024 }],
    auth_method: 'sql',
    auth_password_format: 'plain',
    sql_type: 'pgsql',
    sql_server: store.hostname,
    sql_port: Number(store.port),
    sql_database: DATABASE,
    sql_username: store.username,
    sql_password: decodeURIComponent(store.password),
    modules: { mod_mam: { db_type: 'sql', default: 'always' }, mod_stream_mgmt: {} },
  };
}

/** Library folder of the package, which depends on the architecture; read from its start script. */
function librariesOf(script: string): string {
  const found = /^ERL_LIBS='(.+)'$/m.exec(readFileSync(script, 'utf8'))?.[1];
  if (found === undefined) throw new Error(`${script} does not say where ejabberd's libraries are`);
  return found;
}

/** Makes a database with the package's tables; returns its URL. */
async function createDatabase(superuser: string): Promise<string> {
  await execute(superuser, `create database ${DATABASE}`);
  const store = new URL(`/${DATABASE}`, superuser).href;
  await execute(store, readFileSync(SCHEMA, 'utf8'));
  return store;
}

/** Makes the accounts of the pairs from the first to the last. */
async function createAccounts(store: string, first: number, last: number): Promise<void> {
  await execute(
    store,
    `insert into users (username, password) select 'u' || pair || side, $3
     from generate_series($1::int, $2::int) pair, unnest(array['a', 'b']) side`,
    [first, last, PASSWORD],
  );
}

async function execute(url: string, text: string, values?: unknown[]): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(text, values);
  } finally {
    await client.end();
  }
}
