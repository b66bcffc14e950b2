/** The connections to one PostgreSQL host: prepared when new, lent for one call, closed after an error. */
import { createHash } from 'node:crypto';
import pg from 'pg';
import type { Logger } from '../../../common/mod.ts';
import { integerArray } from './arrays.ts';
import { Unreached } from './errors.ts';
import { type Dialect, sql, type SqlSession, type Statement } from '../sql.ts';
import type { PostgresHost, PostgresTarget } from './url.ts';

const MAX_CONNECT_MS = 5000;
/** Message of the driver's pool if all connections stay busy. */
const POOL_TIMEOUT_MESSAGE = 'timeout exceeded when trying to connect';
/**
 * Values of synchronous_commit with which a commit is answered after it is on disk, or on a synchronous standby too.
 */
const DURABLE_COMMITS = new Set(['on', 'remote_apply']);
/**
 * Server function that warns when the wait for a synchronous standby is cancelled; the commit still succeeds.
 * The message text is translated, the function name is not.
 * https://github.com/postgres/postgres/blob/master/src/backend/replication/syncrep.c
 */
const SYNC_WAIT_ROUTINE = 'SyncRepWaitForLSN';

interface ServerState {
  readonly standby: boolean;
  /** Whether the server connection is ours alone, without a pooler between. */
  readonly own: boolean;
  readonly commit: string;
  readonly messages: string;
}

/**
 * Queries the state of the server and, on a connection of our own, raises settings that are too low; in one statement.
 *
 * Statements are planned once for a connection, with an index probe per row, whatever the statistics are then: planning a page
 * of history takes five times as long as reading it, and a plan for small tables would read whole ones later. Compiling a
 * statement (jit) takes longer than any of ours runs.
 */
const prepareText = (pid: number) => `
  select pg_is_in_recovery() as standby, own,
         case when own and commit <> 'remote_apply' then set_config('synchronous_commit', 'on', false)
              else commit end as commit,
         case when own and messages = 'error' then set_config('client_min_messages', 'warning', false)
              else messages end as messages,
         case when own then set_config('jit', 'off', false) end,
         case when own then set_config('plan_cache_mode', 'force_generic_plan', false) end,
         case when own then set_config('enable_seqscan', 'off', false) end,
         case when own then set_config('enable_hashjoin', 'off', false) end,
         case when own then set_config('enable_mergejoin', 'off', false) end
  from (select pg_backend_pid() = ${pid} as own, current_setting('synchronous_commit') as commit,
               current_setting('client_min_messages') as messages) s`;

export interface PostgresPoolOptions {
  /** Most connections. */
  readonly max: number;
  /** Deadline of a call with its retries, ms. */
  readonly timeoutMs: number;
  readonly logger: Logger;
}

/** Appends lock the rows of their conversations in the same way (migrations/postgres). */
export const postgresDialect: Dialect = {
  forChange: sql`for no key update`,
  forRemoval: sql`for update`,
  isTrue: sql`true`,
  greatest: sql`greatest`,
  jsonArray: sql`json_agg`,
  joinedAt: sql`joined_at`,
  nowMs: sql`(extract(epoch from now()) * 1000)::bigint`,
  listOf: (ids) => sql`(select unnest(${integerArray(ids)}::bigint[]))`,
  placesOf: (places) => sql`unnest(
    ${integerArray(places.map(([id]) => id))}::bigint[], ${integerArray(places.map(([, seq]) => seq))}::bigint[],
    ${integerArray(places.map(([, , until]) => until))}::bigint[]
  ) as place (id, seq, until)`,
};

/** A connection while it is lent. The server prepares each statement once per connection. */
export interface PostgresSession extends SqlSession {
  /** Runs a script: several statements without parameters. */
  script(text: string): Promise<void>;
}

/** Parsers of column values: the driver's own, but int8 becomes bigint. */
export const columnTypes = new pg.TypeOverrides();
columnTypes.setTypeParser(pg.types.builtins.INT8, BigInt);

/**
 * Lends the connections of one host's pool.
 *
 * The connection used last is kept as a spare instead of being released: the driver's pool lends only in a later tick,
 * so an append would reach the server after everything else that its caller does in this one.
 */
export class PostgresHostPool {
  readonly #pool: pg.Pool;
  #spare: pg.PoolClient | undefined;

  readonly #host: string;
  readonly #logger: Logger;
  readonly #connectMs: number;
  /** Whether prepared statements have names. */
  #isNaming = true;
  /** Whether the use of this host was logged; not done for a single host. */
  #isTold: boolean;
  /** Connections on which a commit was answered without the standby's confirmation. */
  readonly #unconfirmed = new WeakSet<pg.ClientBase>();

