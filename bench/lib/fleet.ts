/** The peers of a run: each is started once, with the engines it needs, and stays up for all scenarios. */
import { join } from 'node:path';
import { startBareEpoll, startBareFanout, startBarePipeline, startSocketIo } from '../peers/bare.ts';
import { startMosquitto, startNats } from '../peers/brokers.ts';
import { startEjabberd } from '../peers/ejabberd.ts';
import type { Peer } from '../peers/peer.ts';
import { run } from './child.ts';
import { type Cluster, startApart, startEmbedded, startWithoutLog } from './gochat.ts';
import type { PeerName } from './scenarios.ts';
import { type Services, startServices } from './services.ts';

/** Commands that succeed if the peer is installed. */
const CHECKS: Partial<Record<PeerName, readonly [command: string, ...args: string[]]>> = {
  nats: ['which', 'nats-server'],
  mosquitto: ['which', 'mosquitto'],
  ejabberd: ['dpkg', '--status', 'ejabberd', 'erlang-p1-pgsql'],
};

/** Returns the peers whose programs this machine has. */
export async function installed(names: readonly PeerName[]): Promise<PeerName[]> {
  const found: PeerName[] = [];
  for (const name of names) {
    const [command, ...args] = CHECKS[name] ?? [];
    const there =
      command === undefined ||
      (await run(command, args).then(
        () => true,
        () => false,
      ));
    if (there) found.push(name);
  }
  return found;
}

/** Peers that run; disposing stops them in the reverse order. */
export interface Fleet extends AsyncDisposable {
  readonly peers: ReadonlyMap<PeerName, Peer>;
  /** Makes the engines finish background work on what was written so far. */
  settle(): Promise<void>;
}

/** Starts the peers. */
export async function startFleet(
  names: readonly PeerName[],
  folder: string,
  profiles: string | undefined,
  signal: AbortSignal,
): Promise<Fleet> {
  await using stack = new AsyncDisposableStack();
  const options = { profiles };
  let services: Services | undefined;
  const engines = async () => {
    services ??= stack.use(await startServices(join(folder, 'services')));
    return services;
  };
  let cluster: Cluster | undefined;
  const apart = async () => {
    cluster ??= stack.use(await startApart(await engines(), options));
    return cluster;
  };
  const starters: Record<PeerName, () => Promise<Peer>> = {
    gochat: async () => (await apart()).tcp,
    'gochat-ws': async () => (await apart()).ws,
    'gochat-no-log': async () => startWithoutLog(await engines(), options),
    'gochat-embedded': () => startEmbedded(join(folder, 'embedded'), options),
    'bare-pipeline': async () => {
      const { store, postgres } = await engines();
      return startBarePipeline(store, postgres.pid);
    },
    'bare-loop': () => startBareFanout('bare-loop', 'joined'),
    'bare-each': () => startBareFanout('bare-each', 'each'),
    'bare-ws': () => startBareFanout('bare-ws', 'ws'),
    'socket.io': () => startSocketIo(),
    'bare-epoll': () => startBareEpoll(join(folder, 'epoll')),
    nats: () => startNats(join(folder, 'nats')),
    mosquitto: () => startMosquitto(join(folder, 'mosquitto')),
    ejabberd: async () => startEjabberd(join(folder, 'ejabberd'), await engines()),
  };
  const peers = new Map<PeerName, Peer>();
  for (const name of names) {
    console.error(`starting ${name}`);
    peers.set(name, stack.use(await starters[name]()));
    signal.throwIfAborted();
  }
  const owned = stack.move();
  return { peers, settle: async () => services?.settle(), [Symbol.asyncDispose]: () => owned.disposeAsync() };
}
