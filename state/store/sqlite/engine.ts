/** The store's calls on an open SQLite database; runs on the worker thread, one call at a time. */
import { Buffer } from 'node:buffer';
import type { DatabaseSync } from 'node:sqlite';
import type { ConversationId, UserId } from '../../../common/mod.ts';
import {
  type ConversationRow,
  type GoneRow,
  KEPT_REVOCATION_MS,
  type MessageRow,
  type RevocationRow,
  toConversation,
  toGone,
  toMessage,
  toRevocation,
} from '../rows.ts';
import { appendDrafts } from './append.ts';
import { snapshot } from './database.ts';
import { deleteRoom, depart, eraseDeleted, join, memberChanges } from '../repositories/membership.ts';
import { type Parameters, SqliteConnection } from './connection.ts';
import { MEMBERS_A_TURN } from '../member-pieces.ts';
import { PAGE_TEXT_BYTES, splitPage } from '../sync-page.ts';
import type {
  Account,
  Appended,
  CursorMove,
  DeletedRoom,
  Draft,
  Joined,
  MemberChange,
  MemberChanges,
  MemberList,
  Message,
  Revocation,
  RoomRefusal,
  RoomSummary,
  SigningKey,
  SyncResult,
  UserConversation,
} from '../store.ts';

const MAX_CONVERSATIONS = 1000;

const CONVERSATION = `
  select c.id, c.kind, coalesce(c.name, '') as name, c.last_seq, c.member_version,
         (select a.name from accounts a
          where a.id = case when c.direct_low = m.user_id then c.direct_high else c.direct_low end) as peer_name,
         m.visible_after_seq,
         coalesce(d.delivered_seq, u.delivered_seq, 0) as delivered_seq, m.read_seq,
         c.kind = 'room' and c.owner is m.user_id as is_owner
  from members m
  join conversations c on c.id = m.conversation
  left join cursors d on d.user_id = m.user_id and d.device = :device and d.conversation = m.conversation
  left join cursors u on u.user_id = m.user_id and u.device = '' and u.conversation = m.conversation
  where m.user_id = :user`;

const MESSAGE = `
  select m.conversation, m.seq, m.id, m.sender, (select a.name from accounts a where a.id = m.sender) as sender_name,
         m.client_msg_id, m.body, m.at_ms
  from messages m`;

/** What a request names: `named` of conversations, and `outside`, those of them that the user is not in. */
const NAMED = `
  named (conversation) as materialized (
    select cast(key as integer) from json_each(:cursors) union select cast(key as integer) from json_each(:pushed)
  ),
  outside (conversation) as materialized (
    select conversation from named except select conversation from members where user_id = :user
  )`;

/** Rooms of `outside` that the user was in, as they ended for them. */
const FORMERLY = `
  from outside o
  join former_members f on f.conversation = o.conversation and f.user_id = :user
  join conversations c on c.id = f.conversation and not c.deleted`;

/** What is new, least first, then what the device does not know of and has no news, the newest first. */
const SYNC = `
  with ${NAMED},
  given (conversation, seq) as materialized (select cast(key as integer), value from json_each(:cursors)),
  told (conversation, seq) as materialized (select cast(key as integer), value from json_each(:pushed)),
  mine as (
    ${CONVERSATION}
    union all
    select c.id, c.kind, coalesce(c.name, ''), f.left_seq, c.member_version, null, f.visible_after_seq,
           coalesce(d.delivered_seq, u.delivered_seq, 0), 0, 0
    ${FORMERLY}
    left join cursors d on d.user_id = f.user_id and d.device = :device and d.conversation = f.conversation
    left join cursors u on u.user_id = f.user_id and u.device = '' and u.conversation = f.conversation
  ),
  started as (
    select mine.*,
           max(
             visible_after_seq, coalesce(given.seq, min(coalesce(told.seq, delivered_seq), delivered_seq))
           ) as start,
           delivered_seq = 0 and given.seq is null and told.seq is null as is_unnamed
    from mine
    left join given on given.conversation = mine.id
    left join told on told.conversation = mine.id
  )
  select * from started
  where last_seq > start
     or (is_unnamed and (kind = 'room' or exists (select 1 from conversations c where c.id = started.id and c.owner = :user)))
  order by last_seq <= start, max(last_seq - start, 0), iif(last_seq > start, id, -id)
  limit :rows`;

const FORMER = `with ${NAMED} select c.id, f.reason, f.left_seq ${FORMERLY}`;

const STRANGERS = `
  with ${NAMED}
  select group_concat(conversation) as ids
  from outside where conversation not in (select c.id ${FORMERLY})`;

type SyncRow = ConversationRow & { readonly start: bigint };

