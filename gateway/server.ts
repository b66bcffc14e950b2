/** The gateway server: supervises the workers and feeds them from the registry. */
import {
  GochatError,
  joinAddress,
  type Logger,
  type LogLevel,
  once,
  type Server,
  type ServerCertificate,
} from '../common/mod.ts';
import type { Registry, TlsOptions } from '../crpc/mod.ts';
import type { Advertised } from './accept/advertise.ts';
import type { Port, Ports, ToWorker } from './supervisor/control.ts';
import { Descriptors } from './accept/descriptors.ts';
import { type TlsMaterial, tlsMaterial } from './accept/tls-material.ts';
import { GatewayEntry } from './supervisor/gateway-entry.ts';
import { GatewayMetrics } from './gateway-metrics.ts';
import { GatewayNumber } from './supervisor/gateway-number.ts';
import { DEFAULT_LIMITS, type GatewayLimits, reloadedLimits } from './limits.ts';
import { assertPortFree } from './accept/listen-check.ts';
import { LoadPublisher } from './supervisor/load-publisher.ts';
import { RegistryFeed } from './supervisor/registry-feed.ts';
import { WorkerPool } from './supervisor/worker-pool.ts';

export interface GatewayOptions {
  /** Id of this run of the process; unique among the gateways. */
  readonly name: string;
  /** Address to listen on. */
  readonly host: string;
  /** TCP port; 0 takes a free one. */
  readonly port: Port;
  /** The command line's flag for it, for errors. @default '--port' */
  readonly portFlag?: string;
  /** WebSocket port; 0 takes a free one. */
  readonly wsPort: Port;
  /** Worker threads; 0: one per core. @default 0 */
  readonly workers?: number;
  /** How clients reach the ports. @default as they listen; the machine's address if host is a wildcard */
  readonly advertise?: Partial<Readonly<Record<'tcp' | 'ws', Advertised>>>;
  /** Failure domain; empty: none. */
  readonly zone?: string;
  readonly version?: string;
  /** Capacity relative to the other gateways with the same limits. @default 1 */
  readonly weight?: number;
  /** Network capacity of its machine, bytes/s. @default unknown: ipconf does not count what it sends */
  readonly maxBytesOutPerS?: number | undefined;
  readonly registry: Registry;
  readonly logger: Logger;
  readonly limits?: Partial<GatewayLimits>;
  /** Whether clients need a ticket of ipconf. @default false */
  readonly requireTicket?: boolean;
  /** Certificate of both ports; undefined: no TLS. */
  readonly certificate?: ServerCertificate | undefined;
  /** Secret that the servers of a cluster show each other. */
  readonly clusterToken?: string | undefined;
  /** TLS to state. @default none */
  readonly tls?: TlsOptions | undefined;
  /** Further facts for the registry, such as the admin port. */
  readonly metadata?: Readonly<Record<string, string>>;
}

const ENTRY = new URL(
  import.meta.url.endsWith('.ts') ? './supervisor/worker.ts' : './supervisor/worker.js',
  import.meta.url,
);

/**
 * Supervises the workers of a gateway.
 *
 * The supervisor itself has no clients: it leases the gateway's number, passes the registry's news to its workers, and
 * sums their counters.
 */
export class GatewayServer implements Server {
  readonly name: string;
  readonly #options: GatewayOptions;
  #limits: GatewayLimits;
  readonly #logger: Logger;
  readonly #pool: WorkerPool;
  readonly #metrics: GatewayMetrics;
  readonly #descriptors = new Descriptors((exhausted) => this.#onDescriptors(exhausted));
  readonly #load: LoadPublisher;
  readonly #entry: GatewayEntry;
  readonly #number: GatewayNumber;
  readonly #feed: RegistryFeed;
  #reconfigured: Promise<void> = Promise.resolve();
  #clientTls: TlsMaterial | undefined;
  #forgetCertificate: (() => void) | undefined;
  #state: 'new' | 'running' | 'draining' | 'stopped' = 'new';

