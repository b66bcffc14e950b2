/** Calls the SQLite worker: a tick's calls travel as one message, at most MAX_CALLS are under way. */
import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';
import { GochatError, type Logger } from '../../common/mod.ts';
import type { SqliteEngine } from './sqlite-engine.ts';
import type { Call, CallBatch, FromWorker, Method, Reply, WorkerSettings } from './sqlite-rpc.ts';

/** Above it calls are rejected: a disk that stalls must not fill the memory. */
const MAX_CALLS = 8192;

// The source tree has the worker as .ts, dist/ as .js.
const WORKER = new URL(`./sqlite-worker${extname(import.meta.url)}`, import.meta.url);

interface Waiting {
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: GochatError) => void;
  readonly deadline: number;
}

export interface SqliteClientOptions {
  readonly logger: Logger;
  /** How long a call may take, ms; also how long a statement waits for a lock of another process. */
  readonly timeoutMs: number;
}

/** Rejects calls with STORE_UNAVAILABLE when the worker has ended, the file fails, or no reply comes in time. */
export class SqliteClient {
  readonly #worker: Worker;
  readonly #timeoutMs: number;
  readonly #waiting = new Map<number, Waiting>();
  readonly #ended: Promise<void>;
  readonly #sweep: NodeJS.Timeout;
  #outbox: Call[] = [];
  #lastId = 0;
  #gone: Error | undefined;

  private constructor(worker: Worker, options: SqliteClientOptions) {
    this.#worker = worker;
    this.#timeoutMs = options.timeoutMs;
    this.#ended = new Promise((resolve) => {
      worker.once('exit', () => resolve());
    });
    worker.on('message', (message: FromWorker) => {
      if (message.kind === 'replies') for (const reply of message.replies) this.#settle(reply);
    });
    worker.on('error', (error) => options.logger.error({ err: error }, 'the SQLite worker failed'));
    worker.once('exit', () => this.#end(new Error('the SQLite worker has ended')));
    this.#sweep = setInterval(() => this.#rejectLate(), Math.max(50, options.timeoutMs / 10)).unref();
  }

  /** Starts the worker on the file; rejects with STORE_SCHEMA or STORE_UNREACHABLE. */
  static async open(path: string, options: SqliteClientOptions): Promise<SqliteClient> {
    const workerData: WorkerSettings = { path, busyTimeoutMs: options.timeoutMs };
    const worker = new Worker(WORKER, { workerData });
    const answer = await new Promise<FromWorker>((resolve) => {
      worker.once('message', resolve);
      worker.once('error', (error) =>
        resolve({
          kind: 'refused',
          schema: false,
          reason: error instanceof Error ? error.message : String(error),
        }),
      );
    });
    if (answer.kind !== 'refused') return new SqliteClient(worker, options);
    await worker.terminate();
    throw new GochatError(answer.schema ? 'STORE_SCHEMA' : 'STORE_UNREACHABLE', {
      details: { url: `sqlite://${path}`, reason: answer.reason },
    });
  }

  call<M extends Method>(
    method: M,
    ...args: Parameters<SqliteEngine[M]>
  ): Promise<ReturnType<SqliteEngine[M]>> {
    if (this.#gone) return Promise.reject(unavailable(this.#gone));
    if (this.#waiting.size >= MAX_CALLS)
      return Promise.reject(unavailable(new Error(`${MAX_CALLS} calls are waiting for the disk`)));
    const { promise, resolve, reject } = Promise.withResolvers<ReturnType<SqliteEngine[M]>>();
    const id = ++this.#lastId;
    this.#waiting.set(id, {
      resolve: (result) => resolve(result as ReturnType<SqliteEngine[M]>),
      reject,
      deadline: performance.now() + this.#timeoutMs,
    });
    if (this.#outbox.push({ id, method, args }) === 1) setImmediate(() => this.#flush());
    return promise;
  }

  /** Lets the calls under way finish, closes the file, and ends the worker. */
  async close(): Promise<void> {
    this.#flush();
    this.#gone ??= new Error('the store is closed');
    this.#post([]);
    const late = setTimeout(() => void this.#worker.terminate(), this.#timeoutMs);
    await this.#ended;
    clearTimeout(late);
  }

  #flush(): void {
    if (this.#outbox.length === 0 || this.#gone) return;
    this.#post(this.#outbox);
    this.#outbox = [];
  }

  #post(batch: CallBatch): void {
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- A worker is no window.
    this.#worker.postMessage(batch);
  }

  #settle({ id, result, failure }: Reply): void {
    const waiting = this.#waiting.get(id);
    if (!waiting) return; // Came after its deadline.
    this.#waiting.delete(id);
    if (!failure) waiting.resolve(result);
    else if (failure.unavailable) waiting.reject(unavailable(new Error(failure.message)));
    else waiting.reject(new GochatError('INTERNAL', { cause: new Error(failure.message) }));
  }

  /** Calls ascend by deadline, so it stops at the first that still has time. */
  #rejectLate(): void {
    const now = performance.now();
    for (const [id, waiting] of this.#waiting) {
      if (waiting.deadline > now) return;
      this.#waiting.delete(id);
      waiting.reject(unavailable(new Error(`no answer within ${this.#timeoutMs} ms`)));
    }
  }

  #end(reason: Error): void {
    clearInterval(this.#sweep);
    this.#gone ??= reason;
    for (const waiting of this.#waiting.values()) waiting.reject(unavailable(this.#gone));
    this.#waiting.clear();
    this.#outbox = [];
  }
}

function unavailable(cause: Error): GochatError {
  return new GochatError('STORE_UNAVAILABLE', { cause });
}