/** A SyncRequest with its cursors as JSON (cursorsToJson): a text passes between threads at little cost. */
export interface SyncQuestion {
  readonly user: UserId;
  readonly device: string;
  readonly cursors: string;
  readonly pushed: string;
  readonly limit: number;
}

/** A SyncResult without the strangers among what is gone, who are a text (strangersOf). */
export interface SyncAnswer extends SyncResult {
  readonly strangers: string | null;
}

/** Each call that writes is one transaction, durable when it returns. */
export class SqliteEngine {
  readonly #database: DatabaseSync;
  readonly #sql: SqliteConnection;

  constructor(database: DatabaseSync) {
    this.#database = database;
    this.#sql = new SqliteConnection(database);
  }

  findSigningKey(): SigningKey | undefined {
    return this.#sql.get<SigningKey>(
      'select kid, private_jwk as privateJwk from signing_keys where current = 1',
    );
  }

  /** Keeps the key unless there is one; returns the one that is kept. */
  keepSigningKey(key: SigningKey): SigningKey {
    this.#sql.run(
      `insert into signing_keys (kid, private_jwk, current) values (:kid, :privateJwk, 1)
       on conflict (current) where current = 1 do nothing`,
      { ...key },
    );
    return this.findSigningKey() ?? key;
  }

  createAccount(account: Account): Account | undefined {
    this.#sql.run(
      `insert into accounts (id, name, password_hash) values (:id, :name, :passwordHash) on conflict (name) do nothing`,
      { ...account },
    );
    const stored = this.findAccount(account.name);
    // A repeat of a call whose answer was lost finds its own account.
    return stored?.id === account.id ? stored : undefined;
  }

  findAccount(name: string): Account | undefined {
    return this.#sql.get<Account>(
      'select id, name, password_hash as passwordHash from accounts where name = :name',
      { name },
    );
  }

  createRoom(
    id: ConversationId,
    name: string,
    creator: UserId,
    hidesHistory: boolean,
    device: string,
  ): Promise<Joined | undefined> {
    return this.#sql.transaction(async () => {
      const made = this.#sql.run(
        `insert into conversations (id, kind, name, active_at_ms, member_count, owner, hides_history)
         values (:id, 'room', :name, :now, 1, :creator, :hidesHistory) on conflict (name) do nothing`,
        { id, name, now: Date.now(), creator, hidesHistory: Number(hidesHistory) },
      );
      if (made > 0) this.#addMember(id, creator);
      // A repeat of a call whose answer was lost finds its own room.
      const room = this.#sql.get<{ id: ConversationId }>(
        `select id from conversations
         where name = :name and owner = :creator and hides_history = :hidesHistory`,
        { name, creator, hidesHistory: Number(hidesHistory) },
      );
      return room && { ...this.#mine(room.id, creator, device), isNew: made > 0 };
    });
  }

  joinRoom(room: ConversationId | string, user: UserId, device: string): Promise<Joined | undefined> {
    return this.#sql.transaction(async (session) => {
      const found = this.#sql.get<{ id: ConversationId }>(
        `select id from conversations
         where kind = 'room' and not deleted and ${typeof room === 'string' ? 'name' : 'id'} = :room`,
        { room },
      );
      if (!found) return undefined;
      const isNew = await join(session, found.id, user);
      return { ...this.#mine(found.id, user, device), isNew };
    });
  }

  leaveRoom(room: ConversationId, user: UserId): Promise<MemberChange | RoomRefusal> {
    return this.#sql.transaction((session) => depart(session, room, user, user));
  }

  removeMember(room: ConversationId, owner: UserId, user: UserId): Promise<MemberChange | RoomRefusal> {
    return this.#sql.transaction((session) => depart(session, room, user, owner));
  }

  deleteRoom(room: ConversationId, owner: UserId): Promise<DeletedRoom | RoomRefusal> {
    return this.#sql.transaction((session) => deleteRoom(session, room, owner));
  }

  eraseDeleted(limit: number): Promise<boolean> {
    return this.#sql.transaction((session) => eraseDeleted(session, limit));
  }

  listRooms(user: UserId, after: ConversationId, limit: number): { rooms: RoomSummary[]; more: boolean } {
    const rows = this.#sql.all<{
      id: ConversationId;
      name: string;
      members: bigint;
      joined: bigint;
      last_seq: bigint;
      unread: bigint;
    }>(
      `select c.id, c.name, c.member_count as members, c.last_seq, m.user_id is not null as joined,
              coalesce(c.last_seq - max(m.read_seq, m.visible_after_seq), 0) as unread
       from conversations c
       left join members m on m.conversation = c.id and m.user_id = :user
       where c.kind = 'room' and not c.deleted and c.id > :after
       order by c.id
       limit :limit + 1`,
      { user, after, limit },
    );
    const rooms = rows.slice(0, limit).map(({ id, name, members, joined, last_seq, unread }) => {
      return {
        id,
        name,
        members: Number(members),
        joined: joined === 1n,
        lastSeq: Number(last_seq),
        unread: Number(unread),
      };
    });
    return { rooms, more: rows.length > limit };
  }

  async openDirect(id: ConversationId, user: UserId, peer: UserId, device: string): Promise<Joined> {
    const [low, high] = user < peer ? [user, peer] : [peer, user];
    const find = () =>
      this.#sql.get<{ id: ConversationId }>(
        'select id from conversations where direct_low = :low and direct_high = :high',
        { low, high },
      );
    const existing = find();
    if (existing) return { ...this.#mine(existing.id, user, device), isNew: false };
    return this.#sql.transaction(async () => {
      const made = this.#sql.run(
        `insert into conversations (id, kind, direct_low, direct_high, active_at_ms, member_count, owner)
         values (:id, 'direct', :low, :high, :now, :count, :user) on conflict (direct_low, direct_high) do nothing`,
        { id, low, high, now: Date.now(), count: low === high ? 1 : 2, user },
      );
      if (made > 0) {
        this.#addMember(id, low);
        if (high !== low) this.#addMember(id, high);
      }
      return { ...this.#mine(find()?.id ?? id, user, device), isNew: made > 0 };
    });
  }

  conversationsOf(user: UserId, device: string): UserConversation[] {
    return this.#sql
      .all<ConversationRow>(
        `${CONVERSATION} order by c.active_at_ms desc, c.id desc limit ${MAX_CONVERSATIONS}`,
        { user, device },
      )
      .map(toConversation);
  }

  conversationOf(conversation: ConversationId, user: UserId, device: string): UserConversation | undefined {
    const row = this.#sql.get<ConversationRow>(`${CONVERSATION} and c.id = :conversation`, {
      conversation,
      user,
      device,
    });
    return row && toConversation(row);
  }

  /** Members by ascending user id from the one that follows `after`, as many as a reply may hold. */
  membersPage(conversation: ConversationId, after: UserId | 0n): MemberList | undefined {
    const rows = this.#sql.all<{ version: bigint; user: UserId; name: string; visible: bigint }>(
      `select c.member_version as version, a.id as user, a.name, m.visible_after_seq as visible
       from conversations c
       join members m on m.conversation = c.id
       join accounts a on a.id = m.user_id
       where c.id = :conversation and m.user_id > :after
       order by m.user_id
       limit ${MEMBERS_A_TURN}`,
      { conversation, after },
    );
    const first = rows[0];
    if (first === undefined) return undefined;
    const members = rows.map(({ user, name, visible }) => ({ user, name, visibleAfterSeq: Number(visible) }));
    return { version: Number(first.version), members };
  }

  memberChanges(conversation: ConversationId, since: number): Promise<MemberChanges | undefined> {
    return memberChanges(this.#sql, conversation, since);
  }

  append(drafts: readonly Draft[]): Promise<Appended[]> {
    return this.#sql.transaction(async () => appendDrafts(this.#sql, drafts));
  }

  history(
    user: UserId,
    conversation: ConversationId,
    beforeSeq: number,
    limit: number,
  ): { messages: Message[]; more: boolean } | undefined {
    const reader = this.#sql.get<{ visible_after_seq: bigint; left_seq: bigint }>(
      `select visible_after_seq, ${Number.MAX_SAFE_INTEGER} as left_seq
       from members where conversation = :conversation and user_id = :user
       union all
       select f.visible_after_seq, f.left_seq
       from former_members f join conversations c on c.id = f.conversation and not c.deleted
       where f.conversation = :conversation and f.user_id = :user`,
      { conversation, user },
    );
    if (!reader) return undefined;
    const page = this.#page(
      `${MESSAGE} where m.conversation = :conversation and m.seq > :after and m.seq <= min(:last, :before - 1)
       order by m.seq desc limit :limit`,
      {
        conversation,
        after: reader.visible_after_seq,
        last: reader.left_seq,
        before: beforeSeq || Number.MAX_SAFE_INTEGER,
        limit,
      },
      PAGE_TEXT_BYTES,
    );
    const messages = page.messages.reverse();
    // Seqs have no holes, so there is an older one unless this one is the first.
    const oldest = messages[0];
    return { messages, more: oldest !== undefined && oldest.seq > Number(reader.visible_after_seq) + 1 };
  }

  /** Reads one snapshot; what the request names and the user was never in comes as one text. */
  sync(request: SyncQuestion): SyncAnswer {
    return snapshot(this.#database, () => this.#sync(request));
  }

  #sync({ limit, ...given }: SyncQuestion): SyncAnswer {
    const rows = this.#sql.all<SyncRow>(SYNC, { ...given, rows: limit + 1 });
    const pending: { conversation: UserConversation; start: number }[] = [];
    const unknown: SyncAnswer['conversations'][number][] = [];
    for (const row of rows) {
      const conversation = toConversation(row);
      if (row.last_seq > row.start) pending.push({ conversation, start: Number(row.start) });
      else unknown.push({ conversation, messages: [] });
    }
    const { parts, more } = splitPage(pending, limit);
    const conversations: SyncAnswer['conversations'][number][] = [];
    let left = PAGE_TEXT_BYTES;
    for (const { conversation, start, count } of parts) {
      if (left <= 0) return { conversations, more: true, gone: [], strangers: null };
      const page = this.#page(
        `${MESSAGE} where m.conversation = :conversation and m.seq > :start order by m.seq limit :count`,
        { conversation: conversation.id, start, count },
        left,
      );
      conversations.push({ conversation, messages: page.messages });
      left -= page.bytes;
      if (page.messages.length < count) return { conversations, more: true, gone: [], strangers: null };
    }
    if (more) return { conversations, more, gone: [], strangers: null };
    const { user, cursors, pushed } = given;
    const gone = this.#sql.all<GoneRow>(FORMER, { user, cursors, pushed }).map(toGone);
    const strangers = this.#sql.get<{ ids: string | null }>(STRANGERS, { user, cursors, pushed });
    return {
      conversations: [...conversations, ...unknown],
      more: false,
      gone,
      strangers: strangers?.ids ?? null,
    };
  }

  /** Reads messages until their texts have `maxBytes` bytes, the one that takes them there included. */
  #page(
    sql: string,
    parameters: Parameters,
    maxBytes: number,
  ): { readonly messages: Message[]; readonly bytes: number } {
    const messages: Message[] = [];
    let bytes = 0;
    for (const row of this.#sql.iterate<MessageRow>(sql, parameters)) {
      messages.push(toMessage(row));
      bytes += Buffer.byteLength(row.body);
      if (bytes >= maxBytes) break;
    }
    return { messages, bytes };
  }

  moveCursors(moves: readonly CursorMove[]): Promise<void> {
    return this.#sql.transaction(async () => {
      for (const { user, device, conversation, deliveredSeq, readSeq } of moves) {
        const who = { user, conversation };
        this.#sql.run(
          `insert into cursors (user_id, device, conversation, delivered_seq)
           select m.user_id, :device, c.id, min(:delivered, c.last_seq)
           from members m join conversations c on c.id = m.conversation
           where m.conversation = :conversation and m.user_id = :user and min(:delivered, c.last_seq) > 0
           on conflict (user_id, device, conversation) do update set delivered_seq = excluded.delivered_seq
           where excluded.delivered_seq > delivered_seq`,
          { ...who, device, delivered: deliveredSeq },
        );
        this.#sql.run(
          `update members
           set read_seq = max(
             read_seq, (select min(:read, c.last_seq) from conversations c where c.id = members.conversation)
           )
           where conversation = :conversation and user_id = :user and :read > read_seq`,
          { ...who, read: readSeq },
        );
      }
    });
  }

  revoke(revocation: Revocation): Promise<void> {
    return this.#sql.transaction(async () => {
      const over = Date.now() - KEPT_REVOCATION_MS;
      this.#sql.run('delete from revocations where expires_at_ms < :over', { over });
      this.#sql.run(
        `insert into revocations (user_id, at_us, scope, token, code, reason, expires_at_ms)
         values (:user, :atUs, :scope, :token, :code, :reason, :expiresAtMs) on conflict (user_id, at_us) do nothing`,
        { ...revocation },
      );
    });
  }

  revocations(limit: number): Revocation[] {
    return this.#sql
      .all<RevocationRow>(
        `select user_id, at_us, scope, token, code, reason, expires_at_ms
         from revocations order by at_us desc limit :limit`,
        { limit },
      )
      .reverse()
      .map(toRevocation);
  }

  ping(): void {
    this.#sql.get('select 1 from gochat_migrations limit 1');
  }

  #addMember(conversation: ConversationId, user: UserId): void {
    this.#sql.run(
      'insert into members (conversation, user_id, joined_seq) values (:conversation, :user, 0)',
      {
        conversation,
        user,
      },
    );
  }

  /** Returns a conversation that the user is known to be in. */
  #mine(conversation: ConversationId, user: UserId, device: string): UserConversation {
    const mine = this.conversationOf(conversation, user, device);
    if (!mine) throw new Error(`user ${user} is not in conversation ${conversation}`);
    return mine;
  }
}
