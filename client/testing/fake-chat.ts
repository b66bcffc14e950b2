/** A chat server in memory for tests: accounts, conversations and logs, with the real rules. */
import type {
  Conversation as WireConversation,
  ConversationMessages,
  Gone,
  Member,
  Message,
  Room,
  Sync,
  SyncPage,
} from '../../proto/client.ts';
import { ConversationKind, MemberChange, Role } from '../../proto/client.ts';

interface FakeConversation {
  readonly id: bigint;
  readonly kind: ConversationKind;
  readonly name: string;
  readonly members: Set<bigint>;
  readonly log: Message[];
  /** By sender and client_msg_id. */
  readonly index: Map<string, Message>;
}

export class FakeChat {
  readonly users = new Map<string, bigint>();
  readonly conversations = new Map<bigint, FakeConversation>();
  /** Delivered cursors by `user/conversation`. */
  readonly delivered = new Map<string, bigint>();
  /** Read cursors by `user/conversation`. */
  readonly read = new Map<string, bigint>();
  /** By `user/room`; whoever is missing is a plain member. */
  readonly roles = new Map<string, Role>();
  /** Former members: `user/conversation` to how the membership ended. */
  readonly former = new Map<string, { reason: MemberChange; lastSeq: bigint }>();
  #nextConversation = 1000n;

  addUser(name: string): bigint {
    const id = BigInt(this.users.size + 1);
    this.users.set(name, id);
    return id;
  }

  nameOf(user: bigint): string {
    for (const [name, id] of this.users) if (id === user) return name;
    return '';
  }

  addRoom(name: string, ...members: bigint[]): bigint {
    const id = this.#add(ConversationKind.CONVERSATION_KIND_ROOM, name, members);
    if (members[0] !== undefined) this.roles.set(`${members[0]}/${id}`, Role.ROLE_OWNER);
    return id;
  }

  room(nameOrId: string): FakeConversation | undefined {
    for (const conversation of this.conversations.values()) {
      const isRoom = conversation.kind === ConversationKind.CONVERSATION_KIND_ROOM;
      if (isRoom && (conversation.name === nameOrId || conversation.id.toString() === nameOrId))
        return conversation;
    }
    return undefined;
  }

  rooms(user: bigint): Room[] {
    return [...this.conversations.values()]
      .filter(({ kind }) => kind === ConversationKind.CONVERSATION_KIND_ROOM)
      .map(({ id, members }) => {
        const { name, lastSeq, unread } = this.see(id, user);
        const joined = members.has(user);
        return { id, name, members: members.size, joined, lastSeq, unread: joined ? unread : 0n };
      });
  }

  direct(a: bigint, b: bigint): bigint {
    for (const { id, kind, members } of this.conversations.values()) {
      if (kind === ConversationKind.CONVERSATION_KIND_DIRECT && members.has(a) && members.has(b)) return id;
    }
    return this.#add(ConversationKind.CONVERSATION_KIND_DIRECT, '', [a, b]);
  }

  /** Appends unless (conversation, sender, clientMsgId) is in the log; undefined when the sender is not a member. */
  append(
    id: bigint,
    sender: bigint,
    clientMsgId: string,
    text: string,
  ): { message: Message; duplicate: boolean } | undefined {
    const conversation = this.conversations.get(id);
    if (conversation === undefined || !conversation.members.has(sender)) return undefined;
    const { log, index } = conversation;
    const found = index.get(`${sender}/${clientMsgId}`);
    if (found !== undefined) return { message: found, duplicate: true };
    const seq = BigInt(log.length + 1);
    const message: Message = {
      seq,
      id: id * 1_000_000n + seq,
      sender,
      from: this.nameOf(sender),
      clientMsgId,
      text,
      atMs: 1_700_000_000_000n + seq,
    };
    log.push(message);
    index.set(`${sender}/${clientMsgId}`, message);
    return { message, duplicate: false };
  }

  see(id: bigint, user: bigint): WireConversation {
    const { kind, name, members, log } = this.conversations.get(id) as FakeConversation;
    const peer = [...members].find((member) => member !== user) ?? user;
    return {
      id,
      kind,
      name: kind === ConversationKind.CONVERSATION_KIND_ROOM ? name : this.nameOf(peer),
      lastSeq: BigInt(log.length),
      deliveredSeq: this.delivered.get(`${user}/${id}`) ?? 0n,
      readSeq: this.read.get(`${user}/${id}`) ?? 0n,
      unread: BigInt(log.length) - (this.read.get(`${user}/${id}`) ?? 0n),
      owner: this.roleOf(user, id) === Role.ROLE_OWNER,
      role: this.roleOf(user, id),
    };
  }

  sync(user: bigint, { cursors, limit, pushed }: Sync): SyncPage {
    const known = new Map(cursors.map(({ conversation, seq }) => [conversation, seq]));
    for (const { conversation, seq } of pushed) {
      const delivered = this.delivered.get(`${user}/${conversation}`) ?? 0n;
      known.set(conversation, seq < delivered ? seq : delivered);
    }
    const page: ConversationMessages[] = [];
    let room = limit || 200;
    let more = false;
    for (const { id, members, log } of this.conversations.values()) {
      if (!members.has(user)) continue;
      const from = Number(known.get(id) ?? this.delivered.get(`${user}/${id}`) ?? 0n);
      const messages = log.slice(from, from + room);
      if (from + messages.length < log.length) more = true;
      room -= messages.length;
      if (messages.length > 0) page.push({ conversation: this.see(id, user), messages });
    }
    for (const { id, kind, members, log } of this.conversations.values()) {
      const isNew = log.length === 0 && !known.has(id) && kind === ConversationKind.CONVERSATION_KIND_ROOM;
      if (!more && isNew && members.has(user)) page.push({ conversation: this.see(id, user), messages: [] });
    }
    const gone: Gone[] = [];
    for (const { conversation } of [...cursors, ...pushed]) {
      if (this.conversations.get(conversation)?.members.has(user) === true) continue;
      const { reason = MemberChange.MEMBER_CHANGE_DELETED, lastSeq = 0n } =
        this.former.get(`${user}/${conversation}`) ?? {};
      const log =
        this.conversations.get(conversation)?.log.slice(Number(known.get(conversation)), Number(lastSeq)) ??
        [];
      if (log.length > 0) page.push({ conversation: this.see(conversation, user), messages: log });
      gone.push({ conversation, reason, lastSeq });
    }
    return { conversations: page, more, gone: more ? [] : gone };
  }

  /** Removes a user from a room. */
  leave(id: bigint, user: bigint, reason: MemberChange = MemberChange.MEMBER_CHANGE_LEFT): void {
    const conversation = this.conversations.get(id);
    if (conversation?.members.delete(user) !== true) return;
    this.former.set(`${user}/${id}`, { reason, lastSeq: BigInt(conversation.log.length) });
  }

  members(id: bigint): Member[] {
    const members = this.conversations.get(id)?.members ?? new Set();
    return [...members].map((user) => {
      return { user, name: this.nameOf(user), online: true, role: this.roleOf(user, id) };
    });
  }

  roleOf(user: bigint, room: bigint): Role {
    return this.roles.get(`${user}/${room}`) ?? Role.ROLE_MEMBER;
  }

  #add(kind: ConversationKind, name: string, members: bigint[]): bigint {
    const id = this.#nextConversation++;
    this.conversations.set(id, { id, kind, name, members: new Set(members), log: [], index: new Map() });
    return id;
  }
}
