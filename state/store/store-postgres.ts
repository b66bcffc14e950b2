/** The store on PostgreSQL: one statement per call; functions in migrations/postgres assign the seqs. */
import type { ConversationId, Logger, UserId } from '../../common/mod.ts';
import { AppendBatch, type AppendRow } from './postgres-append.ts';
import { AppendNewBatch, type AppendNewRow } from './postgres-append-new.ts';
import { integerArray, textArray } from './postgres-arrays.ts';
import { deleteRoom, depart, eraseDeleted, join } from './postgres-membership.ts';
import { PostgresPool } from './postgres-pool.ts';
import { sql } from './postgres-sql.ts';
import { conversationColumns, fromConversations, messageColumns } from './postgres-fragments.ts';
import {
  type ConversationRow,
  type GoneRow,
  type MessageRow,
  toConversation,
  toGone,
  toMessage,
} from './rows.ts';
import { splitPage } from './sync-page.ts';
import type {
  Account,
  Appended,
  CursorMove,
  DeletedRoom,
  Draft,
  Gone,
  Joined,
  MemberChange,
  MemberList,
  Message,
  RoomRefusal,
  RoomSummary,
  SigningKey,
  Store,
  SyncRequest,
  SyncResult,
  UserConversation,
} from './store.ts';

const MAX_CONVERSATIONS = 1000;
/** One append runs and one may wait for the same locks; more would only queue in the server. */
const APPEND_CONNECTIONS = 2;
const CONNECTIONS = 8;
/**
 * After a batch that was not all new messages of members this many are taken without that hope: repetitions come in
 * bursts, and who repeats or intrudes on purpose must not double the work of every append.
 */
const WARY_APPENDS = 50;

export interface PostgresStoreOptions {
  readonly logger: Logger;
  /** How long a call may take, ms. */
  readonly timeoutMs: number;
}

/** Expects a database that migratePostgres has prepared. */
export class PostgresStore implements Store {
  readonly #pool: PostgresPool;
  /** Appends have connections of their own: no reader delays a commit. */
  readonly #appends: PostgresPool;
  /** Appends that are still to be made without hope. */
  #wary = 0;

  constructor(url: string, options: PostgresStoreOptions) {
    this.#pool = new PostgresPool(url, { ...options, max: CONNECTIONS });
    this.#appends = new PostgresPool(url, { ...options, max: APPEND_CONNECTIONS });
  }

