/** The supervisor's side of one worker thread: starts it, replaces it when it fails, ends it. */
import { Worker } from 'node:worker_threads';
import { Backoff, type Logger } from '../../common/mod.ts';
import type { FromWorker, Ports, ToWorker, WorkerData } from './control.ts';
import type { AlternateGateway } from '../connections/redirect.ts';
import type { GatewayLimits } from '../limits.ts';
import { newWorkerStats, type WorkerStats } from './worker-stats.ts';

/** A worker reports once a second. */
const MAX_SILENT_TICKS = 30;
/** A worker that has not stopped by itself within this time is terminated. */
const STOP_TIMEOUT_MS = 1500;

/** The failure of a worker to listen. */
export class ListenFailure extends Error {
  override readonly name = 'ListenFailure';
  readonly on: keyof Ports;
  /** Code of the system's error, such as EADDRINUSE. */
  readonly reason: string;

  constructor(on: keyof Ports, reason: string) {
    super(`cannot listen: ${reason}`);
    this.on = on;
    this.reason = reason;
  }
}

export interface WorkerHandleOptions {
  /** Entry module of the thread. */
  readonly entry: URL;
  readonly data: WorkerData;
  readonly logger: Logger;
  /** Returns the messages for a worker that has just started. */
  readonly greeting: () => readonly ToWorker[];
  readonly onStats: (handle: WorkerHandle, stats: WorkerStats) => void;
  /** The worker has ended by itself and is being replaced. */
  readonly onReplace: (handle: WorkerHandle) => void;
  readonly backoff?: Backoff;
}

/**
 * Runs one worker at a time. Once it has listened, it is replaced whenever it ends by itself.
 *
 * A worker listens only when it can serve: a shared port gives clients to each worker that listens, and one that has not
 * reached state yet would refuse its share of them.
 */
export class WorkerHandle {
  readonly #options: WorkerHandleOptions;
  readonly #backoff: Backoff;
  #data: WorkerData;
  #worker: Worker | undefined;
  /** Whether it can serve clients, or its start deadline has passed. */
  #isReady = false;
  /** Ports to listen on; undefined while paused. */
  #ports: Ports | undefined;
  #listening = false;
  /** Whether its first start has succeeded. */
  #hasListened = false;
  #stats = newWorkerStats();
  /** Ticks since the worker last reported. */
  #silentTicks = 0;
  /** Timer of the next restart or attempt to listen. */
  #timer: NodeJS.Timeout | undefined;
  readonly #started = Promise.withResolvers<void>();
  readonly #listened = Promise.withResolvers<Ports>();
  /** Drain of the running worker. */
  #drained = Promise.withResolvers<void>();
  #stopped = Promise.withResolvers<void>();
  #stopping = false;

