/** Stands in front of an engine: makes input fit, answers what needs no engine, and closes in order. */
import { type ConversationId, GochatError, once, type UserId } from '../../common/mod.ts';
import { isStorableId, storableSeq, storableText } from './input.ts';
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
} from './store.ts';

const STRANGER: Appended = { ok: false, code: 'NOT_A_MEMBER' };

/** The engines behind it get only ids, seqs and texts that they can hold, and never an empty batch. */
export class CheckedStore implements DurableStore {
  readonly #engine: DurableStore;
  readonly #close: () => Promise<void>;
  readonly #underWay = new Set<Promise<unknown>>();
  #closed = false;

  constructor(engine: DurableStore) {
    this.#engine = engine;
    this.#close = once(async () => {
      this.#closed = true;
      // The engines answer each call within a deadline, so this ends.
      await Promise.allSettled(this.#underWay);
      await engine.close();
    });
  }

  signingKey(make: () => Promise<SigningKey>): Promise<SigningKey> {
    return this.#call((engine) => engine.signingKey(make));
  }

  createAccount(account: Account): Promise<Account | undefined> {
    return this.#call((engine) => engine.createAccount(account));
  }

  findAccount(name: string): Promise<Account | undefined> {
    return this.#call((engine) => engine.findAccount(storableText(name)));
  }

  createRoom(
    id: ConversationId,
    name: string,
    creator: UserId,
    hidesHistory = false,
    device = '',
  ): Promise<Joined | undefined> {
    return this.#call((engine) => engine.createRoom(id, name, creator, hidesHistory, device));
  }

  joinRoom(room: ConversationId | string, user: UserId, device = ''): Promise<Joined | undefined> {
    return this.#call(async (engine) => {
      if (typeof room === 'string') return engine.joinRoom(storableText(room), user, device);
      return isStorableId(room) ? engine.joinRoom(room, user, device) : undefined;
    });
  }

  leaveRoom(room: ConversationId, user: UserId): Promise<MemberChange | RoomRefusal> {
    return this.#call(async (engine) =>
      isStorableId(room) ? engine.leaveRoom(room, user) : 'ROOM_NOT_FOUND',
    );
  }

  removeMember(room: ConversationId, owner: UserId, user: UserId): Promise<MemberChange | RoomRefusal> {
    return this.#call(async (engine) =>
      isStorableId(room) ? engine.removeMember(room, owner, user) : 'ROOM_NOT_FOUND',
    );
  }

  deleteRoom(room: ConversationId, owner: UserId): Promise<DeletedRoom | RoomRefusal> {
    return this.#call(async (engine) =>
      isStorableId(room) ? engine.deleteRoom(room, owner) : 'ROOM_NOT_FOUND',
    );
  }

  eraseDeleted(limit: number): Promise<boolean> {
    return this.#call((engine) => engine.eraseDeleted(storableSeq(limit)));
  }

  listRooms(
    user: UserId,
    after: ConversationId,
    limit: number,
  ): Promise<{ rooms: readonly RoomSummary[]; more: boolean }> {
    return this.#call(async (engine) => {
      if (!isStorableId(after)) return { rooms: [], more: false };
      return engine.listRooms(user, after, pageLimit(limit));
    });
  }

  openDirect(id: ConversationId, user: UserId, peer: UserId, device = ''): Promise<Joined> {
    return this.#call((engine) => engine.openDirect(id, user, peer, device));
  }

  conversationsOf(user: UserId, device: string): Promise<readonly UserConversation[]> {
    return this.#call((engine) => engine.conversationsOf(user, storableText(device)));
  }

  conversationOf(id: ConversationId, user: UserId, device: string): Promise<UserConversation | undefined> {
    return this.#call(async (engine) =>
      isStorableId(id) ? engine.conversationOf(id, user, storableText(device)) : undefined,
    );
  }

  membersOf(conversation: ConversationId): Promise<MemberList | undefined> {
    return this.#call(async (engine) =>
      isStorableId(conversation) ? engine.membersOf(conversation) : undefined,
    );
  }

  memberChanges(conversation: ConversationId, since: number): Promise<MemberChanges | undefined> {
    return this.#call(async (engine) =>
      isStorableId(conversation) ? engine.memberChanges(conversation, storableSeq(since)) : undefined,
    );
  }

  append(drafts: readonly Draft[]): Promise<readonly Appended[]> {
    return this.#call(async (engine) => {
      const known = drafts.filter(({ conversation }) => isStorableId(conversation));
      const answers = known.length === 0 ? [] : await engine.append(known.map(storableDraft));
      if (known.length === drafts.length) return answers;
      let next = 0;
      return drafts.map(({ conversation }) =>
        isStorableId(conversation) ? (answers[next++] ?? STRANGER) : STRANGER,
      );
    });
  }

  history(
    user: UserId,
    conversation: ConversationId,
    beforeSeq: number,
    limit: number,
  ): Promise<{ messages: readonly Message[]; more: boolean } | undefined> {
    return this.#call(async (engine) => {
      if (!isStorableId(conversation)) return undefined;
      return engine.history(user, conversation, storableSeq(beforeSeq), pageLimit(limit));
    });
  }

  sync({ user, device, cursors, limit, pushed = new Map() }: SyncRequest): Promise<SyncResult> {
    return this.#call((engine) =>
      engine.sync({
        user,
        device: storableText(device),
        cursors: storableCursors(cursors),
        pushed: storableCursors(pushed),
        limit: pageLimit(limit),
      }),
    );
  }

  moveCursors(moves: readonly CursorMove[]): Promise<void> {
    return this.#call(async (engine) => {
      const storable = moves
        .map((move) => ({
          ...move,
          device: storableText(move.device),
          deliveredSeq: storableSeq(move.deliveredSeq),
          readSeq: storableSeq(move.readSeq),
        }))
        .filter((move) => isStorableId(move.conversation) && (move.deliveredSeq > 0 || move.readSeq > 0));
      if (storable.length > 0) await engine.moveCursors(storable);
    });
  }

  revoke(revocation: Revocation): Promise<void> {
    return this.#call(async (engine) => {
      if (!isStorableId(revocation.user)) return;
      await engine.revoke({ ...revocation, reason: storableText(revocation.reason) });
    });
  }

  revocations(limit: number): Promise<readonly Revocation[]> {
    return this.#call((engine) => engine.revocations(storableSeq(limit)));
  }

  ping(): Promise<void> {
    return this.#call((engine) => engine.ping());
  }

  close(): Promise<void> {
    return this.#close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#close();
  }

  async #call<T>(work: (engine: DurableStore) => Promise<T>): Promise<T> {
    if (this.#closed) throw new GochatError('STORE_UNAVAILABLE', { cause: new Error('the store is closed') });
    const call = work(this.#engine);
    this.#underWay.add(call);
    try {
      return await call;
    } finally {
      this.#underWay.delete(call);
    }
  }
}

/** Returns a limit that lets a page move on. */
function pageLimit(limit: number): number {
  return Math.max(1, storableSeq(limit));
}

/** Returns the draft itself in the usual case. */
function storableDraft(draft: Draft): Draft {
  const text = storableText(draft.text);
  const clientMsgId = storableText(draft.clientMsgId);
  if (text === draft.text && clientMsgId === draft.clientMsgId) return draft;
  return { ...draft, text, clientMsgId };
}

function storableCursors(cursors: ReadonlyMap<ConversationId, number>): Map<ConversationId, number> {
  const storable = new Map<ConversationId, number>();
  for (const [conversation, seq] of cursors)
    if (isStorableId(conversation)) storable.set(conversation, storableSeq(seq));
  return storable;
}
