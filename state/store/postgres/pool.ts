/** A pool of PostgreSQL connections whose calls have a deadline, are repeated where that helps, and never hang. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Backoff } from '../../../common/mod.ts';
import { storeError, troubleOf, Unreached } from './errors.ts';
import { postgresDialect, PostgresLender, type PostgresPoolOptions, type PostgresSession } from './lender.ts';

export type { PostgresPoolOptions } from './lender.ts';
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
  #lender: PostgresLender;

  constructor(target: PostgresTarget, options: PostgresPoolOptions) {
    this.#target = target;
    this.#options = options;
    this.#lender = this.#makeLender();
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
      const lender = this.#lender;
      try {
        return await lender.lend(deadline, work);
      } catch (error) {
        const isLate = performance.now() >= deadline;
        if (error instanceof Unreached) {
          unreached.push(error);
          if (this.#target.hosts.length > 1) {
            this.#replace(lender, error.message);
            if (isLate || unreached.length >= this.#target.hosts.length)
              throw storeError(new AggregateError(unreached));
            continue;
          }
        }
        const cause = error instanceof Unreached ? error.cause : error;
        const trouble = troubleOf(cause);
        if (trouble === 'stale') this.#replace(lender, 'the server is read-only');
        else if (isLate) this.#replace(lender, 'no answer in time');
        const delayMs = backoff.next();
        if (attempt >= MAX_ATTEMPTS[trouble] || performance.now() + delayMs >= deadline)
          throw storeError(cause);
        await sleep(delayMs);
      }
    }
  }

  /** Ends the pool; a server that does not let go of its connections is waited for until the timeout. */
  async close(): Promise<void> {
    await Promise.race([this.#lender.end(), sleep(this.#options.timeoutMs, undefined, { ref: false })]);
  }

  /** Goes on to the next host. Calls under way on the old connections go on until their own deadlines. */
  #replace(lender: PostgresLender, reason: string): void {
    if (this.#lender !== lender) return;
    const { logger } = this.#options;
    const { hosts } = this.#target;
    this.#hostIndex = (this.#hostIndex + 1) % hosts.length;
    // Of several, standbys among them, which one is used is told when it is.
    logger[hosts.length > 1 ? 'debug' : 'warn']({ reason }, 'replacing the connections to PostgreSQL');
    this.#lender = this.#makeLender();
    lender.end().catch((error: unknown) => logger.warn({ err: error }, 'ending old connections'));
  }

  #makeLender(): PostgresLender {
    const host = this.#target.hosts[this.#hostIndex] as PostgresHost;
    return new PostgresLender(this.#target, host, this.#options);
  }
}