  constructor(options: WorkerHandleOptions) {
    this.#options = options;
    this.#data = options.data;
    this.#backoff = options.backoff ?? new Backoff({ baseMs: 100, maxMs: 5000 });
    // A rejection must not be unhandled if nothing waits for it.
    for (const { promise } of [this.#started, this.#listened]) promise.catch(() => undefined);
  }

  get index(): number {
    return this.#data.worker;
  }

  get listening(): boolean {
    return this.#listening;
  }

  /** Stats of the running worker. */
  get stats(): WorkerStats {
    return this.#stats;
  }

  /** Whether it runs and has reported lately. */
  get alive(): boolean {
    return this.#isReady && this.#silentTicks < MAX_SILENT_TICKS;
  }

  /**
   * Called once a second. A worker that has not reported for 30 s hangs: it is terminated, and so replaced. Ticks are
   * counted and not the time, because a process that was frozen as a whole goes on.
   */
  tick(): void {
    this.#silentTicks++;
    if (!this.#isReady || this.#silentTicks !== MAX_SILENT_TICKS) return;
    this.#options.logger.error({ worker: this.index }, 'a gateway worker hangs: it is terminated');
    void this.#worker?.terminate();
  }

  /** Starts the thread; resolves when it is ready to listen. Rejects with the error that ended it before that. */
  start(): Promise<void> {
    this.#spawn();
    return this.#started.promise;
  }

  /**
   * Makes this worker and its replacements accept clients as soon as they can serve them.
   *
   * Resolves with the ports when it first does. Rejects with ListenFailure if its first attempt fails, or with the error
   * that ended it before. A worker that later cannot listen keeps its clients and tries again.
   */
  listen(ports: Ports): Promise<Ports> {
    this.#ports = ports;
    this.#listen();
    return this.#listened.promise;
  }

  /** Stops accepting until `listen`. */
  pause(): void {
    this.#ports = undefined;
    this.#listening = false;
    this.post({ kind: 'pause' });
  }

  /** Sets the limits of this worker and its replacements. */
  setLimits(limits: GatewayLimits): void {
    this.#data = { ...this.#data, limits };
    this.post({ kind: 'limits', limits });
  }

  post(message: ToWorker): void {
    this.#worker?.postMessage(message, []);
  }

  /** Drains the worker; resolves when its connections or the worker itself have ended. */
  drain(deadlineMs: number, redirects: readonly AlternateGateway[]): Promise<void> {
    // It is not replaced from now on.
    this.#stopping = true;
    clearTimeout(this.#timer);
    if (this.#worker === undefined) return Promise.resolve();
    this.post({ kind: 'drain', deadlineMs, redirects });
    return this.#drained.promise;
  }

  /** Ends the thread. */
  async stop(): Promise<void> {
    this.#stopping = true;
    clearTimeout(this.#timer);
    const worker = this.#worker;
    if (worker === undefined) return;
    this.post({ kind: 'stop' });
    const timer = setTimeout(() => this.#stopped.resolve(), STOP_TIMEOUT_MS);
    await this.#stopped.promise;
    clearTimeout(timer);
    await worker.terminate();
  }

  #listen(): void {
    if (this.#isReady && this.#ports !== undefined && !this.#stopping)
      this.post({ kind: 'listen', ...this.#ports });
  }

  #spawn(): void {
    const worker = new Worker(this.#options.entry, {
      workerData: this.#data,
      name: `gateway-worker-${this.index}`,
    });
    this.#worker = worker;
    this.#drained = Promise.withResolvers();
    this.#stopped = Promise.withResolvers();
    for (const message of this.#options.greeting()) worker.postMessage(message, []);
    worker.on('message', (message: FromWorker) => this.#onMessage(worker, message));
    worker.on('error', (error) => {
      this.#options.logger.error({ err: error, worker: this.index }, 'a gateway worker ended with an error');
      this.#reject(error);
    });
    worker.on('exit', (exitCode) => this.#onExit(exitCode));
  }

  #onMessage(worker: Worker, message: FromWorker): void {
    switch (message.kind) {
      case 'ready':
        this.#isReady = true;
        this.#silentTicks = 0;
        this.#started.resolve();
        this.#listen();
        break;
      case 'listening': {
        const { port, wsPort } = message;
        this.#hasListened = true;
        this.#backoff.reset();
        this.#listened.resolve({ port, wsPort });
        this.#listening = this.#ports !== undefined;
        // A replacement listens on the same ports, unless the worker was paused meanwhile.
        if (this.#listening) this.#ports = { port, wsPort };
        else this.post({ kind: 'pause' });
        break;
      }
      case 'refused':
        this.#reject(new ListenFailure(message.on, message.reason));
        this.#options.logger.error(
          { worker: this.index, on: message.on, reason: message.reason },
          'a gateway worker cannot listen',
        );
        clearTimeout(this.#timer);
        this.#timer = setTimeout(() => this.#listen(), this.#backoff.next());
        break;
      case 'stats':
        this.#silentTicks = 0;
        this.#stats = message.stats;
        this.#options.onStats(this, message.stats);
        break;
      case 'drained':
        this.#drained.resolve();
        break;
      case 'stopped':
        this.#stopped.resolve();
        break;
      case 'failed':
        void worker.terminate();
        break;
    }
  }

  /** Fails the start; no effect after it has listened. */
  #reject(error: Error): void {
    this.#started.reject(error);
    this.#listened.reject(error);
  }

  #onExit(exitCode: number): void {
    this.#worker = undefined;
    this.#isReady = false;
    this.#listening = false;
    this.#drained.resolve();
    this.#stopped.resolve();
    this.#reject(new Error(`the worker ended with exit code ${exitCode} before it listened`));
    clearTimeout(this.#timer);
    if (this.#stopping || !this.#hasListened) return;
    this.#stats = newWorkerStats();
    this.#options.onReplace(this);
    const waitMs = this.#backoff.next();
    this.#options.logger.warn({ worker: this.index, exitCode, waitMs }, 'a gateway worker is replaced');
    this.#timer = setTimeout(() => this.#spawn(), waitMs);
  }
}
