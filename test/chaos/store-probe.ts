/** Reads PostgreSQL directly: the final log, and cursors during the run. */
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
    // Its connections break with those of the servers; the next query opens a new one.
    this.#pool.on('error', () => undefined);
    this.#history = history;
  }

  /** Makes the store itself record joins and leaves, and keep erased messages. */
  async install(): Promise<void> {
    await this.#pool.query(`
      create table chaos_memberships (
        n bigserial, conversation bigint, user_id bigint, joined boolean, seq bigint, visible_after bigint, ms bigint
      );
      create function chaos_membership() returns trigger language plpgsql as $$
      declare
        changed members := case when tg_op = 'INSERT' then new else old end;
      begin
        -- The room's row is locked: this is its last message as of the change, and changes come one after the other.
        insert into chaos_memberships (conversation, user_id, joined, seq, visible_after, ms)
        select c.id, changed.user_id, tg_op = 'INSERT', c.last_seq, changed.visible_after_seq,
               floor(extract(epoch from clock_timestamp()) * 1000)
        from conversations c where c.id = changed.conversation;
        return null;
      end $$;
      create trigger chaos_membership after insert or delete on members
        for each row execute function chaos_membership();
      create table chaos_erased (like messages);
      create function chaos_erase() returns trigger language plpgsql as $$
      begin
        insert into chaos_erased values (old.*);
        return null;
      end $$;
      create trigger chaos_erase after delete on messages for each row execute function chaos_erase()`);
  }

  /** Records the cursors at intervals. */
  watchCursors(): void {
    this.#watching = (async () => {
      while (!this.#done.signal.aborted) {
        try {
          await this.noteCursors();
        } catch {
          // PostgreSQL is away at times: that is what the run does to it.
        }
        await sleep(CURSORS_EVERY_MS);
      }
    })();
  }

  /** Returns the expected view of each user. */
  async expectation(): Promise<Expectation> {
    const heads: Record<string, number> = {};
    const conversations: Record<string, Record<string, number>> = {};
    const { rows } = await this.#pool.query<{ id: string; last_seq: string; name: string; after: string }>(`
      select c.id::text, c.last_seq::text, a.name, m.visible_after_seq::text as after
      from conversations c join members m on m.conversation = c.id join accounts a on a.id = m.user_id`);
    for (const { id, last_seq, name, after } of rows) {
      heads[id] = Number(last_seq);
      (conversations[name] ??= {})[id] = Number(after);
    }
    return { heads, conversations };
  }

  /** Writes the log, with deleted rooms, and the memberships to the history. */
  async dump(): Promise<void> {
    await this.noteCursors();
    const { rows: messages } = await this.#pool.query<{
      conversation: string;
      seq: string;
      id: string;
      name: string;
      body: string;
      erased: boolean;
    }>(`
      select m.conversation::text, m.seq::text, m.id::text, a.name, m.body, m.erased
      from (select *, false as erased from messages union all select *, true from chaos_erased) m
      join accounts a on a.id = m.sender
      order by m.conversation, m.seq`);
    for (const { conversation, seq, id, name, body, erased } of messages)
      this.#history.write({
        kind: 'log',
        conversation,
        seq: Number(seq),
        id,
        from: name,
        text: body,
        erased,
      });
    const { rows: changes } = await this.#pool.query<{
      conversation: string;
      name: string;
      joined: boolean;
      seq: string;
      visible_after: string;
      ms: string;
    }>(`
      select m.conversation::text, a.name, m.joined, m.seq::text, m.visible_after::text, m.ms::text
      from chaos_memberships m join accounts a on a.id = m.user_id order by m.n`);
    for (const { conversation, name, joined, seq, visible_after, ms } of changes)
      this.#history.write({
        kind: 'membership',
        conversation,
        user: name,
        change: joined ? 'joined' : 'left',
        seq: Number(seq),
        visibleAfter: Number(visible_after),
        ms: Number(ms),
      });
  }

  /** Writes the cursors to the history and returns them, by "USER read" or "USER/DEVICE delivered" and conversation. */
  async noteCursors(): Promise<Record<string, number>> {
    const cursors: Record<string, number> = {};
    const { rows } = await this.#pool.query<{ owner: string; conversation: string; seq: string }>(`
      select a.name || '/' || c.device || ' delivered' as owner, c.conversation::text, c.delivered_seq::text as seq
      from cursors c join accounts a on a.id = c.user_id
      union all
      -- A member who rejoins starts reading anew.
      select a.name || ' read since ' || m.joined_at, m.conversation::text, m.read_seq::text
      from members m join accounts a on a.id = m.user_id`);
    for (const { owner, conversation, seq } of rows) {
      this.#history.write({ kind: 'cursor', owner, conversation, seq: Number(seq) });
      cursors[`${owner.replace(/ since .*/, '')} ${conversation}`] = Number(seq);
    }
    return cursors;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#done.abort();
    await this.#watching;
    await this.#pool.end();
  }
}
