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
import { transaction } from './database.ts';

export type Parameters = Record<string, SQLInputValue>;

/** A write transaction has the file to itself, so there is nothing to lock. */
const dialect: Dialect = {
  forChange: sql``,
  forRemoval: sql``,
  isTrue: sql`1`,
  joinedAt: sql`joined_at_ms`,
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

  async query<Row extends object = object>({ textWithMarks, values }: Statement): Promise<Row[]> {
    return this.#statement(textWithMarks).all(...values.map(toInput)) as Row[];
  }

  /** Takes the write lock at once. */
  transaction<T>(work: (session: SqlSession) => Promise<T>): Promise<T> {
    return transaction(this.#database, () => work(this));
  }

  /** Returns the first row. */
  // oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- Row is what the SQL selects.
  get<Row>(text: string, parameters: Parameters = {}): Row | undefined {
    return this.#statement(text).get(parameters) as Row | undefined;
  }

  all<Row>(text: string, parameters: Parameters = {}): Row[] {
    return this.#statement(text).all(parameters) as Row[];
  }

  /** Reads row by row; whoever stops early has read no more. */
  // oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- Row is what the SQL selects.
  iterate<Row>(text: string, parameters: Parameters = {}): Iterable<Row> {
    return this.#statement(text).iterate(parameters) as Iterable<Row>;
  }

  /** Returns how many rows changed. */
  run(text: string, parameters: Parameters = {}): number {
    return Number(this.#statement(text).run(parameters).changes);
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
