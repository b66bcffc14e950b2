/** Client of the SQLite worker: a tick's calls travel as one message, and at most MAX_CALLS are in flight. */
import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';
import { Backoff, GochatError, type Logger } from '../../../common/mod.ts';
import type { Method, SqliteEngine } from './engine.ts';
import type { Call, CallBatch, FromWorker, Reply, WorkerSettings } from './rpc.ts';

/** Most calls in flight: a stalled disk must not fill the memory. */
const MAX_CALLS = 8192;

const ENDED = 'the SQLite worker has ended';

// The source tree has the worker as .ts, dist/ as .js.
const WORKER = new URL(`./worker${extname(import.meta.url)}`, import.meta.url);

interface Waiting {
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: GochatError) => void;
  readonly deadline: number;
}

export interface SqliteClientOptions {
  readonly logger: Logger;
  /** Deadline of a call, ms; also the wait of a statement for another process's lock. */
  readonly timeoutMs: number;
}

/** Role of a worker, and name of its thread. */
export type WorkerName = 'sqlite-worker' | 'sqlite-reader';

/**
 * Rejects calls with STORE_UNAVAILABLE if the worker has ended, the file fails, or no reply comes in time.
 *
 * A worker that ends by itself is replaced, like a lost connection to a database server: its calls may or may not have
 * happened, and each is safe to repeat.
 */
export class SqliteClient {
  readonly #path: string;
  readonly #name: WorkerName;
  readonly #options: SqliteClientOptions;
  readonly #backoff = new Backoff({ baseMs: 100, maxMs: 5000 });
  readonly #waiting = new Map<number, Waiting>();
  readonly #sweep: NodeJS.Timeout;
  /** The worker with the open file; undefined while there is none. */
  #worker: Worker | undefined;
  #replacing: NodeJS.Timeout | undefined;
  #outbox: Call[] = [];
  #lastId = 0;
  #isClosed = false;

  private constructor(path: string, name: WorkerName, options: SqliteClientOptions) {
    this.#path = path;
    this.#name = name;
    this.#options = options;
    this.#sweep = setInterval(() => this.#rejectLate(), Math.max(50, options.timeoutMs / 10)).unref();
  }

  /** Starts the worker on the file; rejects with STORE_SCHEMA or STORE_UNREACHABLE. */
  static async open(path: string, name: WorkerName, options: SqliteClientOptions): Promise<SqliteClient> {
    const client = new SqliteClient(path, name, options);
    try {
      await client.#start();
    } catch (error) {
      await client.close();
      throw error;
    }
    return client;
  }

  call<M extends Method>(
    method: M,
    ...args: Parameters<SqliteEngine[M]>
  ): Promise<Awaited<ReturnType<SqliteEngine[M]>>> {
    type Result = Awaited<ReturnType<SqliteEngine[M]>>;
    if (this.#isClosed) return Promise.reject(unavailable(new Error('the store is closed')));
    if (this.#worker === undefined) return Promise.reject(unavailable(new Error(ENDED)));
    if (this.#waiting.size >= MAX_CALLS)
      return Promise.reject(unavailable(new Error(`${MAX_CALLS} calls are waiting for the disk`)));
    const { promise, resolve, reject } = Promise.withResolvers<Result>();
    const id = ++this.#lastId;
    this.#waiting.set(id, {
      resolve: (result) => resolve(result as Result),
      reject,
      deadline: performance.now() + this.#options.timeoutMs,
    });
    if (this.#outbox.push({ id, method, args }) === 1) setImmediate(() => this.#flush());
    return promise;
  }

  /** Waits for calls in flight, closes the file, and ends the worker. */
  async close(): Promise<void> {
    this.#flush();
    this.#isClosed = true;
    clearInterval(this.#sweep);
    clearTimeout(this.#replacing);
    const worker = this.#worker;
    if (worker === undefined) return;
    const ended = new Promise((resolve) => worker.once('exit', resolve));
    post(worker, []);
    const late = setTimeout(() => void worker.terminate(), this.#options.timeoutMs);
    await ended;
    clearTimeout(late);
  }

  /** Starts a worker and waits until it has opened the file. */
  async #start(): Promise<void> {
    const { logger, timeoutMs } = this.#options;
    const workerData: WorkerSettings = { path: this.#path, busyTimeoutMs: timeoutMs };
    const worker = new Worker(WORKER, { workerData, name: this.#name });
    const opening = Promise.withResolvers<FromWorker>();
    worker.on('message', (message: FromWorker) => {
      if (message.kind === 'replies') for (const reply of message.replies) this.#settle(reply);
      else opening.resolve(message);
    });
    worker.on('error', (error) => {
      logger.error({ err: error }, 'the SQLite worker failed');
      opening.resolve({ kind: 'refused', schema: false, reason: messageOf(error) });
    });
    worker.on('exit', () => {
      opening.resolve({ kind: 'refused', schema: false, reason: ENDED });
      if (this.#worker === worker) this.#onEnd();
    });
    const answer = await opening.promise;
    if (answer.kind !== 'refused') {
      this.#worker = worker;
      return;
    }
    await worker.terminate();
    throw new GochatError(answer.schema ? 'STORE_SCHEMA' : 'STORE_UNREACHABLE', {
      details: { url: `sqlite://${this.#path}`, reason: answer.reason },
    });
  }

  #onEnd(): void {
    this.#worker = undefined;
    for (const { reject } of this.#waiting.values()) reject(unavailable(new Error(ENDED)));
    this.#waiting.clear();
    this.#outbox = [];
    if (this.#isClosed) return;
    this.#options.logger.error('the SQLite worker has ended; starting another one');
    this.#replace();
  }

  #replace(): void {
    this.#replacing = setTimeout(() => {
      this.#start().then(
        () => this.#onReplaced(),
        (error: unknown) => {
          this.#options.logger.error({ err: error }, 'could not start the SQLite worker; trying again');
          if (!this.#isClosed) this.#replace();
        },
      );
    }, this.#backoff.next());
  }

  #onReplaced(): void {
    this.#backoff.reset();
    this.#options.logger.warn('the SQLite worker is replaced');
    // The client was closed meanwhile.
    if (this.#isClosed) void this.close();
  }

  #flush(): void {
    if (this.#outbox.length === 0 || this.#worker === undefined) return;
    post(this.#worker, this.#outbox);
    this.#outbox = [];
  }

  #settle({ id, result, failure }: Reply): void {
    const waiting = this.#waiting.get(id);
    if (!waiting) return; // Came after its deadline.
    this.#waiting.delete(id);
    if (!failure) waiting.resolve(result);
    else if (failure.unavailable) waiting.reject(unavailable(new Error(failure.message)));
    else waiting.reject(new GochatError('INTERNAL', { cause: new Error(failure.message) }));
  }

  /** Rejects overdue calls; they ascend by deadline, so it stops at the first that is not. */
  #rejectLate(): void {
    const now = performance.now();
    for (const [id, waiting] of this.#waiting) {
      if (waiting.deadline > now) return;
      this.#waiting.delete(id);
      waiting.reject(unavailable(new Error(`no answer within ${this.#options.timeoutMs} ms`)));
    }
  }
}

function post(worker: Worker, batch: CallBatch): void {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- A worker is no window.
  worker.postMessage(batch);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function unavailable(cause: Error): GochatError {
  return new GochatError('STORE_UNAVAILABLE', { cause });
}
