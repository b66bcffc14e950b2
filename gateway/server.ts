/** The gateway as a server: its place in the registry, and the workers that do the work. */
import { randomUUID } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { GochatError, type Logger, type LogLevel, once, type Server } from '../common/mod.ts';
import type { Registration, Registry, Snapshot, TlsOptions, Unwatch } from '../crpc/mod.ts';
import { advertisedHost, joinAddress } from './advertise.ts';
import type { Ports, ToWorker, WorkerData } from './control.ts';
import { Descriptors } from './descriptors.ts';
import type { TlsMaterial } from './door.ts';
import { type OtherGateway, otherGateways } from './elsewhere.ts';
import { GatewayMetrics } from './gateway-metrics.ts';
import { GatewayNumber } from './gateway-number.ts';
import {
  DEFAULT_LIMITS,
  type GatewayLimits,
  MAX_WORKERS,
  reloadedLimits,
  RESIZE_DRAIN_MS,
  shareOf,
} from './limits.ts';
import { assertPortFree, canReusePort, listenError } from './listen-check.ts';
import { LoadPublisher } from './load-publisher.ts';
import type { StateNode } from './state-link.ts';
import { TicketKeys } from './ticket-keys.ts';
import { loadTls, type TlsFiles } from './tls-material.ts';
import { ListenFailure, WorkerHandle } from './worker-handle.ts';

export interface GatewayOptions {
  /** Names this process start; unique among the gateways. */
  readonly name: string;
  /** Address to listen on. */
  readonly host: string;
  /** TCP port; 0 takes a free one. */
  readonly port: number;
  /** WebSocket port; 0 takes a free one. */
  readonly wsPort: number;
  /** Worker threads; 0: one a core. @default 0 */
  readonly workers?: number;
  /** Host under which clients reach the gateway. @default host, or an address of the machine where host means all */
  readonly advertiseHost?: string | undefined;
  /** Failure domain; empty: none. */
  readonly zone?: string;
  readonly version?: string;
  /** Capacity relative to the other gateways with the same limits. @default 1 */
  readonly weight?: number;
  readonly registry: Registry;
  readonly logger: Logger;
  readonly limits?: Partial<GatewayLimits>;
  /** Lets in only clients with a ticket of ipconf. @default false */
  readonly requireTicket?: boolean;
  /** Certificate and key of both ports; undefined: clients connect without TLS. */
  readonly clientTls?: TlsFiles | undefined;
  /** Secret that the servers of a cluster show each other. */
  readonly clusterToken?: string | undefined;
  /** TLS to state. @default none */
  readonly tls?: TlsOptions | undefined;
  /** Further facts for the registry, such as the admin port. */
  readonly metadata?: Readonly<Record<string, string>>;
}

const SETTLE_MS = 2000;
const GATEWAY_SERVICE = 'gateway';
const STATE_SERVICE = 'state';
const IPCONF_SERVICE = 'ipconf';
const KEYS = 'jwks';

const ENTRY = new URL(import.meta.url.endsWith('.ts') ? './worker.ts' : './worker.js', import.meta.url);

/**
 * Supervises the workers of a gateway.
 *
 * The supervisor itself touches no client: it leases the gateway's number, follows the state nodes and the signing
 * keys, hands all that to its workers, sums what they count, and replaces a worker that fails.
 */
