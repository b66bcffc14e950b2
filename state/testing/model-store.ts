/** Test support: a store in memory that is simple enough to be right, with switches for faults. */
import { type ConversationId, GochatError, type UserId } from '../../common/mod.ts';
import type {
  Account,
  Appended,
  CursorMove,
  DeletedRoom,
  Draft,
  Gone,
  Joined,
  Member,
  MemberChange,
  MemberChanges,
  MemberList,
  Message,
  RoomRefusal,
  RoomSummary,
  SigningKey,
  Store,
  SyncRequest,
  SyncResult,
  UserConversation,
} from '../store/store.ts';

interface Room {
  readonly id: ConversationId;
  readonly kind: 'direct' | 'room';
  readonly name: string;
  version: number;
  /** The version as of each user's last coming or going. */
  readonly changedAt: Map<UserId, number>;
  readonly members: UserId[];
  readonly messages: Message[];
  owner?: UserId | undefined;
  readonly hidesHistory?: boolean;
  /** By member: the seq after which they may read. */
  readonly visibleAfter?: Map<UserId, number>;
  readonly former?: Map<UserId, { readonly leftSeq: number; readonly reason: 'left' | 'removed' }>;
}

/** What can be made to fail. */
export type Operation = keyof Store & string;

/** Implements the port; every call can be held (`hold`) and made to fail (`failing`). */
export class ModelStore implements Store {
  readonly accounts = new Map<string, Account>();
  readonly rooms = new Map<ConversationId, Room>();
  readonly cursors = new Map<string, CursorMove>();
  readonly reads = new Map<string, number>();
  /** The drafts of each append, in order. */
  readonly batches: Draft[][] = [];
  readonly calls = new Map<Operation, number>();
  readonly failing = new Set<Operation>();
  /** Set: an append waits until it is released. */
  holding = false;
  #held: (() => void)[] = [];
  #key: SigningKey | undefined;

  /** Appends that wait now. */
  get held(): number {
    return this.#held.length;
  }

  /** Lets the oldest append that waits go on. */
  release(): void {
    this.#held.shift()?.();
  }

  async signingKey(make: () => Promise<SigningKey>): Promise<SigningKey> {
    this.#enter('signingKey');
    const made = await make();
    this.#key ??= made;
    return this.#key;
  }

  async createAccount(account: Account): Promise<Account | undefined> {
    this.#enter('createAccount');
    if (this.accounts.has(account.name)) return undefined;
    this.accounts.set(account.name, account);
    return account;
  }

  async findAccount(name: string): Promise<Account | undefined> {
    this.#enter('findAccount');
    return this.accounts.get(name);
  }