  constructor(options: GatewayOptions) {
    const { name, host, registry, logger, portFlag = '--port' } = options;
    this.#options = options;
    this.name = name;
    this.#logger = logger;
    this.#limits = Object.freeze({ ...DEFAULT_LIMITS, ...options.limits });
    this.#number = new GatewayNumber(registry, logger, (gateway) =>
      this.#pool.post({ kind: 'gateway', gateway }),
    );
    this.#feed = new RegistryFeed({
      registry,
      tickets: options.requireTicket ?? false,
      tell: (message) => this.#pool.post(message),
    });
    const { zone = '', version = '', weight = 1, metadata = {} } = options;
    const advertise = { tcp: {}, ws: {}, ...options.advertise };
    const facts = { name, host, advertise, zone, version, weight, metadata };
    this.#entry = new GatewayEntry({ ...facts, registry, logger });
    this.#pool = new WorkerPool({
      entry: ENTRY,
      host,
      flags: { port: portFlag, wsPort: '--ws-port' },
      logger,
      data: () => ({
        gateway: this.#number.value,
        gatewayName: name,
        requireTicket: options.requireTicket ?? false,
        clusterToken: options.clusterToken,
        tls: options.tls,
        clientTls: this.#clientTls,
        logLevel: logger.level as LogLevel,
      }),
      greeting: () => this.#greeting(),
      onStats: ({ index }, stats) => {
        this.#metrics.record(index, stats);
        this.#load.onStats();
      },
      onReplace: ({ index }) => this.#metrics.restarted(index),
      onRetired: ({ index }) => this.#metrics.forget(index),
    });
    const workers = () => this.#pool.all;
    this.#metrics = new GatewayMetrics(workers, () => this.#descriptors.exhausted);
    this.#load = new LoadPublisher({
      maxConnections: () => this.#limits.maxConnections,
      maxBytesOutPerS: options.maxBytesOutPerS,
      isReady: () => this.readiness() === undefined,
      workers,
      logger,
    });
  }

  /** TCP listening address, host:port, once started; or `off`. */
  get address(): string {
    return this.#addressOf('port');
  }

  /** WebSocket listening address, host:port, once started; or `off`. */
  get wsAddress(): string {
    return this.#addressOf('wsPort');
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
    await this.#pool.drain(this.#drainMs, await this.#entry.redirects());
  });
  #drainMs = 0;

  drain(deadlineMs: number): Promise<void> {
    this.#drainMs = deadlineMs;
    return this.#drainOnce();
  }

  readonly stop = once(async (): Promise<void> => {
    this.#state = 'stopped';
    this.#forgetCertificate?.();
    this.#load.stop();
    this.#feed.stop();
    await this.#entry.deregister();
    this.#descriptors.stop();
    await this.#pool.stop();
    this.#metrics.close();
    await this.#number.release();
  });

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  /**
   * Applies another number of workers and other limits while running. Clients of a surplus worker are told to reconnect,
   * and reach the others.
   *
   * @param workers 0: one per core
   * @throws GochatError when a further worker cannot be started
   */
  reconfigure(workers: number, limits: Partial<GatewayLimits>): Promise<void> {
    const wanted = { ...DEFAULT_LIMITS, ...limits };
    // One after the other, even if the one before failed.
    this.#reconfigured = this.#reconfigured
      .catch(() => undefined)
      .then(() => this.#reconfigure(workers, wanted));
    return this.#reconfigured;
  }

  readiness(): string | undefined {
    const { workers } = this.#pool;
    if (this.#state === 'draining') return 'draining';
    if (this.#state !== 'running') return 'not started';
    if (this.#descriptors.exhausted) return 'no file descriptors are left; raise the limit of open files';
    if (!workers.some((worker) => worker.listening)) return 'no worker is listening';
    if (this.#number.held === undefined) return 'registry: the gateway has no number';
    if (!this.#feed.hasKeys) return 'no signing keys are published; start a state server';
    if (workers.some((worker) => worker.listening && worker.stats.readyLinks === 0))
      return 'no state server can be reached';
    return undefined;
  }

  liveness(): string | undefined {
    if (this.#state !== 'running') return undefined;
    return this.#pool.workers.some((worker) => worker.alive) ? undefined : 'no worker is alive';
  }

  async #start(): Promise<void> {
    const { host, port, wsPort, portFlag = '--port', certificate, workers = 0 } = this.#options;
    if (port === 'off' && wsPort === 'off')
      throw new GochatError('CONFIG_INVALID', { details: { what: 'Both ports of the gateway are off.' } });
    this.#clientTls = certificate && tlsMaterial(certificate.current);
    this.#forgetCertificate = certificate?.onChange((pair) => {
      this.#clientTls = tlsMaterial(pair);
      this.#pool.post({ kind: 'tls', tls: this.#clientTls });
    });
    await assertPortFree(host, port, portFlag);
    await assertPortFree(host, wsPort, '--ws-port');
    await this.#number.lease();
    this.#feed.start();
    await this.#pool.start(workers, { port, wsPort }, this.#limits);
    this.#state = 'running';
    this.#descriptors.start();
    const registration = await this.#entry.register({
      ports: this.#pool.ports as Ports,
      number: this.#number.value,
      tls: this.#clientTls !== undefined,
      load: this.#load.next(),
    });
    this.#load.start(registration);
    this.#logger.info(
      { tcp: this.address, ws: this.wsAddress, workers: this.#pool.workers.length },
      'gateway listens',
    );
  }

  #addressOf(which: keyof Ports): string {
    const port = this.#pool.ports?.[which] ?? 0;
    return port === 'off' ? port : joinAddress(this.#options.host, port);
  }

  async #reconfigure(workers: number, limits: GatewayLimits): Promise<void> {
    if (this.#state !== 'running') return;
    this.#limits = reloadedLimits(this.#limits, limits);
    const before = this.#pool.workers.length;
    const here = this.#entry.here(this.#pool.ports as Ports, this.#clientTls !== undefined);
    await this.#pool.resize(workers, this.#limits, here);
    this.#logger.info({ before, workers: this.#pool.workers.length }, 'gateway reconfigured');
  }

  #onDescriptors(exhausted: boolean): void {
    if (exhausted)
      this.#logger.error(
        'no file descriptors are left: the gateway accepts no clients until some are free; raise the limit of open files (ulimit -n)',
      );
    else this.#logger.info('file descriptors are free again: the gateway accepts clients');
    if (exhausted) this.#pool.pause();
    else this.#pool.resume();
  }

  #greeting(): ToWorker[] {
    const messages = [{ kind: 'gateway' as const, gateway: this.#number.held }, ...this.#feed.messages];
    const tls = this.#clientTls;
    return tls === undefined ? messages : [{ kind: 'tls', tls }, ...messages];
  }
}
