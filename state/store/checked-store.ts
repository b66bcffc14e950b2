/** Stands in front of an engine: makes input fit, answers what needs no engine, and refuses calls after close. */
import { type ConversationId, GochatError, once, type UserId } from '../../common/mod.ts';
import { isStorableId, storableSeq, storableText } from './input.ts';
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

const STRANGER: Appended = { ok: false, code: 'NOT_A_MEMBER' };

/** The engines behind it get only ids, seqs and texts that they can hold, and never an empty batch. */
export class CheckedStore implements Store {
  readonly #engine: Store;
  readonly #close: () => Promise<void>;
  #closed = false;

  constructor(engine: Store) {
    this.#engine = engine;
    this.#close = once(async () => {
      this.#closed = true;
      await engine.close();
    });
  }

  async signingKey(make: () => Promise<SigningKey>): Promise<SigningKey> {
    return this.#open().signingKey(make);
  }

  async createAccount(account: Account): Promise<Account | undefined> {
    return this.#open().createAccount(account);
  }

  async findAccount(name: string): Promise<Account | undefined> {
    return this.#open().findAccount(storableText(name));
  }

  async createRoom(id: ConversationId, name: string, creator: UserId): Promise<UserConversation | undefined> {
    return this.#open().createRoom(id, name, creator);
  }

  async joinRoom(room: ConversationId | string, user: UserId): Promise<UserConversation | undefined> {
    const engine = this.#open();
    if (typeof room === 'string') return engine.joinRoom(storableText(room), user);
    return isStorableId(room) ? engine.joinRoom(room, user) : undefined;
  }

  async listRooms(
    user: UserId,
    after: ConversationId,
    limit: number,
  ): Promise<{ rooms: readonly RoomSummary[]; more: boolean }> {
    const engine = this.#open();
    if (!isStorableId(after)) return { rooms: [], more: false };
    return engine.listRooms(user, after, storableSeq(limit));
  }

  async openDirect(id: ConversationId, user: UserId, peer: UserId): Promise<UserConversation> {
    return this.#open().openDirect(id, user, peer);
  }

  async conversationsOf(user: UserId, device: string): Promise<readonly UserConversation[]> {
    return this.#open().conversationsOf(user, storableText(device));
  }

  async membersOf(conversation: ConversationId): Promise<MemberList | undefined> {
    const engine = this.#open();
    return isStorableId(conversation) ? engine.membersOf(conversation) : undefined;
  }

  async append(drafts: readonly Draft[]): Promise<readonly Appended[]> {
    const engine = this.#open();
    if (drafts.length === 0) return [];
    const known = drafts.filter(({ conversation }) => isStorableId(conversation));
    const answers = known.length === 0 ? [] : await engine.append(known.map(storableDraft));
    if (known.length === drafts.length) return answers;
    let next = 0;
    return drafts.map(({ conversation }) =>
      isStorableId(conversation) ? (answers[next++] ?? STRANGER) : STRANGER,
    );
  }

  async history(
    user: UserId,
    conversation: ConversationId,
    beforeSeq: number,
    limit: number,
  ): Promise<{ messages: readonly Message[]; more: boolean } | undefined> {
    const engine = this.#open();
    if (!isStorableId(conversation)) return undefined;
    return engine.history(user, conversation, storableSeq(beforeSeq), storableSeq(limit));
  }

  async sync({ user, device, cursors, limit }: SyncRequest): Promise<SyncResult> {
    const engine = this.#open();
    const storable = new Map<ConversationId, number>();
    for (const [conversation, seq] of cursors)
      if (isStorableId(conversation)) storable.set(conversation, storableSeq(seq));
    return engine.sync({ user, device: storableText(device), cursors: storable, limit: storableSeq(limit) });
  }

  async moveCursors(moves: readonly CursorMove[]): Promise<void> {
    const engine = this.#open();
    const storable = moves
      .map((move) => ({
        ...move,
        device: storableText(move.device),
        deliveredSeq: storableSeq(move.deliveredSeq),
        readSeq: storableSeq(move.readSeq),
      }))
      .filter((move) => isStorableId(move.conversation) && (move.deliveredSeq > 0 || move.readSeq > 0));
    if (storable.length > 0) await engine.moveCursors(storable);
  }

  async ping(): Promise<void> {
    await this.#open().ping();
  }

  close(): Promise<void> {
    return this.#close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#close();
  }

  #open(): Store {
    if (this.#closed) throw new GochatError('STORE_UNAVAILABLE', { cause: new Error('the store is closed') });
    return this.#engine;
  }
}

/** Returns the draft itself in the usual case. */
function storableDraft(draft: Draft): Draft {
  const text = storableText(draft.text);
  const clientMsgId = storableText(draft.clientMsgId);
  if (text === draft.text && clientMsgId === draft.clientMsgId) return draft;
  return { ...draft, text, clientMsgId };
}