  async signingKey(make: () => Promise<SigningKey>): Promise<SigningKey> {
    const find = () =>
      this.#pool.query<SigningKey>(
        sql`select kid, private_jwk as "privateJwk" from signing_keys where current`,
      );
    const [stored] = await find();
    if (stored) return stored;
    const key = await make();
    await this.#pool.query(
      sql`
        insert into signing_keys (kid, private_jwk, current) values (${key.kid}, ${key.privateJwk}, true)
        on conflict (current) where current do nothing`,
    );
    const [winner] = await find();
    return winner ?? key;
  }

  async createAccount(account: Account): Promise<Account | undefined> {
    await this.#pool.query(
      sql`
        insert into accounts (id, name, password_hash)
        values (${account.id}, ${account.name}, ${account.passwordHash})
        on conflict (name) do nothing`,
    );
    const stored = await this.findAccount(account.name);
    // A repeat of a call whose answer was lost finds its own account.
    return stored?.id === account.id ? stored : undefined;
  }

  async findAccount(name: string): Promise<Account | undefined> {
    const [account] = await this.#pool.query<Account>(
      sql`
        select id, name, password_hash as "passwordHash" from accounts where name = ${name}`,
    );
    return account;
  }

  async createRoom(
    id: ConversationId,
    name: string,
    creator: UserId,
    hidesHistory = false,
  ): Promise<UserConversation | undefined> {
    await this.#pool.query(
      sql`
        with made as (
          insert into conversations (id, kind, name, active_at_ms, member_count, owner, hides_history)
          values (${id}, 'room', ${name}, ${Date.now()}, 1, ${creator}, ${hidesHistory})
          on conflict (name) do nothing returning id
        )
        insert into members (conversation, user_id, joined_seq) select id, ${creator}, 0 from made`,
    );
    const [room] = await this.#pool.query<{ id: ConversationId }>(
      sql`select id from conversations where name = ${name}`,
    );
    return room?.id === id ? this.#conversation(id, creator) : undefined;
  }

  async joinRoom(room: ConversationId | string, user: UserId): Promise<Joined | undefined> {
    const [found] = await this.#pool.query<{ id: ConversationId; joined: boolean }>(
      sql`
        select c.id, m.user_id is not null as joined
        from conversations c left join members m on m.conversation = c.id and m.user_id = ${user}
        where c.kind = 'room' and not c.deleted
          and ${typeof room === 'string' ? sql`c.name = ${room}` : sql`c.id = ${room}`}`,
    );
    if (!found) return undefined;
    const isNew = !found.joined && (await this.#pool.transaction((session) => join(session, found.id, user)));
    const conversation = await this.#conversation(found.id, user);
    return conversation && { ...conversation, isNew };
  }

  leaveRoom(room: ConversationId, user: UserId): Promise<MemberChange | RoomRefusal> {
    return this.#pool.transaction((session) => depart(session, room, user, user));
  }

  removeMember(room: ConversationId, owner: UserId, user: UserId): Promise<MemberChange | RoomRefusal> {
    return this.#pool.transaction((session) => depart(session, room, user, owner));
  }

  deleteRoom(room: ConversationId, owner: UserId): Promise<DeletedRoom | RoomRefusal> {
    return this.#pool.transaction((session) => deleteRoom(session, room, owner));
  }

  eraseDeleted(limit: number): Promise<boolean> {
    return this.#pool.transaction((session) => eraseDeleted(session, limit));
  }

  async listRooms(
    user: UserId,
    after: ConversationId,
    limit: number,
  ): Promise<{ rooms: RoomSummary[]; more: boolean }> {
    const rows = await this.#pool.query<{
      id: ConversationId;
      name: string;
      members: bigint;
      joined: boolean;
      last_seq: bigint;
      unread: bigint;
    }>(
      sql`
        select c.id, c.name, c.member_count as members, c.last_seq, m.user_id is not null as joined,
               coalesce(c.last_seq - greatest(m.read_seq, m.visible_after_seq), 0) as unread
        from conversations c
        left join members m on m.conversation = c.id and m.user_id = ${user}
        where c.kind = 'room' and not c.deleted and c.id > ${after}
        order by c.id
        limit ${limit + 1}`,
    );
    const rooms = rows.slice(0, limit).map(({ id, name, members, joined, last_seq, unread }) => {
      return {
        id,
        name,
        members: Number(members),
        joined,
        lastSeq: Number(last_seq),
        unread: Number(unread),
      };
    });
    return { rooms, more: rows.length > limit };
  }

  async openDirect(id: ConversationId, user: UserId, peer: UserId): Promise<UserConversation> {
    const [low, high] = user < peer ? [user, peer] : [peer, user];
    const find = async () => {
      const [found] = await this.#pool.query<{ id: ConversationId }>(
        sql`
          select id from conversations where direct_low = ${low} and direct_high = ${high}`,
      );
      return found && this.#conversation(found.id, user);
    };
    const found = await find();
    if (found) return found;
    await this.#pool.query(
      sql`
        with made as (
          insert into conversations (id, kind, direct_low, direct_high, active_at_ms, member_count)
          values (${id}, 'direct', ${low}, ${high}, ${Date.now()}, ${low === high ? 1 : 2})
          on conflict (direct_low, direct_high) do nothing returning id
        )
        insert into members (conversation, user_id, joined_seq)
        select made.id, who.id, 0 from made, (select ${low}::bigint union select ${high}::bigint) as who (id)`,
    );
    const made = await find();
    if (!made) throw new Error(`the direct conversation of ${low} and ${high} has vanished`);
    return made;
  }

  async conversationsOf(user: UserId, device: string): Promise<UserConversation[]> {
    const rows = await this.#pool.query<ConversationRow>(
      sql`
        select ${conversationColumns} ${fromConversations(user, device)}
        order by c.active_at_ms desc, c.id desc
        limit ${MAX_CONVERSATIONS}`,
    );
    return rows.map(toConversation);
  }

  async membersOf(conversation: ConversationId): Promise<MemberList | undefined> {
    const rows = await this.#pool.query<{ version: bigint; user: UserId; name: string; visible: bigint }>(
      sql`
        select c.member_version as version, a.id as "user", a.name, m.visible_after_seq as visible
        from conversations c
        join members m on m.conversation = c.id
        join accounts a on a.id = m.user_id
        where c.id = ${conversation}
        order by a.id`,
    );
    const first = rows[0];
    if (first === undefined) return undefined;
    const members = rows.map(({ user, name, visible }) => ({ user, name, visibleAfterSeq: Number(visible) }));
    return { version: Number(first.version), members };
  }

  async append(drafts: readonly Draft[]): Promise<Appended[]> {
    if (this.#wary === 0) {
      const batch = new AppendNewBatch(drafts);
      const rows = await this.#appends.query<AppendNewRow>(batch.statement);
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
    const rows = await this.#appends.query<AppendRow>(
      sql`
        select seqs::text, member_versions::text, duplicates::text, original_ids::text, original_at_ms::text
        from gochat_append(
          ${batch.conversations}::bigint[], ${batch.senders}::bigint[], ${batch.clientMsgIds}::text[],
          ${batch.ids}::bigint[], ${batch.times}::bigint[], ${batch.texts}::text[]
        )`,
    );
    return batch.answers(rows[0]);
  }

  async history(
    user: UserId,
    conversation: ConversationId,
    beforeSeq: number,
    limit: number,
  ): Promise<{ messages: Message[]; more: boolean } | undefined> {
    // One row with nulls stands for a member without messages, no row for a stranger.
    const rows = await this.#pool.query<MessageRow | { seq: null }>(
      sql`
        select ${messageColumns}
        from (
          select conversation, visible_after_seq, ${Number.MAX_SAFE_INTEGER}::bigint as left_seq
          from members where conversation = ${conversation} and user_id = ${user}
          union all
          select f.conversation, f.visible_after_seq, f.left_seq
          from former_members f join conversations c on c.id = f.conversation and not c.deleted
          where f.conversation = ${conversation} and f.user_id = ${user}
        ) reader
        left join lateral (
          select * from messages
          where messages.conversation = reader.conversation
            and messages.seq > reader.visible_after_seq
            and messages.seq <= least(reader.left_seq, ${(beforeSeq || Number.MAX_SAFE_INTEGER) - 1}::bigint)
          order by messages.seq desc
          limit ${limit + 1}
        ) m on true
        order by m.seq desc`,
    );
    if (rows.length === 0) return undefined;
    const messages = rows
      .filter((row) => row.seq !== null)
      .slice(0, limit)
      .reverse()
      .map(toMessage);
    return { messages, more: rows.length > limit };
  }

  async sync({ user, device, cursors, limit }: SyncRequest): Promise<SyncResult> {
    // As an object, because a lookup in jsonb costs the same under every plan, unlike a join with an array.
    const given = `{${[...cursors].map(([id, seq]) => `"${id}":${seq}`).join(',')}}`;
    // What is new and what is gone are of one snapshot: nothing that was the user's is lost between them.
    const rows = await this.#pool.query<
      (ConversationRow & { start: bigint; gone: false }) | (GoneRow & { gone: true })
    >(
      sql`
        with given as (select ${given}::text::jsonb as cursors),
        former as (
          select f.*, c.kind, c.name, c.member_version
          from former_members f join conversations c on c.id = f.conversation and not c.deleted
          where f.user_id = ${user} and f.conversation in (
            select key::bigint from given, jsonb_object_keys(given.cursors) as key
          )
        ),
        news as (
          select * from (
            select ${conversationColumns},
                   greatest(
                     m.visible_after_seq,
                     coalesce(
                       ((select cursors from given) ->> c.id::text)::bigint, d.delivered_seq, u.delivered_seq, 0
                     )
                   ) as start
            ${fromConversations(user, device)}
            union all
            select conversation, kind, name, left_seq, member_version, null, visible_after_seq, 0, 0, false,
                   greatest(visible_after_seq, ((select cursors from given) ->> conversation::text)::bigint)
            from former
          ) as mine
          where last_seq > start
          order by last_seq - start, id
          limit ${limit + 1}
        )
        select false as gone, news.*, null as reason, null::bigint as left_seq from news
        union all
        select true, key::bigint, null, null, null, null, null, null, null, null, null, null, former.reason,
               former.left_seq
        from given, jsonb_object_keys(given.cursors) as key
        left join former on former.conversation = key::bigint
        where not exists (select from members m where m.user_id = ${user} and m.conversation = key::bigint)`,
    );
    const pending: { conversation: UserConversation; start: number }[] = [];
    const gone: Gone[] = [];
    for (const row of rows) {
      if (row.gone) gone.push(toGone(row));
      else pending.push({ conversation: toConversation(row), start: Number(row.start) });
    }
    const { parts, more } = splitPage(pending, limit);
    const answer = { more, gone: more ? [] : gone };
    if (parts.length === 0) return { conversations: [], ...answer };
    const found = await this.#pool.query<MessageRow>(
      sql`
        select ${messageColumns}
        from unnest(
          ${integerArray(parts.map((part) => part.conversation.id))}::bigint[],
          ${integerArray(parts.map((part) => part.start))}::bigint[],
          ${integerArray(parts.map((part) => part.count))}::bigint[]
        ) as part (conversation, start, count)
        cross join lateral (
          select * from messages
          where messages.conversation = part.conversation and messages.seq > part.start
          order by messages.seq
          limit part.count
        ) m
        order by m.conversation, m.seq`,
    );
    const messages = Map.groupBy(found.map(toMessage), (message) => message.conversation);
    return {
      conversations: parts.map(({ conversation }) => {
        return { conversation, messages: messages.get(conversation.id) ?? [] };
      }),
      ...answer,
    };
  }

  async moveCursors(moves: readonly CursorMove[]): Promise<void> {
    // Sorted, so that two nodes that move the same cursors wait for each other in the same order; the members' rows
    // are locked before any cursor's.
    await this.#pool.query(
      sql`
        with given as materialized (
          select user_id, device collate "C" as device, conversation, max(delivered) as delivered, max(read) as read
          from unnest(
            ${integerArray(moves.map((move) => move.user))}::bigint[],
            ${textArray(moves.map((move) => move.device))}::text[],
            ${integerArray(moves.map((move) => move.conversation))}::bigint[],
            ${integerArray(moves.map((move) => move.deliveredSeq))}::bigint[],
            ${integerArray(moves.map((move) => move.readSeq))}::bigint[]
          ) as t (user_id, device, conversation, delivered, read)
          group by 1, 2, 3
        ),
        readers as materialized (
          select m.conversation, m.user_id, least(g.read, c.last_seq) as read_seq
          from (select user_id, conversation, max(read) as read from given where read > 0 group by 1, 2) g
          join members m on m.conversation = g.conversation and m.user_id = g.user_id
          join conversations c on c.id = g.conversation
          where least(g.read, c.last_seq) > m.read_seq
          order by 1, 2
          for no key update of m
        ),
        moved as (
          update members m set read_seq = r.read_seq from readers r
          where m.conversation = r.conversation and m.user_id = r.user_id and r.read_seq > m.read_seq
        )
        insert into cursors (user_id, device, conversation, delivered_seq)
        select g.user_id, g.device, g.conversation, least(g.delivered, c.last_seq)
        from given g
        join members m on m.conversation = g.conversation and m.user_id = g.user_id
        join conversations c on c.id = g.conversation
        where least(g.delivered, c.last_seq) > 0
        order by 1, 2, 3
        on conflict (user_id, device, conversation) do update
        set delivered_seq = excluded.delivered_seq
        where excluded.delivered_seq > cursors.delivered_seq`,
    );
  }

  async ping(): Promise<void> {
    await this.#pool.query(sql`select 1`);
  }

  async close(): Promise<void> {
    await Promise.all([this.#pool.close(), this.#appends.close()]);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #conversation(id: ConversationId, user: UserId): Promise<UserConversation | undefined> {
    const [row] = await this.#pool.query<ConversationRow>(
      sql`
        select ${conversationColumns} ${fromConversations(user, '')} and c.id = ${id}`,
    );
    return row && toConversation(row);
  }
}