  async namesOf(users: readonly UserId[]): Promise<ReadonlyMap<UserId, string>> {
    this.#enter('namesOf');
    return new Map(users.map((user) => [user, this.#nameOf(user)]));
  }

  async createRoom(
    id: ConversationId,
    name: string,
    creator: UserId,
    hidesHistory = false,
    device = '',
  ): Promise<Joined | undefined> {
    this.#enter('createRoom');
    if (this.#byName(name)) return undefined;
    this.rooms.set(id, {
      id,
      kind: 'room',
      name,
      version: 1,
      changedAt: new Map(),
      members: [creator],
      messages: [],
      owner: creator,
      hidesHistory,
      visibleAfter: new Map(),
      former: new Map(),
    });
    return { ...this.#view(this.rooms.get(id) as Room, creator, device), isNew: true };
  }

  async joinRoom(ref: ConversationId | string, user: UserId, device = ''): Promise<Joined | undefined> {
    this.#enter('joinRoom');
    const room = typeof ref === 'string' ? this.#byName(ref) : this.rooms.get(ref);
    if (room === undefined || room.kind !== 'room') return undefined;
    const isNew = !room.members.includes(user);
    this.addMember(room.id, user);
    room.owner ??= user;
    return { ...this.#view(room, user, device), isNew };
  }

  async leaveRoom(id: ConversationId, user: UserId): Promise<MemberChange | RoomRefusal> {
    this.#enter('leaveRoom');
    return this.#depart(id, user, 'left');
  }

  async removeMember(id: ConversationId, owner: UserId, user: UserId): Promise<MemberChange | RoomRefusal> {
    this.#enter('removeMember');
    return this.#refusal(id, owner) ?? this.#depart(id, user, owner === user ? 'left' : 'removed');
  }

  async deleteRoom(id: ConversationId, owner: UserId): Promise<DeletedRoom | RoomRefusal> {
    this.#enter('deleteRoom');
    const refusal = this.#refusal(id, owner);
    if (refusal !== undefined) return refusal;
    const { members, messages } = this.rooms.get(id) as Room;
    this.rooms.delete(id);
    return { seq: messages.length, members };
  }

  async eraseDeleted(): Promise<boolean> {
    this.#enter('eraseDeleted');
    return false;
  }

  async listRooms(
    user: UserId,
    after: ConversationId,
    limit: number,
  ): Promise<{ rooms: readonly RoomSummary[]; more: boolean }> {
    this.#enter('listRooms');
    const all = [...this.rooms.values()]
      .filter((room) => room.kind === 'room' && room.id > after)
      .sort((a, b) => (a.id < b.id ? -1 : 1));
    const rooms = all.slice(0, limit).map((room) => ({
      id: room.id,
      name: room.name,
      members: room.members.length,
      joined: room.members.includes(user),
      lastSeq: room.messages.length,
      unread: room.members.includes(user)
        ? room.messages.length - (this.reads.get(cursorKey(user, '', room.id)) ?? 0)
        : 0,
    }));
    return { rooms, more: all.length > limit };
  }

  async openDirect(id: ConversationId, user: UserId, peer: UserId, device = ''): Promise<Joined> {
    this.#enter('openDirect');
    for (const room of this.rooms.values()) {
      const pair = new Set(room.members);
      if (
        room.kind === 'direct' &&
        pair.size === new Set([user, peer]).size &&
        pair.has(user) &&
        pair.has(peer)
      ) {
        return { ...this.#view(room, user, device), isNew: false };
      }
    }
    const room: Room = {
      id,
      kind: 'direct',
      name: '',
      version: 1,
      changedAt: new Map(),
      members: [...new Set([user, peer])],
      messages: [],
    };
    this.rooms.set(id, room);
    return { ...this.#view(room, user, device), isNew: true };
  }

  async conversationsOf(user: UserId, device: string): Promise<readonly UserConversation[]> {
    this.#enter('conversationsOf');
    return [...this.rooms.values()]
      .filter((room) => room.members.includes(user))
      .map((room) => this.#view(room, user, device));
  }

  async conversationOf(
    id: ConversationId,
    user: UserId,
    device: string,
  ): Promise<UserConversation | undefined> {
    this.#enter('conversationOf');
    const room = this.rooms.get(id);
    return room?.members.includes(user) === true ? this.#view(room, user, device) : undefined;
  }

  async membersOf(conversation: ConversationId): Promise<MemberList | undefined> {
    this.#enter('membersOf');
    const room = this.rooms.get(conversation);
    if (room === undefined) return undefined;
    return {
      version: room.version,
      members: room.members.toSorted((a, b) => (a < b ? -1 : 1)).map((user) => this.#member(room, user)),
    };
  }

  async memberChanges(conversation: ConversationId, since: number): Promise<MemberChanges | undefined> {
    this.#enter('memberChanges');
    const room = this.rooms.get(conversation);
    if (room === undefined) return undefined;
    const { version, members, changedAt } = room;
    const changed = [...changedAt].filter(([, at]) => at > since).map(([user]) => user);
    return {
      version,
      count: members.length,
      joined: changed.filter((user) => members.includes(user)).map((user) => this.#member(room, user)),
      left: changed.filter((user) => !members.includes(user)),
    };
  }

  async append(drafts: readonly Draft[]): Promise<readonly Appended[]> {
    this.batches.push(drafts.map((draft) => ({ ...draft })));
    if (this.holding) {
      await new Promise<void>((resolve) => {
        this.#held.push(resolve);
      });
    }
    this.#enter('append');
    return drafts.map((draft) => this.#append(draft));
  }

  async history(
    user: UserId,
    conversation: ConversationId,
    beforeSeq: number,
    limit: number,
  ): Promise<{ messages: readonly Message[]; more: boolean } | undefined> {
    this.#enter('history');
    const room = this.rooms.get(conversation);
    const former = room?.former?.get(user);
    if (room === undefined || (former === undefined && !room.members.includes(user))) return undefined;
    const last = former?.leftSeq ?? room.messages.length;
    const end = beforeSeq === 0 ? last : Math.min(beforeSeq - 1, last);
    const first = room.visibleAfter?.get(user) ?? 0;
    const begin = Math.max(first, end - limit);
    return { messages: room.messages.slice(begin, end), more: begin > first };
  }

  async sync(request: SyncRequest): Promise<SyncResult> {
    this.#enter('sync');
    const conversations: { conversation: UserConversation; messages: Message[] }[] = [];
    let left = request.limit;
    let more = false;
    const { cursors, pushed = new Map<ConversationId, number>() } = request;
    for (const room of this.rooms.values()) {
      if (!room.members.includes(request.user)) continue;
      const view = this.#view(room, request.user, request.device);
      const stored = Math.min(view.deliveredSeq, pushed.get(room.id) ?? view.deliveredSeq);
      const from = Math.max(cursors.get(room.id) ?? stored, view.visibleAfterSeq);
      const news = room.messages.slice(from);
      if (news.length === 0) continue;
      const messages = news.slice(0, left);
      if (messages.length < news.length) more = true;
      left -= messages.length;
      if (messages.length > 0) conversations.push({ conversation: view, messages });
    }
    const gone: Gone[] = [];
    for (const conversation of new Set([...cursors.keys(), ...pushed.keys()])) {
      const room = this.rooms.get(conversation);
      if (room?.members.includes(request.user) === true) continue;
      const former = room?.former?.get(request.user);
      gone.push({ conversation, reason: former?.reason ?? 'deleted', lastSeq: former?.leftSeq ?? 0 });
    }
    return { conversations, more, gone: more ? [] : gone };
  }

  async moveCursors(moves: readonly CursorMove[]): Promise<void> {
    this.#enter('moveCursors');
    for (const move of moves) {
      const room = this.rooms.get(move.conversation);
      if (!room?.members.includes(move.user)) continue;
      const key = cursorKey(move.user, move.device, move.conversation);
      const known = this.cursors.get(key);
      const bound = (seq: number) => Math.min(seq, room.messages.length);
      this.cursors.set(key, {
        ...move,
        deliveredSeq: Math.max(known?.deliveredSeq ?? 0, bound(move.deliveredSeq)),
        readSeq: Math.max(known?.readSeq ?? 0, bound(move.readSeq)),
      });
      const reader = cursorKey(move.user, '', move.conversation);
      this.reads.set(reader, Math.max(this.reads.get(reader) ?? 0, bound(move.readSeq)));
    }
  }

  async ping(): Promise<void> {
    this.#enter('ping');
  }

  async close(): Promise<void> {
    this.#held = [];
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Makes a room with these members, without going through the port. */
  addRoom(id: bigint, name: string, members: readonly bigint[]): ConversationId {
    const room: Room = {
      id: id as ConversationId,
      kind: 'room',
      name,
      version: 1,
      changedAt: new Map(),
      members: [...members] as UserId[],
      messages: [],
    };
    this.rooms.set(room.id, room);
    return room.id;
  }

  addMember(conversation: ConversationId, user: bigint): void {
    const room = this.rooms.get(conversation);
    if (room === undefined || room.members.includes(user as UserId)) return;
    room.members.push(user as UserId);
    if (room.hidesHistory) room.visibleAfter?.set(user as UserId, room.messages.length);
    room.former?.delete(user as UserId);
    room.changedAt.set(user as UserId, ++room.version);
  }

  #refusal(id: ConversationId, owner: UserId): RoomRefusal | undefined {
    const room = this.rooms.get(id);
    if (room?.kind !== 'room') return 'ROOM_NOT_FOUND';
    if (room.owner === owner) return undefined;
    return room.members.includes(owner) ? 'NOT_OWNER' : 'NOT_A_MEMBER';
  }

  #depart(id: ConversationId, user: UserId, reason: 'left' | 'removed'): MemberChange | RoomRefusal {
    const room = this.rooms.get(id);
    if (room?.kind !== 'room') return 'ROOM_NOT_FOUND';
    const at = room.members.indexOf(user);
    const seq = room.former?.get(user)?.leftSeq ?? room.messages.length;
    if (at < 0)
      return room.former?.has(user) === true
        ? { changed: false, seq, memberVersion: room.version }
        : 'NOT_A_MEMBER';
    room.members.splice(at, 1);
    room.former?.set(user, { leftSeq: seq, reason });
    if (room.owner === user) room.owner = room.members[0];
    room.changedAt.set(user, ++room.version);
    return { changed: true, seq, memberVersion: room.version };
  }

  #enter(operation: Operation): void {
    this.calls.set(operation, (this.calls.get(operation) ?? 0) + 1);
    if (this.failing.has(operation)) throw new GochatError('STORE_UNAVAILABLE');
  }

  #append(draft: Draft): Appended {
    const room = this.rooms.get(draft.conversation);
    if (room === undefined) return { ok: false, code: 'NOT_A_MEMBER' };
    const original = room.messages.find(
      (message) => message.sender === draft.sender && message.clientMsgId === draft.clientMsgId,
    );
    if (original !== undefined) {
      const { seq, id, atMs } = original;
      return { ok: true, seq, id, atMs, duplicate: true, memberVersion: room.version };
    }
    if (!room.members.includes(draft.sender)) return { ok: false, code: 'NOT_A_MEMBER' };
    const seq = room.messages.length + 1;
    const { conversation, sender, clientMsgId, id, text, atMs } = draft;
    room.messages.push({
      conversation,
      seq,
      id,
      sender,
      clientMsgId,
      text,
      atMs,
    });
    return { ok: true, seq, id, atMs, duplicate: false, memberVersion: room.version };
  }

  #byName(name: string): Room | undefined {
    return [...this.rooms.values()].find((room) => room.kind === 'room' && room.name === name);
  }

  #member(room: Room, user: UserId): Member {
    return { user, visibleAfterSeq: room.visibleAfter?.get(user) ?? 0 };
  }

  #nameOf(user: UserId): string {
    for (const account of this.accounts.values()) if (account.id === user) return account.name;
    return `user${user}`;
  }

  #view(room: Room, user: UserId, device: string): UserConversation {
    const cursor = this.cursors.get(cursorKey(user, device, room.id));
    const peer = room.members.find((member) => member !== user) ?? user;
    return {
      id: room.id,
      kind: room.kind,
      name: room.name,
      lastSeq: room.messages.length,
      memberVersion: room.version,
      peer: room.kind === 'direct' ? peer : undefined,
      visibleAfterSeq: room.visibleAfter?.get(user) ?? 0,
      deliveredSeq: cursor?.deliveredSeq ?? 0,
      readSeq: this.reads.get(cursorKey(user, '', room.id)) ?? 0,
      isOwner: room.owner === user,
    };
  }
}

function cursorKey(user: UserId, device: string, conversation: ConversationId): string {
  return `${user}/${device}/${conversation}`;
}
