/** Looks into PostgreSQL beside GoChat: the log as it is at the end, and cursors while the run goes on. */
import { setTimeout as sleep } from 'node:timers/promises';
import postgres from 'postgres';
import type { History } from './history.ts';
import type { Expectation } from './workload.ts';

const CURSORS_EVERY_MS = 1000;

export class StoreProbe implements AsyncDisposable {
  readonly #sql: postgres.Sql;
  readonly #history: History;
  readonly #done = new AbortController();
  #watching: Promise<void> = Promise.resolve();

  constructor(url: string, history: History) {
    this.#sql = postgres(url, { max: 1, connect_timeout: 5 });
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
    const rows = await this.#sql<{ id: string; last_seq: string; name: string }[]>`
      select c.id::text, c.last_seq::text, a.name
      from conversations c join members m on m.conversation = c.id join accounts a on a.id = m.user_id`;
    for (const { id, last_seq, name } of rows) {
      heads[id] = Number(last_seq);
      (conversations[name] ??= []).push(id);
    }
    return { heads, conversations };
  }

  /** Writes the log and the members to the history. */
  async dump(): Promise<void> {
    await this.#noteCursors();
    const messages = this.#sql<
      { conversation: string; seq: string; id: string; name: string; body: string }[]
    >`
      select m.conversation::text, m.seq::text, m.id::text, a.name, m.body
      from messages m join accounts a on a.id = m.sender order by m.conversation, m.seq`;
    for await (const rows of messages.cursor(1000)) {
      for (const { conversation, seq, id, name, body } of rows)
        this.#history.write({ kind: 'log', conversation, seq: Number(seq), id, from: name, text: body });
    }
    const members = await this.#sql<{ conversation: string; name: string; after: string }[]>`
      select m.conversation::text, a.name, m.visible_after_seq::text as after
      from members m join accounts a on a.id = m.user_id`;
    for (const { conversation, name, after } of members)
      this.#history.write({ kind: 'member', conversation, user: name, after: Number(after) });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#done.abort();
    await this.#watching;
    await this.#sql.end({ timeout: 5 });
  }

  async #noteCursors(): Promise<void> {
    const rows = await this.#sql<
      { name: string; device: string; conversation: string; delivered: string; read: string }[]
    >`
      select a.name, c.device, c.conversation::text, c.delivered_seq::text as delivered, c.read_seq::text as read
      from cursors c join accounts a on a.id = c.user_id`;
    for (const { name, device, conversation, delivered, read } of rows)
      this.#history.write({
        kind: 'cursor',
        owner: `${name}/${device}`,
        conversation,
        delivered: Number(delivered),
        read: Number(read),
      });
  }
}
