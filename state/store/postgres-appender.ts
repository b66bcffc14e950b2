/** Appends to the log on PostgreSQL: in the hope that all is new, and where it is not, draft by draft. */
import { AppendBatch, type AppendRow } from './postgres-append.ts';
import { AppendNewBatch, type AppendNewRow } from './postgres-append-new.ts';
import { PostgresPool, type PostgresPoolOptions } from './postgres-pool.ts';
import { sql } from './postgres-sql.ts';
import type { Appended, Draft } from './store.ts';

/** One append runs and one may wait for the same locks; more would only queue in the server. */
const CONNECTIONS = 2;
/**
 * After a batch that was not all new messages of members this many are taken without that hope: repetitions come in
 * bursts, and who repeats or intrudes on purpose must not double the work of every append.
 */
const WARY_APPENDS = 50;

/** It has connections of its own: no reader delays a commit. */
export class PostgresAppender {
  readonly #pool: PostgresPool;
  /** Appends that are still to be made without hope. */
  #wary = 0;

  constructor(url: string, options: Omit<PostgresPoolOptions, 'max'>) {
    this.#pool = new PostgresPool(url, { ...options, max: CONNECTIONS });
  }

  close(): Promise<void> {
    return this.#pool.close();
  }

  /** Appends drafts in one commit; see Store.append. */
  async append(drafts: readonly Draft[]): Promise<Appended[]> {
    if (this.#wary === 0) {
      const batch = new AppendNewBatch(drafts);
      const rows = await this.#pool.query<AppendNewRow>(batch.statement);
      const answers = batch.answers(rows[0]);
      if (answers !== undefined) return answers;
      this.#wary = WARY_APPENDS;
    }
    this.#wary--;
    return await this.#appendAny(drafts);
  }

  /** Appends what may hold repetitions and strangers' messages. */
  async #appendAny(drafts: readonly Draft[]): Promise<Appended[]> {
    const batch = new AppendBatch(drafts);
    const rows = await this.#pool.query<AppendRow>(
      sql`
        select seqs::text, member_versions::text, duplicates::text, original_ids::text, original_at_ms::text
        from gochat_append(
          ${batch.conversations}::bigint[], ${batch.senders}::bigint[], ${batch.clientMsgIds}::text[],
          ${batch.ids}::bigint[], ${batch.times}::bigint[], ${batch.texts}::text[]
        )`,
    );
    return batch.answers(rows[0]);
  }
}
