/** A pool of PostgreSQL connections whose calls have a deadline, are repeated where that helps, and never hang. */
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { Backoff, type Logger } from '../../common/mod.ts';
import { storeError, troubleOf } from './postgres-errors.ts';
import type { Statement } from './postgres-sql.ts';

const MAX_CONNECT_MS = 5000;
const MAX_ATTEMPTS = { conflict: 6, lost: 2, stale: 2, unavailable: 1, bug: 1 };

export interface PostgresPoolOptions {
  /** Most connections. */
  readonly max: number;
  /** How long a call may take with its repeats, ms. */
  readonly timeoutMs: number;
  readonly logger: Logger;
}

/** One connection, for as long as it is lent. */
export interface PostgresSession {
  /** Runs a statement, which the server prepares once per connection. Columns of int8 are bigint. */
  query<Row extends object = object>(statement: Statement): Promise<Row[]>;
  /** Runs a script: several statements without parameters. */
  script(text: string): Promise<void>;
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
  #lender: Lender;

  constructor(url: string, options: PostgresPoolOptions) {
    this.#url = url;
    this.#options = options;
    this.#lender = new Lender(url, options);
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
    for (let attempt = 1; ; attempt++) {
      const lender = this.#lender;
      try {
        return await lender.lend(deadline, work);
      } catch (error) {
        const trouble = troubleOf(error);
        if (trouble === 'stale') this.#replace(lender, 'the server is read-only');
        else if (performance.now() >= deadline) this.#replace(lender, 'no answer in time');
        const delayMs = backoff.next();
        if (attempt >= MAX_ATTEMPTS[trouble] || performance.now() + delayMs >= deadline)
          throw storeError(error);
        await sleep(delayMs);
      }
    }
  }

  /** Ends the pool; a server that does not let go of its connections is waited for until the timeout. */
  async close(): Promise<void> {
    await Promise.race([this.#lender.end(), sleep(this.#options.timeoutMs, undefined, { ref: false })]);
  }

  /** Calls under way on the old connections go on until their own deadlines. */
  #replace(lender: Lender, reason: string): void {
    if (this.#lender !== lender) return;
    const { logger } = this.#options;
    logger.warn({ reason }, 'replacing the connections to PostgreSQL');
    this.#lender = new Lender(this.#url, this.#options);
    lender.end().catch((error: unknown) => logger.warn({ err: error }, 'ending old connections'));
  }
}

/** Parsers of column values: the driver's own, but int8 becomes bigint. */
export const columnTypes = new pg.TypeOverrides();
columnTypes.setTypeParser(pg.types.builtins.INT8, BigInt);

/**
 * Lends the connections of one pool.
 *
 * The connection that was used last is kept at hand instead of being given back: the driver's pool lends only in a later
 * tick, and an append would reach the server after all that its caller does in this one.
 */
class Lender {
  readonly #pool: pg.Pool;
  #atHand: pg.PoolClient | undefined;

  constructor(url: string, { max, timeoutMs, logger }: PostgresPoolOptions) {
    this.#pool = new pg.Pool({
      connectionString: url,
      max,
      connectionTimeoutMillis: Math.min(MAX_CONNECT_MS, timeoutMs),
      idleTimeoutMillis: 0,
      keepAlive: true,
      application_name: 'gochat',
      types: columnTypes,
    });
    // An error on a connection also rejects the call that uses it; an idle one is taken out of the pool.
    const note = (error: Error) => logger.debug({ err: error }, 'a connection to PostgreSQL broke');
    this.#pool.on('connect', (client) => {
      const broken = () => {
        if (this.#atHand === client) this.#giveBack(true);
      };
      client.on('error', note).on('error', broken).on('end', broken);
    });
    this.#pool.on('error', note);
  }

  /** Runs `work` on a connection, which is used again only if it is fit for another call. */
  async lend<T>(deadline: number, work: (session: PostgresSession) => Promise<T>): Promise<T> {
    const client = this.#take() ?? (await this.#pool.connect());
    try {
      const result = await work({
        query: async <Row extends object>(statement: Statement) => {
          const { text } = statement;
          const values = statement.values as pg.QueryConfigValues<unknown[]>;
          const { rows } = await run<Row & pg.QueryResultRow>(
            client,
            { text, values, name: nameOf(text) },
            deadline,
          );
          return rows;
        },
        script: async (text) => {
          await run(client, { text }, deadline);
        },
      });
      this.#keep(client);
      return result;
    } catch (error) {
      // It may be in a transaction, or the server may still be at work on the call.
      client.release(true);
      throw error;
    }
  }

  /** Resolves when all connections are closed, those that are lent when they come back. */
  end(): Promise<void> {
    this.#giveBack();
    return this.#pool.end();
  }

  #take(): pg.PoolClient | undefined {
    const client = this.#atHand;
    this.#atHand = undefined;
    return client;
  }

  #keep(client: pg.PoolClient): void {
    const wanted = this.#atHand !== undefined || this.#pool.waitingCount > 0 || this.#pool.ending;
    if (wanted) client.release();
    else this.#atHand = client;
  }

  #giveBack(isBroken = false): void {
    this.#take()?.release(isBroken);
  }
}

/**
 * Runs one query until the deadline; who calls ends the connection when it rejects.
 *
 * With a callback and no `query_timeout`: otherwise the driver assigns a closure to the query's property. V8 takes such
 * a closure for a method and puts it among the old objects, where, dead, it keeps the query alive until the next full
 * collection. With each minor one copying what they hold, a collection took six times as long.
 */
function run<Row extends pg.QueryResultRow>(
  client: pg.PoolClient,
  query: pg.QueryConfig,
  deadline: number,
): Promise<pg.QueryResult<Row>> {
  return new Promise((resolve, reject) => {
    const late = () => reject(new Error('PostgreSQL did not answer in time'));
    const timer = setTimeout(late, Math.max(1, Math.ceil(deadline - performance.now())));
    client.query<Row>(query, (error: Error | null | undefined, result) => {
      clearTimeout(timer);
      if (error) reject(error);
      else resolve(result);
    });
  });
}

/** Names of the prepared statements by text; the texts are those of the templates in this folder. */
const names = new Map<string, string>();

function nameOf(text: string): string {
  let name = names.get(text);
  if (name === undefined) {
    name = `g${names.size}`;
    names.set(text, name);
  }
  return name;
}
