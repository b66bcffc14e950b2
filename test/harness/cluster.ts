/** A system of separate processes on real engines; each test file has its own database and registry root. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import pg from 'pg';
import { type SystemUrls, type RunningServer, startServer } from './gochat.ts';
import { eventually } from './eventually.ts';

export interface Cluster extends SystemUrls, AsyncDisposable {
  readonly env: Record<string, string>;
  readonly gateways: readonly RunningServer[];
  readonly states: readonly RunningServer[];
}

/** Addresses of a cluster's engines. */
export interface Engines {
  readonly etcd: string;
  readonly redis: string;
  readonly postgres: string;
}

/** Returns the engines started by the tests' global setup. */
export function sharedEngines(): Engines {
  return { etcd: engineUrl('ETCD'), redis: engineUrl('REDIS'), postgres: engineUrl('POSTGRES') };
}

/** Makes a fresh database on a PostgreSQL; disposing drops it. */
export async function freshDatabase(
  server = engineUrl('POSTGRES'),
): Promise<{ url: string } & AsyncDisposable> {
  const name = `e2e_${process.pid}_${Math.random().toString(36).slice(2)}`;
  await administer(server, `create database ${name}`);
  const url = new URL(server);
  url.pathname = `/${name}`;
  return {
    url: url.href,
    [Symbol.asyncDispose]: () => administer(server, `drop database ${name} with (force)`),
  };
}

/** Runs one statement on its own connection: an idle one would break whenever a test stops the server. */
async function administer(server: string, statement: string): Promise<void> {
  const client = new pg.Client({ connectionString: server });
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}

/** Returns the URL of an engine started by the tests' global setup. */
export function engineUrl(engine: 'ETCD' | 'REDIS' | 'POSTGRES'): string {
  const url = process.env[`GOCHAT_TEST_${engine}`];
  if (url === undefined) throw new Error(`GOCHAT_TEST_${engine} is not set: run the tests with make test`);
  return url;
}

/** Further options of one server. */
export interface Difference {
  readonly env?: Readonly<Record<string, string>>;
  readonly args?: readonly string[];
  /** The built tree that it runs. @default this one */
  readonly root?: string;
}

/** Starts state nodes, gateways, one ipconf and one api; servers with other options are listed one by one. */
export async function startCluster(
  size: {
    gateways: number | readonly Difference[];
    /** With several trees: the oldest first. */
    states: number | readonly Difference[];
    /** Of ipconf and api. */
    rest?: Difference;
  },
  engines: Engines = sharedEngines(),
): Promise<Cluster> {
  const cleanup = new AsyncDisposableStack();
  try {
    const database = cleanup.use(await freshDatabase(engines.postgres));
    const root = `test-${process.pid}-${Math.random().toString(36).slice(2)}`;
    const env = {
      GOCHAT_REGISTRY: `${engines.etcd}/${root}`,
      GOCHAT_STORE: database.url,
      GOCHAT_HOT: engines.redis,
      GOCHAT_WORKERS: '2',
      GOCHAT_LOG_LEVEL: 'info',
    };
    const start = async (
      mode: Parameters<typeof startServer>[0],
      servers: number | readonly Difference[],
    ) => {
      const differences: readonly Difference[] =
        typeof servers === 'number' ? Array.from({ length: servers }, () => ({})) : servers;
      const started: RunningServer[] = [];
      // Servers of one tree at once, as migrations are safe in a race. No tree opens what a newer one has migrated.
      for (const tree of new Set(differences.map(({ root: of }) => of)))
        await Promise.all(
          differences.map(async ({ env: own, args, root: of }, index) => {
            if (of === tree)
              started[index] = cleanup.use(await startServer(mode, { ...env, ...own }, args, of));
          }),
        );
      return started;
    };
    // All at once: each waits for what it needs.
    const [states, gateways, [ipconf], [api]] = await Promise.all([
      start('state', size.states),
      start('gateway', size.gateways),
      start('ipconf', [size.rest ?? {}]),
      start('api', [size.rest ?? {}]),
    ]);
    const [ipconfUrl, apiUrl] = [`http://${ipconf?.up['http']}`, `http://${api?.up['http']}`];
    await placed(ipconfUrl, gateways.length);
    await reachable(apiUrl);
    const owned = cleanup.move();
    return {
      env,
      states,
      gateways,
      ipconf: ipconfUrl,
      api: apiUrl,
      [Symbol.asyncDispose]: () => owned.disposeAsync(),
    };
  } catch (error) {
    await cleanup.disposeAsync();
    throw error;
  }
}

/** An ipconf that returns the real one's answer with only one gateway, to direct a client there. */
export async function pinned(
  urls: SystemUrls,
  gateway: RunningServer,
): Promise<SystemUrls & AsyncDisposable> {
  const port = Number(gateway.up['tcp']?.split(':').at(-1));
  const server = createServer((_, response) => {
    void fetch(`${urls.ipconf}/ip/list`)
      .then(async (answer) => {
        const body = (await answer.json()) as { data?: { port: number }[] };
        const data = body.data?.filter((entry) => entry.port === port) ?? [];
        response.writeHead(answer.status, { 'content-type': 'application/json' });
        response.end(JSON.stringify({ ...body, data }));
      })
      .catch((error: unknown) => response.writeHead(502).end(String(error)));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    api: urls.api,
    ipconf: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** Waits until ipconf offers this many gateways. */
async function placed(ipconf: string, gateways: number): Promise<void> {
  await eventually(`${gateways} gateways at ${ipconf}`, async () => {
    const answer = await fetch(`${ipconf}/ip/list`);
    const body = (await answer.json()) as { data?: unknown[] };
    return body.data?.length === Math.min(5, gateways);
  });
}

/** Waits until api reaches state: the login of an unknown user is refused as such, not as unavailable. */
async function reachable(api: string): Promise<void> {
  await eventually(`state behind ${api}`, async () => {
    const answer = await fetch(`${api}/auth/login`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ name: 'nobody', password: 'nobody' }),
    });
    return answer.status === 401;
  });
}
