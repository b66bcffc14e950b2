/** GoChat as it is measured: the real bin/gochat, in one process on SQLite, or as separate processes on real engines. */
import { join } from 'node:path';
import type { Peer, Workload } from '../peers/peer.ts';
import { ANY_INSPECTOR_PORT, Child, ROOT, startProgram } from './child.ts';
import type { Protocol } from './load.ts';
import { Seeds } from './seed.ts';
import { type Services, statementsOf } from './services.ts';

const BIN = join(ROOT, 'bin/gochat');

/** One connection publishes for a whole room as fast as it can: limits are checked, but never reached. */
export const NO_RATE_LIMITS = {
  GOCHAT_FRAMES_PER_SECOND: '10000000',
  GOCHAT_BYTES_PER_SECOND: '1073741824',
};

export interface GochatOptions {
  /** Folder of the processes' CPU profiles; undefined: none. */
  readonly profiles?: string | undefined;
  /** Keeps the default send limits, instead of lifting them. */
  readonly limited?: boolean;
  /** Further settings. */
  readonly env?: Readonly<Record<string, string>>;
}

/** GoChat with its HTTP API. */
export interface GochatPeer extends Peer {
  /** URL of the API. */
  readonly api: string;
}

/** A cluster with a target for each transport. */
export interface Cluster extends AsyncDisposable {
  readonly tcp: GochatPeer;
  readonly ws: GochatPeer;
}

/** Starts `gochat up` with its data in the folder. */
export async function startEmbedded(folder: string, options: GochatOptions): Promise<GochatPeer> {
  await using stack = new AsyncDisposableStack();
  const ports = ['gateway', 'ws', 'ipconf', 'api', 'admin'].flatMap((name) => [`--${name}-port`, '0']);
  const child = stack.use(
    new Child('gochat up', BIN, ['up', '--no-demo', '--data-dir', folder, ...ports], profiled(options, {})),
  );
  const tcp = await child.until((output) => /gateway\s+tcp:\/\/(\S+)/.exec(output)?.[1]);
  const api = await child.until((output) => /api\s+(http:\/\/\S+)/.exec(output)?.[1]);
  const seeds = new Seeds(`sqlite://${folder}/gochat.db`);
  const owned = stack.move();
  return {
    name: 'gochat-embedded',
    durability: 'SQLite commit, synchronous=FULL',
    servers: [child],
    api,
    open: openAt('gochat', tcp, seeds),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** Starts state, gateway, ipconf and api as separate processes. */
export async function startApart(services: Services, options: GochatOptions): Promise<Cluster> {
  await using stack = new AsyncDisposableStack();
  const env = {
    GOCHAT_REGISTRY: services.registry,
    GOCHAT_HOT: services.hot,
    GOCHAT_STORE: services.store,
    GOCHAT_LOG_LEVEL: 'info',
  };
  const start = async (mode: string, more: readonly string[] = []) => {
    const { child, up } = await startServer(mode, more, profiled(options, env));
    stack.use(child);
    return { child, up };
  };
  const state = await start('state');
  const gateway = await start('gateway', ['--ws-port', '0']);
  const ipconf = await start('ipconf');
  const api = await start('api');
  const seeds = new Seeds(services.store);
  const owned = stack.move();
  const about = {
    statements: () => statementsOf(services.store),
    durability: 'PostgreSQL commit, fsync',
    api: `http://${api.up['http']}`,
    servers: [
      gateway.child,
      state.child,
      ipconf.child,
      api.child,
      services.postgres,
      services.redis,
      services.etcd,
    ],
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
  return {
    tcp: { ...about, name: 'gochat', open: openAt('gochat', gateway.up['tcp'] as string, seeds) },
    ws: { ...about, name: 'gochat-ws', open: openAt('gochat-ws', gateway.up['ws'] as string, seeds) },
    [Symbol.asyncDispose]: about[Symbol.asyncDispose],
  };
}

/** Starts a gateway on a state server that stores no message. */
export async function startWithoutLog(services: Services, options: GochatOptions): Promise<Peer> {
  await using stack = new AsyncDisposableStack();
  const registry = `${services.registry.replace(/(:\/\/[^/]+).*$/, '$1')}/without-log`;
  const args = [registry, services.hot, services.store];
  const state = await startProgram('state', 'peers/state-without-log.ts', args, profiled(options, {}).env);
  stack.use(state.child);
  const env = { GOCHAT_REGISTRY: registry, GOCHAT_LOG_LEVEL: 'info' };
  const gateway = await startServer('gateway', ['--ws-port', '0'], profiled(options, env));
  stack.use(gateway.child);
  const seeds = new Seeds(services.store);
  const owned = stack.move();
  return {
    name: 'gochat-no-log',
    durability: 'none: the log is off',
    servers: [gateway.child, state.child, services.postgres],
    open: openAt('gochat', gateway.up['tcp'] as string, seeds),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** Starts a server of GoChat on free ports; `up` matches the line that says that it is up. */
export async function startServer(
  mode: string,
  flags: readonly string[],
  options: { readonly env: Readonly<Record<string, string>> },
): Promise<{ child: Child; up: Record<string, string> }> {
  const ports = [...(flags.includes('--port') ? [] : ['--port', '0']), '--admin-port', '0'];
  const child = new Child(mode, BIN, [mode, ...ports, ...flags], options);
  try {
    const line = await child.until((output) =>
      output.split('\n').find((each) => each.startsWith('{') && each.includes(`"msg":"${mode} is up"`)),
    );
    return { child, up: JSON.parse(line) as Record<string, string> };
  } catch (error) {
    await child[Symbol.asyncDispose]();
    throw error;
  }
}

function openAt(protocol: Protocol, address: string, seeds: Seeds): Peer['open'] {
  const port = Number(address.slice(address.lastIndexOf(':') + 1));
  return async (workload: Workload) => ({
    protocol,
    ports: [port],
    connections: await seeds.connections(workload),
  });
}

function profiled(options: GochatOptions, more: Readonly<Record<string, string>>) {
  const profile = options.profiles === undefined ? '' : profileFlags(options.profiles);
  const limits = options.limited ? {} : NO_RATE_LIMITS;
  return { env: { ...limits, ...options.env, ...more, NODE_OPTIONS: `${ANY_INSPECTOR_PORT} ${profile}` } };
}

/** Flags of Node.js that write CPU profiles into the folder, one per thread. */
export function profileFlags(folder: string): string {
  return `--cpu-prof --cpu-prof-dir=${folder}`;
}