  constructor(target: PostgresTarget, { host, port }: PostgresHost, options: PostgresPoolOptions) {
    const { max, timeoutMs, logger } = options;
    const { user, password, database, ssl, hosts } = target;
    this.#host = `${host}:${port}`;
    this.#logger = logger;
    this.#isTold = hosts.length === 1;
    // A call can try each host before its own deadline.
    this.#connectMs = Math.min(MAX_CONNECT_MS, Math.ceil(timeoutMs / hosts.length));
    this.#pool = new pg.Pool({
      host,
      port,
      user,
      password,
      database,
      ssl,
      max,
      connectionTimeoutMillis: this.#connectMs,
      idleTimeoutMillis: 0,
      keepAlive: true,
      application_name: 'gochat',
      types: columnTypes,
      // The pool awaits the promise, whatever its types say: https://node-postgres.com/apis/pool
      onConnect: this.#prepare.bind(this) as (client: pg.ClientBase) => void,
    });
    // An error on a connection also rejects the call that uses it; an idle connection is removed from the pool.
    const note = (error: Error) => logger.debug({ err: error }, 'a connection to PostgreSQL broke');
    this.#pool.on('connect', (client) => {
      const broken = () => {
        if (this.#spare === client) this.#releaseSpare(true);
      };
      client.on('error', note).on('error', broken).on('end', broken);
      client.on('notice', ({ routine }) => {
        if (routine === SYNC_WAIT_ROUTINE) this.#unconfirmed.add(client);
      });
    });
    this.#pool.on('error', note);
  }

  /** Runs `work` on a connection, which is reused only if `work` succeeds. */
  async lend<T>(deadline: number, work: (session: PostgresSession) => Promise<T>): Promise<T> {
    const client = this.#take() ?? (await this.#connect());
    try {
      const result = await work({
        dialect: postgresDialect,
        query: async <Row extends object>(statement: Statement) => {
          const { text } = statement;
          const values = statement.values as pg.QueryConfigValues<unknown[]>;
          const { rows } = await run<Row & pg.QueryResultRow>(
            client,
            this.#isNaming ? { text, values, name: nameOf(text) } : { text, values },
            deadline,
          );
          return rows;
        },
        script: async (text) => {
          await run(client, { text }, deadline);
        },
      });
      if (this.#unconfirmed.has(client))
        throw new Error('the wait for the standby was cancelled: the commit may be on this server alone');
      this.#keep(client);
      return result;
    } catch (error) {
      // It may be in a transaction, or the server may still be working on the call.
      client.release(true);
      throw error;
    }
  }

  /** Resolves when all connections are closed, lent ones after their return. */
  end(): Promise<void> {
    this.#releaseSpare();
    return this.#pool.end();
  }

  async #connect(): Promise<pg.PoolClient> {
    try {
      return await this.#pool.connect();
    } catch (error) {
      // All connections are busy: the host is well.
      if ((error as Error).message === POOL_TIMEOUT_MESSAGE) throw error;
      throw new Unreached(this.#host, error);
    }
  }

  /** Prepares a new connection, whatever the defaults of the server, the database and the role. */
  async #prepare(client: pg.ClientBase): Promise<void> {
    const deadline = performance.now() + this.#connectMs;
    const pid = Number((client as { processID?: unknown }).processID ?? 0);
    const { rows } = await run<ServerState>(client, { text: prepareText(pid) }, deadline);
    const { standby, own, commit, messages } = rows[0] as ServerState;
    if (standby) throw new Error('it is a standby');
    // A pooler reports its own process number. It may run each transaction on another server connection, so nothing
    // about a connection can be relied on: neither prepared statements nor settings.
    if (!own) this.#isNaming = false;
    if (!DURABLE_COMMITS.has(commit)) throw tooLow('synchronous_commit', commit, 'on');
    if (messages === 'error') throw tooLow('client_min_messages', messages, 'warning');
    if (!this.#isTold) this.#logger.info({ host: this.#host }, 'connected to PostgreSQL');
    this.#isTold = true;
  }

  #take(): pg.PoolClient | undefined {
    const client = this.#spare;
    this.#spare = undefined;
    return client;
  }

  #keep(client: pg.PoolClient): void {
    const wanted = this.#spare !== undefined || this.#pool.waitingCount > 0 || this.#pool.ending;
    if (wanted) client.release();
    else this.#spare = client;
  }

  #releaseSpare(isBroken = false): void {
    this.#take()?.release(isBroken);
  }
}

/**
 * Runs one query until the deadline; the caller closes the connection if it rejects.
 *
 * With a callback and no `query_timeout`: otherwise the driver assigns a closure to a property of the query. V8 takes
 * such a closure for a method and places it among old objects, where it keeps the query alive until the next full
 * collection. As each minor collection copies what such closures hold, collections took six times as long.
 */
function run<Row extends pg.QueryResultRow>(
  client: pg.ClientBase,
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

function tooLow(name: string, value: string, wanted: string): Error {
  return new Error(
    `${name} is ${value} and cannot be raised behind a connection pooler; run on the server: ` +
      `alter role ROLE set ${name} = '${wanted}'`,
  );
}

/** Names of prepared statements by text; the texts are those of the templates in this folder. */
const names = new Map<string, string>();

/** Returns the name of a statement, derived from its text, so that a name always means the same statement. */
function nameOf(text: string): string {
  let name = names.get(text);
  if (name === undefined) {
    name = `gochat_${createHash('sha256').update(text).digest('hex').slice(0, 32)}`;
    names.set(text, name);
  }
  return name;
}
