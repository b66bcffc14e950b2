/** Runs SQL on a database through statements that are prepared once. */
import type { DatabaseSync, SQLInputValue, StatementSync } from 'node:sqlite';

export type Parameters = Record<string, SQLInputValue>;

/** The texts are constants of the code, so there are as many statements as places that call it. */
export class SqliteStatements {
  readonly #database: DatabaseSync;
  readonly #prepared = new Map<string, StatementSync>();

  constructor(database: DatabaseSync) {
    this.#database = database;
  }

  /** Returns the first row. */
  // oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- Row is what the SQL selects.
  get<Row>(sql: string, parameters: Parameters = {}): Row | undefined {
    return this.#statement(sql).get(parameters) as Row | undefined;
  }

  all<Row>(sql: string, parameters: Parameters = {}): Row[] {
    return this.#statement(sql).all(parameters) as Row[];
  }

  /** Reads row by row; whoever stops early has read no more. */
  // oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- Row is what the SQL selects.
  iterate<Row>(sql: string, parameters: Parameters = {}): Iterable<Row> {
    return this.#statement(sql).iterate(parameters) as Iterable<Row>;
  }

  /** Returns how many rows changed. */
  run(sql: string, parameters: Parameters = {}): number {
    return Number(this.#statement(sql).run(parameters).changes);
  }

  #statement(sql: string): StatementSync {
    let statement = this.#prepared.get(sql);
    if (!statement) {
      statement = this.#database.prepare(sql);
      this.#prepared.set(sql, statement);
    }
    return statement;
  }
}
