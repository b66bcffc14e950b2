/** A pool of PostgreSQL connections whose calls have a deadline, are repeated where that helps, and never hang. */
import postgres from 'postgres';
import { setTimeout as sleep } from 'node:timers/promises';
import { Backoff, type Logger } from '../../common/mod.ts';
import { storeError, troubleOf } from './postgres-errors.ts';

/** int8 columns are bigint. */
export type Sql = postgres.Sql<{ bigint: bigint }>;

const CONNECT_TIMEOUT_S = 5;
const MAX_RECONNECT_DELAY_S = 1;
const MAX_ATTEMPTS = { conflict: 6, lost: 2, stale: 2, unavailable: 1, bug: 1 };

export interface PostgresPoolOptions {
  /** Most connections. */
  readonly max: number;
  /** How long a call may take with its repeats, ms. */
  readonly timeoutMs: number;
  readonly logger: Logger;
}

/** Opens connections lazily; a broken one is replaced by the driver at the next call. */
export function connect(url: string, max: number, logger: Logger): Sql {
  return postgres(url, {
    max,
    types: { bigint: postgres.BigInt },
    // Array parameters are literals (postgres-arrays.ts), so the driver need not ask for the array types.
    fetch_types: false,
    connect_timeout: CONNECT_TIMEOUT_S,
    backoff: (failures: number) => Math.min(MAX_RECONNECT_DELAY_S, 0.05 * 2 ** Math.min(failures, 10)),
    connection: { application_name: 'gochat' },
    onnotice: (notice) => logger.debug({ notice: notice['message'] }, 'notice of PostgreSQL'),
  });
}

/**
 * Runs calls that are safe to repeat.
 *
 * A call that loses its connection is repeated once on a new one; one that loses a conflict is repeated up to 5 times.
 * When a call passes its deadline the whole pool is replaced, because a server that hangs would hold every connection.
 */
export class PostgresPool {
  readonly #url: string;
  readonly #options: PostgresPoolOptions;
  #sql: Sql;

  constructor(url: string, options: PostgresPoolOptions) {
    this.#url = url;
    this.#options = options;
    this.#sql = connect(url, options.max, options.logger);
  }

  /** Resolves with what `work` resolves with; rejects with a GochatError. */
  async run<T>(work: (sql: Sql) => Promise<T>): Promise<T> {
    const used = this.#sql;
    const { promise: late, reject } = Promise.withResolvers<never>();
    const timer = setTimeout(() => {
      this.#replace(used, 'no answer in time');
      reject(
        Object.assign(new Error(`no answer within ${this.#options.timeoutMs} ms`), { code: 'ETIMEDOUT' }),
      );
    }, this.#options.timeoutMs);
    try {
      return await Promise.race([this.#attempt(work), late]);
    } catch (error) {
      throw storeError(error);
    } finally {
      clearTimeout(timer);
    }
  }

  async #attempt<T>(work: (sql: Sql) => Promise<T>): Promise<T> {
    const backoff = new Backoff({ baseMs: 5, maxMs: 200 });
    for (let attempt = 1; ; attempt++) {
      const sql = this.#sql;
      try {
        return await work(sql);
      } catch (error) {
        const trouble = troubleOf(error);
        if (trouble === 'stale') this.#replace(sql, 'the server is read-only');
        if (attempt >= MAX_ATTEMPTS[trouble]) throw error;
        await sleep(backoff.next());
      }
    }
  }

  /** Ends the pool after the calls under way, at the latest after the timeout. */
  async close(): Promise<void> {
    await this.#sql.end({ timeout: this.#options.timeoutMs / 1000 });
  }

  /** Calls still under way on the old connections are rejected by the driver. */
  #replace(sql: Sql, reason: string): void {
    if (this.#sql !== sql) return;
    const { logger, max } = this.#options;
    logger.warn({ reason }, 'replacing the connections to PostgreSQL');
    this.#sql = connect(this.#url, max, logger);
    sql.end({ timeout: 0 }).catch((error: unknown) => logger.warn({ err: error }, 'ending old connections'));
  }
}