export class GatewayServer implements Server {
  readonly name: string;
  readonly #options: GatewayOptions;
  #limits: GatewayLimits;
  readonly #logger: Logger;
  readonly #metrics = new GatewayMetrics(
    () => this.#workers,
    () => this.#descriptors.exhausted,
  );
  readonly #descriptors = new Descriptors((exhausted) => this.#onDescriptors(exhausted));
  readonly #load: LoadPublisher;
  #workers: WorkerHandle[] = [];
  /** Those that are one too many, until their clients have gone. */
  readonly #leaving = new Set<WorkerHandle>();
  #canShare = false;
  #reconfigured: Promise<void> = Promise.resolve();
  #ports: Ports | undefined;
  readonly #number: GatewayNumber;
  #nodes: readonly StateNode[] = [];
  #keys: string | undefined;
  readonly #ticketKeys = new TicketKeys();
  #clientTls: TlsMaterial | undefined;
  #unwatch: Unwatch[] = [];
  #registration: Registration | undefined;
  /** Of two gateways at one address the younger one lives. */
  readonly #epoch = Date.now();
  readonly #ready = Promise.withResolvers<void>();
  #state: 'new' | 'running' | 'draining' | 'stopped' = 'new';

  constructor(options: GatewayOptions) {
    this.#options = options;
    this.name = options.name;
    this.#logger = options.logger;
    this.#number = new GatewayNumber(options.registry, options.logger, (gateway) =>
      this.#tell({ kind: 'gateway', gateway }),
    );
    this.#limits = Object.freeze({ ...DEFAULT_LIMITS, ...options.limits });
    this.#load = new LoadPublisher({
      maxConnections: () => this.#limits.maxConnections,
      workers: () => this.#workers,
      logger: this.#logger,
    });
  }

  /** host:port for TCP clients, once started. */
  get address(): string {
    return this.#addressOf(this.#ports?.port);
  }

  /** host:port for WebSocket clients, once started. */
  get wsAddress(): string {
    return this.#addressOf(this.#ports?.wsPort);
  }

  readonly start = once(async (): Promise<void> => {
    try {
      await this.#start();
    } catch (error) {
      await this.stop();
      throw error;
    }
  });

  readonly #drainOnce = once(async (): Promise<void> => {
    if (this.#state !== 'running') return;
    this.#state = 'draining';
    await this.#load.drain();
    const elsewhere = await this.#elsewhere();
    await Promise.all(this.#workers.map((worker) => worker.drain(this.#drainMs, elsewhere)));
  });
  #drainMs = 0;

  drain(deadlineMs: number): Promise<void> {
    this.#drainMs = deadlineMs;
    return this.#drainOnce();
  }

  readonly stop = once(async (): Promise<void> => {
    this.#state = 'stopped';
    this.#load.stop();
    for (const unwatch of this.#unwatch) unwatch();
    await this.#deregister();
    this.#descriptors.stop();
    await Promise.all([...this.#workers, ...this.#leaving].map((worker) => worker.stop()));
    this.#metrics.close();
    await this.#number.release();
  });

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  /** Reads certificate and key again. @throws GochatError CONFIG_INVALID when they do not do: the old ones stay */
  reload(): void {
    const { clientTls } = this.#options;
    if (clientTls === undefined) return;
    this.#clientTls = loadTls(clientTls);
    this.#tell({ kind: 'tls', tls: this.#clientTls });
  }

  /**
   * Takes over another number of workers and other limits while it runs. Clients of a worker that is one too many are
   * told to connect again, and find the others.
   *
   * @param workers 0: one a core
   * @throws GochatError when a further worker cannot be started
   */
  reconfigure(workers: number, limits: Partial<GatewayLimits>): Promise<void> {
    const wanted = { ...DEFAULT_LIMITS, ...limits };
    // One after the other, whatever became of the one before.
    this.#reconfigured = this.#reconfigured
      .catch(() => undefined)
      .then(() => this.#reconfigure(workers, wanted));
    return this.#reconfigured;
  }

  readiness(): string | undefined {
    if (this.#state === 'draining') return 'draining';
    if (this.#state !== 'running') return 'not started';
    if (this.#descriptors.exhausted) return 'no file descriptors are left; raise the limit of open files';
    if (!this.#workers.some((worker) => worker.listening)) return 'no worker is listening';
    if (this.#keys === undefined) return 'no signing keys are published; start a state server';
    if (this.#workers.some((worker) => worker.listening && worker.stats.readyLinks === 0))
      return 'no state server can be reached';
    return undefined;
  }

  async #start(): Promise<void> {
    const { registry, host, port, wsPort, clientTls } = this.#options;
    this.#clientTls = clientTls && loadTls(clientTls);
    await assertPortFree(host, port, '--port');
    await assertPortFree(host, wsPort, '--ws-port');
    await this.#number.lease();
    this.#unwatch = [
      registry.watch(STATE_SERVICE, ({ endpoints }) => {
        const known = new Set(this.#nodes.map(({ id }) => id));
        this.#nodes = endpoints.map(({ id, address }) => ({ id, address }));
        // Load figures change all the time and do not matter here.
        if (this.#nodes.length === known.size && this.#nodes.every(({ id }) => known.has(id))) return;
        this.#tell({ kind: 'nodes', nodes: this.#nodes });
      }),
      registry.follow(KEYS, (jwks) => {
        this.#keys = jwks;
        if (jwks !== undefined) this.#tell({ kind: 'keys', jwks });
      }),
      ...(this.#options.requireTicket ? [registry.watch(IPCONF_SERVICE, this.#onIpconfs)] : []),
    ];
    this.#canShare = await canReusePort(host);
    const count = this.#workerCount(this.#options.workers ?? 0);
    // The first one picks the ports where they are free to choose; the others join it.
    this.#ports = await this.#startWorker(0, count, { port, wsPort });
    const rest = Array.from({ length: count - 1 }, (_, i) =>
      this.#startWorker(i + 1, count, this.#ports as Ports),
    );
    await Promise.all(rest);
    this.#state = 'running';
    this.#descriptors.start();
    if (this.#nodes.length > 0) await this.#settle();
    await this.#register();
    this.#logger.info({ tcp: this.address, ws: this.wsAddress, workers: count }, 'gateway listens');
  }

  readonly #onIpconfs = ({ endpoints }: Snapshot): void => {
    if (!this.#ticketKeys.update(endpoints, performance.now())) return;
    this.#tell({ kind: 'ticket-keys', jwks: this.#ticketKeys.jwks });
  };

  /** Waits a little for the state nodes, so that the first clients are not sent away. */
  async #settle(): Promise<void> {
    const timer = setTimeout(() => this.#ready.resolve(), SETTLE_MS);
    await this.#ready.promise;
    clearTimeout(timer);
  }

  #workerCount(configured: number): number {
    const wanted = Math.min(configured || availableParallelism(), MAX_WORKERS);
    if (wanted === 1 || this.#canShare) return wanted;
    this.#logger.warn(
      { wanted, workers: 1 },
      'this platform cannot share a port between listeners (SO_REUSEPORT): the gateway runs with one worker',
    );
    return 1;
  }

  async #reconfigure(workers: number, limits: GatewayLimits): Promise<void> {
    if (this.#state !== 'running') return;
    this.#limits = reloadedLimits(this.#limits, limits);
    const count = this.#workerCount(workers);
    const before = this.#workers.length;
    for (const surplus of this.#workers.splice(count)) void this.#retire(surplus);
    const share = shareOf(this.#limits, count);
    for (const worker of this.#workers) worker.setLimits(share);
    while (this.#workers.length < count)
      await this.#startWorker(this.#freeIndex(), count, this.#ports as Ports);
    this.#logger.info({ before, workers: count }, 'gateway reconfigured');
  }

  /** The least number that no worker has, be it one that is leaving. */
  #freeIndex(): number {
    const taken = new Set([...this.#workers, ...this.#leaving].map(({ index }) => index));
    let index = 0;
    while (taken.has(index)) index++;
    return index;
  }

  /** Sends the clients of a worker to the others, and ends it. */
  async #retire(worker: WorkerHandle): Promise<void> {
    const { port, wsPort } = this.#ports as Ports;
    this.#leaving.add(worker);
    const host = this.#options.advertiseHost ?? this.#options.host;
    await worker.drain(RESIZE_DRAIN_MS, [
      { host, port, wsPort, tls: this.#clientTls !== undefined, room: 1 },
    ]);
    await worker.stop();
    this.#leaving.delete(worker);
    this.#metrics.forget(worker.index);
  }

  #onDescriptors(exhausted: boolean): void {
    if (exhausted)
      this.#logger.error(
        'no file descriptors are left: the gateway accepts no clients until some are free; raise the limit of open files (ulimit -n)',
      );
    else this.#logger.info('file descriptors are free again: the gateway accepts clients');
    this.#tell({ kind: 'accept', accept: !exhausted });
  }

  async #startWorker(worker: number, count: number, ports: Ports): Promise<Ports> {
    const { name, host, clusterToken, tls } = this.#options;
    const data: WorkerData = {
      ...ports,
      gateway: this.#number.value,
      gatewayName: name,
      worker,
      host,
      reusePort: this.#canShare,
      limits: shareOf(this.#limits, count),
      requireTicket: this.#options.requireTicket ?? false,
      clusterToken,
      tls,
      clientTls: this.#clientTls,
      logLevel: this.#logger.level as LogLevel,
    };
    const handle = new WorkerHandle({
      entry: ENTRY,
      data,
      logger: this.#logger,
      greeting: () => this.#greeting(),
      onStats: ({ index, stats }) => {
        this.#metrics.record(index, stats);
        this.#load.onStats();
        if (this.readiness() === undefined) this.#ready.resolve();
      },
      onReplace: ({ index }) => this.#metrics.restarted(index),
    });
    this.#workers.push(handle);
    try {
      return await handle.start();
    } catch (error) {
      if (!(error instanceof ListenFailure)) throw GochatError.from(error);
      throw listenError(error.reason, host, ports[error.on], error.on === 'port' ? '--port' : '--ws-port');
    }
  }

  #greeting(): ToWorker[] {
    const messages: ToWorker[] = [{ kind: 'gateway', gateway: this.#number.value }];
    if (this.#keys !== undefined) messages.push({ kind: 'keys', jwks: this.#keys });
    if (this.#options.requireTicket) messages.push({ kind: 'ticket-keys', jwks: this.#ticketKeys.jwks });
    if (this.#clientTls !== undefined) messages.push({ kind: 'tls', tls: this.#clientTls });
    messages.push({ kind: 'nodes', nodes: this.#nodes });
    return messages;
  }

  #tell(message: ToWorker): void {
    for (const worker of [...this.#workers, ...this.#leaving]) worker.post(message);
  }

  async #register(): Promise<void> {
    const { registry, name, zone, version, weight, metadata } = this.#options;
    const { port, wsPort } = this.#ports as Ports;
    this.#registration = await registry.register(GATEWAY_SERVICE, {
      id: randomUUID(),
      address: this.#advertised(port),
      weight: weight ?? 1,
      zone: zone ?? '',
      version: version ?? '',
      metadata: {
        ...metadata,
        name,
        ws_port: String(wsPort),
        number: String(this.#number.value),
        epoch: String(this.#epoch),
        ...(this.#clientTls && { tls: '1' }),
      },
      load: this.#load.next(),
    });
    this.#load.start(this.#registration);
  }

  async #deregister(): Promise<void> {
    const registration = this.#registration;
    this.#registration = undefined;
    try {
      await registration?.deregister();
    } catch (error) {
      // Its lease runs out by itself.
      this.#logger.warn({ err: error }, 'the gateway could not take itself out of the registry');
    }
  }

  /** The gateways that clients may go to; none where the registry does not answer. */
  async #elsewhere(): Promise<OtherGateway[]> {
    try {
      const endpoints = await this.#options.registry.list(GATEWAY_SERVICE);
      return otherGateways(endpoints, this.#options.zone ?? '');
    } catch (error) {
      this.#logger.warn({ err: error }, 'the other gateways are not known: clients must ask ipconf');
      return [];
    }
  }

  #advertised(port: number): string {
    return joinAddress(this.#options.advertiseHost ?? advertisedHost(this.#options.host), port);
  }

  #addressOf(port: number | undefined): string {
    return joinAddress(this.#options.host, port ?? 0);
  }
}
