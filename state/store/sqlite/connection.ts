/** Runs SQL on an open SQLite file through statements that are prepared once. */
import type { DatabaseSync, SQLInputValue, StatementSync } from 'node:sqlite';
import {
  type Dialect,
  type Parameter,
  sql,
  type SqlDatabase,
  type SqlSession,
  type Statement,
} from '../sql.ts';
import { snapshot, transaction } from './database.ts';

/** A write transaction has the file to itself, so there is nothing to lock. */
const dialect: Dialect = {
  forChange: sql``,
  forRemoval: sql``,
  isTrue: sql`1`,
  greatest: sql`max`,
  jsonArray: sql`json_group_array`,
  joinedAt: sql`joined_at_ms`,
  nowMs: sql`(unixepoch() * 1000)`,
  listOf: (ids) => sql`(select value from json_each(${`[${ids.join(',')}]`}))`,
  placesOf: (places) => sql`(
    select value ->> 0 as id, value ->> 1 as seq, value ->> 2 as until
    from json_each(${`[${places.map((place) => `[${place.join(',')}]`).join(',')}]`})
  ) as place`,
};

/**
 * The texts are constants of the code, so there are as many statements as places that call it.
 *
 * `query` and `transaction` are what repositories shared with PostgreSQL need. A query is done before it returns, so
 * nothing but microtasks passes in a transaction; the caller still has to let one call end before it begins the next.
 */
export class SqliteConnection implements SqlDatabase {
  readonly dialect = dialect;
  readonly #database: DatabaseSync;
  readonly #prepared = new Map<string, StatementSync>();

  constructor(database: DatabaseSync) {
    this.#database = database;
  }

  async query<Row extends object = object>(statement: Statement): Promise<Row[]> {
    return this.rows<Row>(statement);
  }

  /** Takes the write lock at once. */
  transaction<T>(work: (session: SqlSession) => Promise<T>): Promise<T> {
    return transaction(this.#database, () => work(this));
  }

  /** Runs `work`, which only reads, on one snapshot. */
  snapshot<T>(work: () => T): T {
    return snapshot(this.#database, work);
  }

  // oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- Row is what the SQL selects.
  rows<Row extends object = object>({ textWithMarks, values }: Statement): Row[] {
    return this.#statement(textWithMarks).all(...values.map(toInput)) as Row[];
  }

  /** Runs a statement that gives no rows; returns how many it has changed. */
  run({ textWithMarks, values }: Statement): number {
    return Number(this.#statement(textWithMarks).run(...values.map(toInput)).changes);
  }

  /** Reads row by row; whoever stops early has read no more. */
  // oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- Row is what the SQL selects.
  each<Row extends object>({ textWithMarks, values }: Statement): Iterable<Row> {
    return this.#statement(textWithMarks).iterate(...values.map(toInput)) as Iterable<Row>;
  }

  #statement(text: string): StatementSync {
    let statement = this.#prepared.get(text);
    if (!statement) {
      statement = this.#database.prepare(text);
      this.#prepared.set(text, statement);
    }
    return statement;
  }
}

/** The driver knows no booleans, and would pass a number as floating point. */
function toInput(value: Parameter): SQLInputValue {
  return typeof value === 'boolean' || typeof value === 'number' ? BigInt(value) : value;
}
