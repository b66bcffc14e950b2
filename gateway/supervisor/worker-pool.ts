/** The pool of a gateway's workers: their number, their common messages and their end. */
import { availableParallelism } from 'node:os';
import { GochatError, listenError, type Logger } from '../../common/mod.ts';
import type { Ports, ToWorker, WorkerData } from './control.ts';
import type { AlternateGateway } from '../connections/redirect.ts';
import { type GatewayLimits, MAX_WORKERS, RESIZE_DRAIN_MS, shareOf } from '../limits.ts';
import { canReusePort } from '../accept/listen-check.ts';
import { ListenFailure, WorkerHandle } from './worker-handle.ts';
import type { WorkerStats } from './worker-stats.ts';

const TICK_MS = 1000;

/** Start options that the pool sets for each worker. */
type OwnData = 'worker' | 'host' | 'reusePort' | 'limits';

export interface WorkerPoolOptions {
  /** Entry module of the threads. */
  readonly entry: URL;
  readonly host: string;
  /** Command-line flags of the ports, for errors. */
  readonly flags: Readonly<Record<keyof Ports, string>>;
  readonly logger: Logger;
  /** Returns the current start options, without those that the pool sets. */
  readonly data: () => Omit<WorkerData, OwnData>;
  /** Returns the messages for a worker that has just started. */
  readonly greeting: () => readonly ToWorker[];
  readonly onStats: (handle: WorkerHandle, stats: WorkerStats) => void;
  /** A worker has ended by itself and is being replaced. */
  readonly onReplace: (handle: WorkerHandle) => void;
  /** A surplus worker has ended. */
  readonly onRetired: (handle: WorkerHandle) => void;
}

export class WorkerPool {
  readonly #options: WorkerPoolOptions;
  #workers: WorkerHandle[] = [];
  /** Surplus workers, until their clients have gone. */
  readonly #leaving = new Set<WorkerHandle>();
  #canShare = false;
  /** Whether the workers accept clients. */
  #isAccepting = true;
  #ports: Ports | undefined;
  #ticks: NodeJS.Timeout | undefined;

  constructor(options: WorkerPoolOptions) {
    this.#options = options;
  }

  /** The workers that take clients. */
  get workers(): readonly WorkerHandle[] {
    return this.#workers;
  }

  /** All workers, with those that are leaving. */
  get all(): readonly WorkerHandle[] {
    return [...this.#workers, ...this.#leaving];
  }

  /** The ports, once started. */
  get ports(): Ports | undefined {
    return this.#ports;
  }

  /**
   * Starts the workers.
   *
   * @param configured number of workers; 0: one per core
   * @param limits limits of the gateway; each worker gets its share
   * @throws GochatError PORT_IN_USE, LISTEN_FAILED
   */
  async start(configured: number, ports: Ports, limits: GatewayLimits): Promise<void> {
    this.#canShare = await canReusePort(this.#options.host);
    const count = this.#countOf(configured);
    const share = shareOf(limits, count);
    const workers = Array.from({ length: count }, (_, index) => this.#add(index, share));
    await Promise.all(workers.map((worker) => this.#reasoned(worker.start(), ports)));
    // The first one chooses the ports if they are 0; the others share them.
    const [first, ...others] = workers as [WorkerHandle, ...WorkerHandle[]];
    const taken = await this.#reasoned(first.listen(ports), ports);
    this.#ports = taken;
    await Promise.all(others.map((worker) => this.#reasoned(worker.listen(taken), taken)));
    this.#ticks = setInterval(() => {
      for (const worker of this.all) worker.tick();
    }, TICK_MS).unref();
  }

  /**
   * Changes the number of workers and the limits. Clients of a surplus worker are told to reconnect, and reach the others.
   *
   * @param here this gateway, as clients reach it
   */
  async resize(configured: number, limits: GatewayLimits, here: AlternateGateway): Promise<void> {
    const count = this.#countOf(configured);
    const share = shareOf(limits, count);
    for (const surplus of this.#workers.splice(count)) void this.#retire(surplus, here);
    for (const worker of this.#workers) worker.setLimits(share);
    while (this.#workers.length < count) await this.#join(share);
  }

  /** Stops accepting in all workers until `resume`. */
  pause(): void {
    this.#isAccepting = false;
    for (const worker of this.#workers) worker.pause();
  }

  resume(): void {
    this.#isAccepting = true;
    for (const worker of this.#workers) void worker.listen(this.#ports as Ports);
  }

  /** Posts a message to all workers, with those that are leaving. */
  post(message: ToWorker): void {
    for (const worker of this.all) worker.post(message);
  }

  /** Drains all workers; resolves when their connections have ended, or at the deadline. */
  async drain(deadlineMs: number, redirects: readonly AlternateGateway[]): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.drain(deadlineMs, redirects)));
  }

  async stop(): Promise<void> {
    clearInterval(this.#ticks);
    await Promise.all(this.all.map((worker) => worker.stop()));
  }

  #countOf(configured: number): number {
    const wanted = Math.min(configured || availableParallelism(), MAX_WORKERS);
    if (wanted === 1 || this.#canShare) return wanted;
    this.#options.logger.warn(
      { wanted, workers: 1 },
      'this platform cannot share a port between listeners (SO_REUSEPORT): the gateway runs with one worker',
    );
    return 1;
  }

  /** Returns the least index that no worker has, leaving ones included. */
  #freeIndex(): number {
    const taken = new Set(this.all.map(({ index }) => index));
    let index = 0;
    while (taken.has(index)) index++;
    return index;
  }

  /** Moves the clients of a worker to the others and stops it. */
  async #retire(worker: WorkerHandle, here: AlternateGateway): Promise<void> {
    this.#leaving.add(worker);
    await worker.drain(RESIZE_DRAIN_MS, [here]);
    await worker.stop();
    this.#leaving.delete(worker);
    this.#options.onRetired(worker);
  }

  #add(worker: number, limits: GatewayLimits): WorkerHandle {
    const { entry, host, logger, greeting, onStats, onReplace } = this.#options;
    const data: WorkerData = { ...this.#options.data(), worker, host, reusePort: this.#canShare, limits };
    const handle = new WorkerHandle({ entry, data, logger, greeting, onStats, onReplace });
    this.#workers.push(handle);
    return handle;
  }

  /** Starts one more worker. */
  async #join(limits: GatewayLimits): Promise<void> {
    const ports = this.#ports as Ports;
    const worker = this.#add(this.#freeIndex(), limits);
    try {
      await this.#reasoned(worker.start(), ports);
      if (this.#isAccepting) await this.#reasoned(worker.listen(ports), ports);
    } catch (error) {
      this.#workers = this.#workers.filter((other) => other !== worker);
      void worker.stop();
      throw error;
    }
  }

  /** Turns a failure to start or listen into a GochatError. */
  async #reasoned<T>(work: Promise<T>, ports: Ports): Promise<T> {
    try {
      return await work;
    } catch (error) {
      if (!(error instanceof ListenFailure)) throw GochatError.from(error);
      const { host, flags } = this.#options;
      throw listenError(error.reason, { host, port: ports[error.on] as number, flag: flags[error.on] });
    }
  }
}
