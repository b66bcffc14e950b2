/** The store on PostgreSQL: one statement per call; gochat_append (migrations/postgres) assigns the seqs. */
import type { ConversationId, Logger, UserId } from '../../common/mod.ts';
import { AppendBatch, type AppendRow } from './postgres-append.ts';
import { integerArray, textArray } from './postgres-arrays.ts';
import { PostgresPool, type PostgresSession } from './postgres-pool.ts';
import { sql } from './postgres-sql.ts';
import { conversationColumns, fromConversations, messageColumns } from './postgres-fragments.ts';
import { type ConversationRow, type MessageRow, toConversation, toMessage } from './rows.ts';
import { splitPage } from './sync-page.ts';
import type {
  Account,
  Appended,
  CursorMove,
  Draft,
  MemberList,
  Message,
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

  async createRoom(id: ConversationId, name: string, creator: UserId): Promise<UserConversation | undefined> {
    await this.#pool.query(
      sql`
        with made as (
          insert into conversations (id, kind, name, active_at_ms, member_count)
          values (${id}, 'room', ${name}, ${Date.now()}, 1)
          on conflict (name) do nothing returning id
        )
        insert into members (conversation, user_id, joined_seq) select id, ${creator}, 0 from made`,
    );
    const [room] = await this.#pool.query<{ id: ConversationId }>(
      sql`select id from conversations where name = ${name}`,
    );
    return room?.id === id ? this.#conversation(id, creator) : undefined;
  }

  async joinRoom(room: ConversationId | string, user: UserId): Promise<UserConversation | undefined> {
    const [found] = await this.#pool.query<{ id: ConversationId; joined: boolean }>(
      sql`
        select c.id, m.user_id is not null as joined
        from conversations c left join members m on m.conversation = c.id and m.user_id = ${user}
        where c.kind = 'room' and ${typeof room === 'string' ? sql`c.name = ${room}` : sql`c.id = ${room}`}`,
    );
    if (!found) return undefined;
    if (!found.joined) await this.#pool.transaction((session) => join(session, found.id, user));
    return this.#conversation(found.id, user);
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
    }>(
      sql`
        select c.id, c.name, c.member_count as members, c.last_seq,
               exists (select from members m where m.conversation = c.id and m.user_id = ${user}) as joined
        from conversations c
        where c.kind = 'room' and c.id > ${after}
        order by c.id
        limit ${limit + 1}`,
    );
    const rooms = rows.slice(0, limit).map(({ id, name, members, joined, last_seq }) => {
      return { id, name, members: Number(members), joined, lastSeq: Number(last_seq) };
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
    const rows = await this.#pool.query<{ version: bigint; user: UserId; name: string }>(
      sql`
        select c.member_version as version, a.id as "user", a.name
        from conversations c
        join members m on m.conversation = c.id
        join accounts a on a.id = m.user_id
        where c.id = ${conversation}
        order by a.id`,
    );
    // A conversation has at least one member from the statement that makes it.
    const first = rows[0];
    return (
      first && { version: Number(first.version), members: rows.map(({ user, name }) => ({ user, name })) }
    );
  }

  async append(drafts: readonly Draft[]): Promise<Appended[]> {
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
        from members
        left join lateral (
          select * from messages
          where messages.conversation = members.conversation
            and messages.seq > members.visible_after_seq
            and messages.seq < ${beforeSeq || Number.MAX_SAFE_INTEGER}
          order by messages.seq desc
          limit ${limit + 1}
        ) m on true
        where members.conversation = ${conversation} and members.user_id = ${user}
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
    const pending = await this.#pool.query<ConversationRow & { start: bigint }>(
      sql`
        select * from (
          select ${conversationColumns},
                 greatest(
                   m.visible_after_seq,
                   coalesce((${given}::text::jsonb ->> c.id::text)::bigint, nullif(d.delivered_seq, 0), u.delivered_seq, 0)
                 ) as start
          ${fromConversations(user, device)}
        ) as mine
        where last_seq > start
        order by last_seq - start, id
        limit ${limit + 1}`,
    );
    const { parts, more } = splitPage(
      pending.map((row) => ({ conversation: toConversation(row), start: Number(row.start) })),
      limit,
    );
    if (parts.length === 0) return { conversations: [], more };
    const rows = await this.#pool.query<MessageRow>(
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
    const messages = Map.groupBy(rows.map(toMessage), (message) => message.conversation);
    return {
      conversations: parts.map(({ conversation }) => {
        return { conversation, messages: messages.get(conversation.id) ?? [] };
      }),
      more,
    };
  }

  async moveCursors(moves: readonly CursorMove[]): Promise<void> {
    // Sorted, so that two nodes that move the same cursors wait for each other in the same order.
    await this.#pool.query(
      sql`
        insert into cursors (user_id, device, conversation, delivered_seq, read_seq)
        select x.user_id, x.device, x.conversation, least(x.delivered, c.last_seq), least(x.read, c.last_seq)
        from (
          select user_id, device collate "C" as device, conversation, max(delivered) as delivered, max(read) as read
          from unnest(
            ${integerArray(moves.map((move) => move.user))}::bigint[],
            ${textArray(moves.map((move) => move.device))}::text[],
            ${integerArray(moves.map((move) => move.conversation))}::bigint[],
            ${integerArray(moves.map((move) => move.deliveredSeq))}::bigint[],
            ${integerArray(moves.map((move) => move.readSeq))}::bigint[]
          ) as t (user_id, device, conversation, delivered, read)
          group by 1, 2, 3
        ) x
        join members m on m.conversation = x.conversation and m.user_id = x.user_id
        join conversations c on c.id = x.conversation
        where least(greatest(x.delivered, x.read), c.last_seq) > 0
        order by 1, 2, 3
        on conflict (user_id, device, conversation) do update
        set delivered_seq = greatest(cursors.delivered_seq, excluded.delivered_seq),
            read_seq = greatest(cursors.read_seq, excluded.read_seq)
        where excluded.delivered_seq > cursors.delivered_seq or excluded.read_seq > cursors.read_seq`,
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

/** Locks the room first, which puts the join in one order with the room's messages and the other joins. */
async function join(session: PostgresSession, room: ConversationId, user: UserId): Promise<void> {
  await session.query(sql`select 1 from conversations where id = ${room} for no key update`);
  const added = await session.query(sql`
    insert into members (conversation, user_id, joined_seq)
    select id, ${user}, last_seq from conversations where id = ${room}
    on conflict (conversation, user_id) do nothing
    returning user_id`);
  if (added.length === 0) return;
  await session.query(sql`
    update conversations set member_version = member_version + 1, member_count = member_count + 1
    where id = ${room}`);
}
