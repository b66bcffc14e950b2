/** The store on SQLite: hands each call to a worker thread that has the file open (sqlite-engine.ts does the work). */
import type { ConversationId, UserId } from '../../../common/mod.ts';
import { SqliteClient, type SqliteClientOptions } from './client.ts';
import { MEMBERS_A_TURN, withChanges } from '../member-pieces.ts';
import type {
  Account,
  Appended,
  CursorMove,
  DeletedRoom,
  Draft,
  DurableStore,
  Joined,
  Member,
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
import { cursorsToJson, strangersOf } from '../sync-page.ts';

/**
 * One worker writes, and answers what is soon answered. What may take some ms, pages and lists, is read by another
 * one, so that no commit waits for it: readers of the write-ahead log see what was committed before they began.
 */
export class SqliteStore implements DurableStore {
  readonly #client: SqliteClient;
  readonly #reader: SqliteClient;

  private constructor(client: SqliteClient, reader: SqliteClient) {
    this.#client = client;
    this.#reader = reader;
  }

  /** Opens the file, making it where missing, and brings it to this release's schema. */
  static async open(path: string, options: SqliteClientOptions): Promise<SqliteStore> {
    const client = await SqliteClient.open(path, 'sqlite-worker', options);
    try {
      return new SqliteStore(client, await SqliteClient.open(path, 'sqlite-reader', options));
    } catch (error) {
      await client.close();
      throw error;
    }
  }

  async signingKey(make: () => Promise<SigningKey>): Promise<SigningKey> {
    const stored = await this.#client.call('findSigningKey');
    return stored ?? this.#client.call('keepSigningKey', await make());
  }

  createAccount(account: Account): Promise<Account | undefined> {
    return this.#client.call('createAccount', account);
  }

  findAccount(name: string): Promise<Account | undefined> {
    return this.#client.call('findAccount', name);
  }

  createRoom(
    id: ConversationId,
    name: string,
    creator: UserId,
    hidesHistory = false,
    device = '',
  ): Promise<Joined | undefined> {
    return this.#client.call('createRoom', id, name, creator, hidesHistory, device);
  }

  joinRoom(room: ConversationId | string, user: UserId, device = ''): Promise<Joined | undefined> {
    return this.#client.call('joinRoom', room, user, device);
  }

  leaveRoom(room: ConversationId, user: UserId): Promise<MemberChange | RoomRefusal> {
    return this.#client.call('leaveRoom', room, user);
  }

  removeMember(room: ConversationId, owner: UserId, user: UserId): Promise<MemberChange | RoomRefusal> {
    return this.#client.call('removeMember', room, owner, user);
  }

  deleteRoom(room: ConversationId, owner: UserId): Promise<DeletedRoom | RoomRefusal> {
    return this.#client.call('deleteRoom', room, owner);
  }

  eraseDeleted(limit: number): Promise<boolean> {
    return this.#client.call('eraseDeleted', limit);
  }

  listRooms(
    user: UserId,
    after: ConversationId,
    limit: number,
  ): Promise<{ rooms: RoomSummary[]; more: boolean }> {
    return this.#reader.call('listRooms', user, after, limit);
  }

  openDirect(id: ConversationId, user: UserId, peer: UserId, device = ''): Promise<Joined> {
    return this.#client.call('openDirect', id, user, peer, device);
  }

  conversationsOf(user: UserId, device: string): Promise<UserConversation[]> {
    return this.#reader.call('conversationsOf', user, device);
  }

  conversationOf(id: ConversationId, user: UserId, device: string): Promise<UserConversation | undefined> {
    return this.#reader.call('conversationOf', id, user, device);
  }

  /** Asks page by page, as a reply is taken in in one turn; what changed meanwhile is put right in the end. */
  async membersOf(conversation: ConversationId): Promise<MemberList | undefined> {
    const first = await this.#reader.call('membersPage', conversation, 0n);
    if (first === undefined || first.members.length < MEMBERS_A_TURN) return first;
    const members: Member[] = [...first.members];
    let page: MemberList | undefined = first;
    while (page?.members.length === MEMBERS_A_TURN) {
      page = await this.#reader.call('membersPage', conversation, (members.at(-1) as Member).user);
      members.push(...(page?.members ?? []));
    }
    const changes = await this.memberChanges(conversation, first.version);
    if (changes === undefined) return this.membersOf(conversation);
    return changes.version === first.version
      ? { version: first.version, members }
      : withChanges(members, changes);
  }

  memberChanges(conversation: ConversationId, since: number): Promise<MemberChanges | undefined> {
    return this.#reader.call('memberChanges', conversation, since);
  }

  append(drafts: readonly Draft[]): Promise<Appended[]> {
    return this.#client.call('append', drafts);
  }

  history(
    user: UserId,
    conversation: ConversationId,
    beforeSeq: number,
    limit: number,
  ): Promise<{ messages: Message[]; more: boolean } | undefined> {
    return this.#reader.call('history', user, conversation, beforeSeq, limit);
  }

  async sync({ user, device, cursors, pushed, limit }: SyncRequest): Promise<SyncResult> {
    const given = { cursors: cursorsToJson(cursors), pushed: cursorsToJson(pushed) };
    const { strangers, gone, ...page } = await this.#reader.call('sync', { user, device, limit, ...given });
    return { ...page, gone: gone.concat(strangersOf(strangers)) };
  }

  async moveCursors(moves: readonly CursorMove[]): Promise<void> {
    await this.#client.call('moveCursors', moves);
  }

  async revoke(revocation: Revocation): Promise<void> {
    await this.#client.call('revoke', revocation);
  }

  revocations(limit: number): Promise<Revocation[]> {
    return this.#client.call('revocations', limit);
  }

  async ping(): Promise<void> {
    await this.#client.call('ping');
  }

  async close(): Promise<void> {
    await this.#reader.close();
    await this.#client.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
