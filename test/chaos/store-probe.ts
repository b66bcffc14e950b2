/** Looks into PostgreSQL beside GoChat: the log as it is at the end, and cursors while the run goes on. */
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import type { History } from './history.ts';
import type { Expectation } from './workload.ts';

const CURSORS_EVERY_MS = 1000;

export class StoreProbe implements AsyncDisposable {
  readonly #pool: pg.Pool;
  readonly #history: History;
  readonly #done = new AbortController();
  #watching: Promise<void> = Promise.resolve();

  constructor(url: string, history: History) {
    this.#pool = new pg.Pool({
      connectionString: url,
      max: 1,
      connectionTimeoutMillis: 5000,
      query_timeout: 20_000,
    });
    // Its connections are cut with those of the servers; the next query takes a new one.
    this.#pool.on('error', () => undefined);
    this.#history = history;
  }

  /** Notes the cursors now and then. */
  watchCursors(): void {
    this.#watching = (async () => {
      while (!this.#done.signal.aborted) {
        try {
          await this.#noteCursors();
        } catch {
          // PostgreSQL is away at times: that is what the run does to it.
        }
        await sleep(CURSORS_EVERY_MS);
      }
    })();
  }

  /** Returns who should have been shown what. */
  async expectation(): Promise<Expectation> {
    const heads: Record<string, number> = {};
    const conversations: Record<string, string[]> = {};
    const { rows } = await this.#pool.query<{ id: string; last_seq: string; name: string }>(`
      select c.id::text, c.last_seq::text, a.name
      from conversations c join members m on m.conversation = c.id join accounts a on a.id = m.user_id`);
    for (const { id, last_seq, name } of rows) {
      heads[id] = Number(last_seq);
      (conversations[name] ??= []).push(id);
    }
    return { heads, conversations };
  }

  /** Writes the log and the members to the history. */
  async dump(): Promise<void> {
    await this.#noteCursors();
    const { rows: messages } = await this.#pool.query<{
      conversation: string;
      seq: string;
      id: string;
      name: string;
      body: string;
    }>(`
      select m.conversation::text, m.seq::text, m.id::text, a.name, m.body
      from messages m join accounts a on a.id = m.sender order by m.conversation, m.seq`);
    for (const { conversation, seq, id, name, body } of messages)
      this.#history.write({ kind: 'log', conversation, seq: Number(seq), id, from: name, text: body });
    const { rows: members } = await this.#pool.query<{ conversation: string; name: string; after: string }>(`
      select m.conversation::text, a.name, m.visible_after_seq::text as after
      from members m join accounts a on a.id = m.user_id`);
    for (const { conversation, name, after } of members)
      this.#history.write({ kind: 'member', conversation, user: name, after: Number(after) });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#done.abort();
    await this.#watching;
    await this.#pool.end();
  }

  async #noteCursors(): Promise<void> {
    const { rows } = await this.#pool.query<{ owner: string; conversation: string; seq: string }>(`
      select a.name || '/' || c.device || ' delivered' as owner, c.conversation::text, c.delivered_seq::text as seq
      from cursors c join accounts a on a.id = c.user_id
      union all
      select a.name || ' read', m.conversation::text, m.read_seq::text
      from members m join accounts a on a.id = m.user_id`);
    for (const { owner, conversation, seq } of rows)
      this.#history.write({ kind: 'cursor', owner, conversation, seq: Number(seq) });
  }
}
