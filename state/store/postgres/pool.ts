/** A pool of PostgreSQL connections whose calls have deadlines and retries, and never hang. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Backoff } from '../../../common/mod.ts';
import { storeError, troubleOf, Unreached } from './errors.ts';
import {
  postgresDialect,
  PostgresHostPool,
  type PostgresPoolOptions,
  type PostgresSession,
} from './host-pool.ts';

export type { PostgresPoolOptions } from './host-pool.ts';
import type { SqlDatabase, Statement } from '../sql.ts';
import type { PostgresHost, PostgresTarget } from './url.ts';

const MAX_ATTEMPTS = { conflict: 6, lost: 2, stale: 2, unavailable: 1, bug: 1 };

/**
 * Runs calls that are safe to repeat.
 *
 * A call that loses its connection is repeated once on a new one; one that loses a conflict is repeated up to 5 times.
 * When a call passes its deadline the whole pool is replaced, because a server that hangs would hold every connection.
 * Of several hosts the next one is tried when one cannot be reached, is a standby or hangs, each once in a call.
 */
export class PostgresPool implements SqlDatabase {
  readonly dialect = postgresDialect;
  readonly #target: PostgresTarget;
  readonly #options: PostgresPoolOptions;
  #hostIndex = 0;
  #hostPool: PostgresHostPool;

  constructor(target: PostgresTarget, options: PostgresPoolOptions) {
    this.#target = target;
    this.#options = options;
    this.#hostPool = this.#openHostPool();
  }

  /** Resolves with the rows; rejects with a GochatError. */
  query<Row extends object = object>(statement: Statement): Promise<Row[]> {
    return this.#run((session) => session.query<Row>(statement));
  }

  /** Runs `work` in one transaction, which is rolled back when it rejects; rejects with a GochatError. */
  transaction<T>(work: (session: PostgresSession) => Promise<T>): Promise<T> {
    return this.#run(async (session) => {
      await session.script('begin');
      const result = await work(session);
      await session.script('commit');
      return result;
    });
  }

  async #run<T>(work: (session: PostgresSession) => Promise<T>): Promise<T> {
    const backoff = new Backoff({ baseMs: 5, maxMs: 200 });
    const deadline = performance.now() + this.#options.timeoutMs;
    const unreached: Unreached[] = [];
    for (let attempt = 1; ; attempt++) {
      const hostPool = this.#hostPool;
      try {
        return await hostPool.lend(deadline, work);
      } catch (error) {
        const isLate = performance.now() >= deadline;
        if (error instanceof Unreached) {
          unreached.push(error);
          if (this.#target.hosts.length > 1) {
            this.#replace(hostPool, error.message);
            if (isLate || unreached.length >= this.#target.hosts.length)
              throw storeError(new AggregateError(unreached));
            continue;
          }
        }
        const cause = error instanceof Unreached ? error.cause : error;
        const trouble = troubleOf(cause);
        if (trouble === 'stale') this.#replace(hostPool, 'the server is read-only');
        else if (isLate) this.#replace(hostPool, 'no answer in time');
        const delayMs = backoff.next();
        if (attempt >= MAX_ATTEMPTS[trouble] || performance.now() + delayMs >= deadline)
          throw storeError(cause);
        await sleep(delayMs);
      }
    }
  }

  /** Closes the pool; waits at most the timeout for a server that does not release its connections. */
  async close(): Promise<void> {
    await Promise.race([this.#hostPool.end(), sleep(this.#options.timeoutMs, undefined, { ref: false })]);
  }

  /** Moves on to the next host. Calls in flight on the old connections go on until their own deadlines. */
  #replace(hostPool: PostgresHostPool, reason: string): void {
    if (this.#hostPool !== hostPool) return;
    const { logger } = this.#options;
    const { hosts } = this.#target;
    this.#hostIndex = (this.#hostIndex + 1) % hosts.length;
    // With several hosts, standbys among them, the one in use is logged on connection.
    logger[hosts.length > 1 ? 'debug' : 'warn']({ reason }, 'replacing the connections to PostgreSQL');
    this.#hostPool = this.#openHostPool();
    hostPool.end().catch((error: unknown) => logger.warn({ err: error }, 'ending old connections'));
  }

  #openHostPool(): PostgresHostPool {
    const host = this.#target.hosts[this.#hostIndex] as PostgresHost;
    return new PostgresHostPool(this.#target, host, this.#options);
  }
}
