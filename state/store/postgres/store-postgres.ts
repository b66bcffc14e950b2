/** The store on PostgreSQL: one statement per call; functions in migrations/postgres assign the seqs. */
import type { ConversationId, Logger, UserId } from '../../../common/mod.ts';
import { PostgresAppender } from './appender.ts';
import { moveCursors } from './cursors.ts';
import { conversationColumns, fromConversations } from './fragments.ts';
import { PostgresMemberLists } from './member-lists.ts';
import { deleteRoom, depart, eraseDeleted, join, memberChanges } from '../repositories/membership.ts';
import { PostgresPool } from './pool.ts';
import { history, sync } from './reader.ts';
import { sql } from '../sql.ts';
import type { PostgresTarget } from './url.ts';
import {
  type ConversationRow,
  KEPT_REVOCATION_MS,
  type RevocationRow,
  toConversation,
  toRevocation,
} from '../rows.ts';
import type {
  Account,
  Appended,
  CursorMove,
  DeletedRoom,
  Draft,
  DurableStore,
  Joined,
  MemberChange,
  MemberChanges,
  MemberList,
  Message,
  Revocation,
  RoomRefusal,
  RoomSummary,
  SigningKey,
  SyncRequest,
  SyncResult,
  UserConversation,
} from '../store.ts';

const MAX_CONVERSATIONS = 1000;

export interface PostgresStoreOptions {
  readonly logger: Logger;
  /** How long a call may take, ms. */
  readonly timeoutMs: number;
  /** Most connections, beside those for appends. */
  readonly connections: number;
}

/** Expects a database that migratePostgres has prepared. */
export class PostgresStore implements DurableStore {
  readonly #pool: PostgresPool;
  readonly #appender: PostgresAppender;
  readonly #memberLists: PostgresMemberLists;

  constructor(target: PostgresTarget, options: PostgresStoreOptions) {
    this.#pool = new PostgresPool(target, { ...options, max: options.connections });
    this.#appender = new PostgresAppender(target, options);
    this.#memberLists = new PostgresMemberLists(this.#pool);
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
    device = '',
  ): Promise<Joined | undefined> {
    const made = await this.#pool.query(
      sql`
        with made as (
          insert into conversations (id, kind, name, active_at_ms, member_count, owner, hides_history)
          values (${id}, 'room', ${name}, ${Date.now()}, 1, ${creator}, ${hidesHistory})
          on conflict (name) do nothing returning id
        )
        insert into members (conversation, user_id, joined_seq) select id, ${creator}, 0 from made
        returning conversation`,
    );
    // A repeat of a call whose answer was lost finds its own room.
    const [room] = await this.#pool.query<{ id: ConversationId }>(
      sql`
        select id from conversations
        where name = ${name} and owner = ${creator} and hides_history = ${hidesHistory}`,
    );
    const conversation = room && (await this.conversationOf(room.id, creator, device));
    return conversation && { ...conversation, isNew: made.length > 0 };
  }

  async joinRoom(room: ConversationId | string, user: UserId, device = ''): Promise<Joined | undefined> {
    const [found] = await this.#pool.query<{ id: ConversationId; joined: boolean }>(
      sql`
        select c.id, m.user_id is not null as joined
        from conversations c left join members m on m.conversation = c.id and m.user_id = ${user}
        where c.kind = 'room' and not c.deleted
          and ${typeof room === 'string' ? sql`c.name = ${room}` : sql`c.id = ${room}`}`,
    );
    if (!found) return undefined;
    const isNew = !found.joined && (await this.#pool.transaction((session) => join(session, found.id, user)));
    const conversation = await this.conversationOf(found.id, user, device);
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

  async openDirect(id: ConversationId, user: UserId, peer: UserId, device = ''): Promise<Joined> {
    const [low, high] = user < peer ? [user, peer] : [peer, user];
    const find = async () => {
      const [found] = await this.#pool.query<{ id: ConversationId }>(
        sql`
          select id from conversations where direct_low = ${low} and direct_high = ${high}`,
      );
      return found && this.conversationOf(found.id, user, device);
    };
    const known = await find();
    if (known) return { ...known, isNew: false };
    const made = await this.#pool.query(
      sql`
        with made as (
          insert into conversations (id, kind, direct_low, direct_high, active_at_ms, member_count, owner)
          values (${id}, 'direct', ${low}, ${high}, ${Date.now()}, ${low === high ? 1 : 2}, ${user})
          on conflict (direct_low, direct_high) do nothing returning id
        )
        insert into members (conversation, user_id, joined_seq)
        select made.id, who.id, 0 from made, (select ${low}::bigint union select ${high}::bigint) as who (id)
        returning conversation`,
    );
    const found = await find();
    if (!found) throw new Error(`the direct conversation of ${low} and ${high} has vanished`);
    return { ...found, isNew: made.length > 0 };
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

  async conversationOf(
    id: ConversationId,
    user: UserId,
    device: string,
  ): Promise<UserConversation | undefined> {
    const [row] = await this.#pool.query<ConversationRow>(
      sql`
        select ${conversationColumns} ${fromConversations(user, device)} and c.id = ${id}`,
    );
    return row && toConversation(row);
  }

  membersOf(conversation: ConversationId): Promise<MemberList | undefined> {
    return this.#memberLists.membersOf(conversation);
  }

  memberChanges(conversation: ConversationId, since: number): Promise<MemberChanges | undefined> {
    return memberChanges(this.#pool, conversation, since);
  }

  append(drafts: readonly Draft[]): Promise<Appended[]> {
    return this.#appender.append(drafts);
  }

  history(
    user: UserId,
    conversation: ConversationId,
    beforeSeq: number,
    limit: number,
  ): Promise<{ messages: Message[]; more: boolean } | undefined> {
    return history(this.#pool, user, conversation, beforeSeq, limit);
  }

  sync(request: SyncRequest): Promise<SyncResult> {
    return sync(this.#pool, request);
  }

  moveCursors(moves: readonly CursorMove[]): Promise<void> {
    return moveCursors(this.#pool, moves);
  }

  async revoke({ user, atUs, scope, token, code, reason, expiresAtMs }: Revocation): Promise<void> {
    await this.#pool.query(
      sql`
        with gone as (delete from revocations where expires_at_ms < ${Date.now() - KEPT_REVOCATION_MS})
        insert into revocations (user_id, at_us, scope, token, code, reason, expires_at_ms)
        values (${user}, ${atUs}, ${scope}, ${token}, ${code}, ${reason}, ${expiresAtMs})
        on conflict (user_id, at_us) do nothing`,
    );
  }

  async revocations(limit: number): Promise<Revocation[]> {
    const rows = await this.#pool.query<RevocationRow>(
      sql`
        select user_id, at_us, scope, token, code, reason, expires_at_ms
        from revocations order by at_us desc limit ${limit}`,
    );
    return rows.reverse().map(toRevocation);
  }

  async ping(): Promise<void> {
    await this.#pool.query(sql`select 1`);
  }

  async close(): Promise<void> {
    await Promise.all([this.#pool.close(), this.#appender.close()]);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
