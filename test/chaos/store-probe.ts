/** Reads PostgreSQL directly: the final log, and cursors during the run. */
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { type EntryKind, EPOCH, type History } from './history.ts';
import type { Expectation } from './workload.ts';

const CURSORS_EVERY_MS = 1000;
/** By index, the kinds of entries in the store. */
const ENTRY_KINDS = ['message', 'edit', 'retract', 'pin', 'unpin', 'system'] as const;
/** The beginning of a text of the run, without its filler: "CLIENT NUMBER". */
const TEXT = /user\d+\/\w*#\d+ \d+/g;

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

  /** Makes the store itself record joins and leaves, and all entries as they are appended. */
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
      create table chaos_log (like messages);
      create table chaos_targets (conversation bigint, seq bigint, target bigint);
      create function chaos_append() returns trigger language plpgsql as $$
      begin
        insert into chaos_log select * from appended;
        return null;
      end $$;
      create function chaos_target() returns trigger language plpgsql as $$
      begin
        insert into chaos_targets select conversation, seq, target from appended where target is not null;
        return null;
      end $$;
      create trigger chaos_append after insert on messages
        referencing new table as appended for each statement execute function chaos_append();
      create trigger chaos_target after insert on extras
        referencing new table as appended for each statement execute function chaos_target()`);
  }

  /**
   * Returns conversations with at least so many entries above their floors, with the last seq and that of the last entry
   * which is older than `youngMs`.
   */
  async longConversations(
    entries: number,
    youngMs: number,
  ): Promise<{ readonly id: bigint; readonly lastSeq: number; readonly oldSeq: number }[]> {
    const { rows } = await this.#pool.query<{ id: string; last_seq: string; old_seq: string }>(
      `select c.id::text, c.last_seq::text, coalesce(max(m.seq), 0)::text as old_seq
       from conversations c left join messages m on m.conversation = c.id and m.at_ms <= $2
       where not c.deleted and c.last_seq - c.floor_seq >= $1
       group by c.id having max(m.seq) > c.floor_seq order by c.id`,
      [entries, Date.now() - youngMs],
    );
    return rows.map(({ id, last_seq, old_seq }) => ({
      id: BigInt(id),
      lastSeq: Number(last_seq),
      oldSeq: Number(old_seq),
    }));
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
      -- Entries after the last message may be about what a member may not read, and show nothing.
      select c.id::text, c.last_message_seq::text as last_seq, a.name, greatest(m.visible_after_seq, c.floor_seq)::text as after
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
    const { rows: entries } = await this.#pool.query<{
      conversation: string;
      seq: string;
      id: string;
      kind: number;
      name: string;
      client_msg_id: string;
      body: string;
      target: string;
      erased: boolean;
    }>(`
      select l.conversation::text, l.seq::text, l.id::text, l.kind, coalesce(a.name, '') as name, l.client_msg_id, l.body,
             coalesce(t.target, 0)::text as target, m.seq is null as erased
      from chaos_log l
      left join chaos_targets t on t.conversation = l.conversation and t.seq = l.seq
      left join messages m on m.conversation = l.conversation and m.seq = l.seq
      left join accounts a on a.id = l.sender
      order by l.conversation, l.seq`);
    for (const { conversation, seq, id, kind, name, client_msg_id, body, target, erased } of entries)
      this.#history.write({
        kind: 'log',
        conversation,
        seq: Number(seq),
        id,
        from: name,
        clientMsgId: client_msg_id,
        entry: ENTRY_KINDS[kind] as EntryKind,
        text: body,
        target: Number(target),
        erased,
      });
    await this.#dumpTexts();
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

  /** Writes which texts of the run the tables of the store have, besides the evidence and what this probe keeps. */
  async #dumpTexts(): Promise<void> {
    const { rows: tables } = await this.#pool.query<{ name: string }>(`
      select table_name as name from information_schema.tables
      where table_schema = 'public' and table_name not like 'chaos%' and table_name <> 'evidence'`);
    for (const { name } of tables) {
      const { rows } = await this.#pool.query<{ row: string }>(`select t::text as row from "${name}" t`);
      for (const { row } of rows)
        for (const [text] of row.matchAll(TEXT)) this.#history.write({ kind: 'stored', table: name, text });
    }
  }

  /** Writes the cursors to the history and returns them, by "USER read" or "USER/DEVICE delivered" and conversation. */
  async noteCursors(): Promise<Record<string, number>> {
    const cursors: Record<string, number> = {};
    const { rows } = await this.#pool.query<{ owner: string; conversation: string; seq: string }>(`
      select a.name || '/' || c.device || ' delivered' as owner, c.conversation::text, c.delivered_seq::text as seq
      from cursors c join accounts a on a.id = c.user_id
      union all
      -- A member who rejoins starts reading anew.
      select a.name || ' read since ' || m.joined_at, m.conversation::text, (m.read_epoch * ${EPOCH} + m.read_seq)::text
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
