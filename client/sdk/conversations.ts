/** Calls about conversations: opening, membership, lists, history, pins; and about users. */
import type {
  Conversation as WireConversation,
  Pin as WirePin,
  Pins as WirePins,
} from '../../proto/client.ts';
import { ConversationKind } from '../../proto/client.ts';
import { toEntry, toKey, toMember, toMessage, toPoint, toRoom, toSeq, toThread, toUser } from './convert.ts';
import { ClientError } from './errors.ts';
import type {
  Conversation,
  ConversationList,
  History,
  HistoryOptions,
  ListOptions,
  MemberList,
  Pin,
  Pins,
  Presence,
  ReaderList,
  RoomList,
  ThreadList,
  ThreadOptions,
  ThreadPage,
  User,
} from './events.ts';
import type { Inbox } from './inbox.ts';
import type { Names } from './names.ts';
import type { Call, Result } from './requests.ts';
import type { Syncer } from './sync.ts';
import { toPresence } from './watcher.ts';

/** Most ids in one call for users: the server's limit. */
const MAX_USERS = 200;

/** Calls that open a conversation, and calls that change its members. */
export type OpeningCall = Extract<Call, { $case: 'openDirect' | 'createRoom' | 'joinRoom' }>;
export type ChangingCall = Extract<Call, { $case: 'leaveRoom' | 'removeMember' | 'deleteRoom' }>;

export interface ConversationsParts {
  readonly ask: (call: Call, key: bigint) => Promise<Result>;
  readonly inbox: Inbox;
  readonly syncer: Syncer;
  readonly names: Names;
  readonly toConversation: (wire: WireConversation) => Conversation;
  /** Number of earlier entries delivered as events after a join. */
  readonly joinBacklog: number;
}

export class Conversations {
  readonly #parts: ConversationsParts;

  constructor(parts: ConversationsParts) {
    this.#parts = parts;
  }

  /** Opens a conversation, and starts delivering its entries if it is new to this client. */
  open(call: OpeningCall): Promise<Conversation> {
    const { inbox, syncer } = this.#parts;
    return syncer.holdWhile(async () => {
      const { conversation: wire } = await this.call(call, 'conversation');
      const isNew = !inbox.knows(wire.id);
      const conversation = inbox.adopt(wire, this.#beginning(wire));
      if (isNew) syncer.want(false);
      return conversation;
    });
  }

  /** Makes a call that changes a room's members. Resolves when its effect on this client has come. */
  async change(conversation: string, call: ChangingCall): Promise<void> {
    await this.call(call, 'done', conversation);
    this.#parts.syncer.want(false);
    await this.#parts.syncer.idle();
  }

  async get(conversation: string): Promise<Conversation> {
    const call = { $case: 'getConversation', getConversation: {} } as const;
    const result = await this.call(call, 'conversation', conversation);
    return this.#parts.toConversation(result.conversation);
  }

  /** Sets the read cursor; a greater epoch takes it back. */
  async markRead(
    conversation: string,
    readSeq: bigint,
    readEpoch: bigint,
    thread = 0n,
  ): Promise<Conversation> {
    const call = { $case: 'markRead', markRead: { readSeq, readEpoch, thread } } as const;
    const result = await this.call(call, 'conversation', conversation);
    return this.#parts.toConversation(result.conversation);
  }

  async markAllRead(conversation?: string): Promise<void> {
    await this.call({ $case: 'markAllRead', markAllRead: {} }, 'done', conversation);
  }

  async list({ after = '', limit = 0 }: ListOptions): Promise<ConversationList> {
    const listConversations = { after, limit };
    const result = await this.call({ $case: 'listConversations', listConversations }, 'conversations');
    const { conversations, next } = result.conversations;
    return {
      conversations: conversations.map((wire) => this.#parts.toConversation(wire)),
      next: next || undefined,
    };
  }

  async rooms({ after = '', limit = 0 }: ListOptions): Promise<RoomList> {
    const { rooms } = await this.call({ $case: 'listRooms', listRooms: { after, limit } }, 'rooms');
    return { rooms: rooms.rooms.map(toRoom), next: rooms.next || undefined };
  }

  async members(conversation: string, { after = '', limit = 0 }: ListOptions): Promise<MemberList> {
    const getMembers = { after, limit };
    const { members } = await this.call({ $case: 'getMembers', getMembers }, 'members', conversation);
    return {
      members: members.members.map((wire) => toMember(wire, this.#parts.names)),
      next: members.next || undefined,
      count: members.count,
    };
  }

  async history(conversation: string, options: HistoryOptions): Promise<History> {
    const getHistory = { limit: options.limit ?? 0, at: toPoint(options) };
    const { history } = await this.call({ $case: 'getHistory', getHistory }, 'history', conversation);
    return {
      entries: history.messages.map((wire) => toEntry(conversation, wire, this.#parts.names)),
      more: history.more,
      moreAfter: history.moreAfter,
      asOf: Number(history.asOf),
      anchor: Number(history.anchorSeq) || undefined,
      floorSeq: Number(history.floorSeq),
    };
  }

  async thread(conversation: string, root: number, options: ThreadOptions): Promise<ThreadPage> {
    const getThread = { root: toSeq(root), limit: options.limit ?? 0, at: toPoint(options) };
    const { thread: page } = await this.call({ $case: 'getThread', getThread }, 'thread', conversation);
    if (page.thread === undefined) throw ClientError.local('FRAME_INVALID');
    return {
      ...toThread(page.thread, this.#parts.names),
      replies: page.messages.map((wire) => toMessage(conversation, wire, this.#parts.names)),
      more: page.more,
      moreAfter: page.moreAfter,
      asOf: Number(page.asOf),
      anchor: Number(page.anchorSeq) || undefined,
    };
  }

  async threads({
    conversation,
    after = '',
    limit = 0,
  }: ListOptions & { readonly conversation?: string }): Promise<ThreadList> {
    const call = { $case: 'listThreads', listThreads: { after, limit } } as const;
    const { threads: page } = await this.call(call, 'threads', conversation);
    return {
      threads: page.threads.map((wire) => toThread(wire, this.#parts.names)),
      next: page.next || undefined,
    };
  }

  async followThread(conversation: string, root: number, follows: boolean): Promise<void> {
    const followThread = { root: toSeq(root), unfollow: !follows };
    await this.call({ $case: 'followThread', followThread }, 'done', conversation);
  }

  /** Lists the pins; begins again where they change between two pages. */
  async pins(conversation: string): Promise<Pins> {
    let pins: Pin[] = [];
    let pinsVersion = 0n;
    for (let after: string | undefined = ''; after !== undefined; ) {
      const call: Call = { $case: 'listPins', listPins: { after } };
      const { pins: page }: { pins: WirePins } = await this.call(call, 'pins', conversation);
      const isNewer: boolean = after !== '' && page.pinsVersion !== pinsVersion;
      if (isNewer) pins = [];
      else pins.push(...page.pins.flatMap((wire) => this.#toPin(conversation, wire)));
      pinsVersion = page.pinsVersion;
      after = isNewer ? '' : page.next || undefined;
    }
    return { pins, pinsVersion: Number(pinsVersion) };
  }

  async users(ids: readonly string[]): Promise<readonly User[]> {
    const users = ids.map((id) => toKey(id, 'The user'));
    const found: User[] = [];
    for (let at = 0; at < users.length; at += MAX_USERS) {
      const getUsers = { users: users.slice(at, at + MAX_USERS) };
      const result = await this.call({ $case: 'getUsers', getUsers }, 'users');
      found.push(...result.users.users.map((wire) => toUser(wire, this.#parts.names)));
    }
    return found;
  }

  async readers(
    conversation: string,
    seq: number,
    { after = '', limit = 0 }: ListOptions,
  ): Promise<ReaderList> {
    const getReaders = { seq: toSeq(seq), after, limit };
    const { readers } = await this.call({ $case: 'getReaders', getReaders }, 'readers', conversation);
    return {
      readers: readers.readers.map((wire) => toUser(wire, this.#parts.names)),
      next: readers.next || undefined,
    };
  }

  async presence(users: readonly string[]): Promise<readonly Presence[]> {
    const getPresence = { users: users.map((id) => toKey(id, 'The user')) };
    const { presences } = await this.call({ $case: 'getPresence', getPresence }, 'presences');
    return presences.users.map(toPresence);
  }

  async setDisplayName(displayName: string): Promise<User> {
    const { users } = await this.call(
      { $case: 'setProfile', setProfile: { displayName, ifDisplayName: '' } },
      'users',
    );
    const [user] = users.users;
    if (user === undefined) throw ClientError.local('FRAME_INVALID');
    return toUser(user, this.#parts.names);
  }

  #toPin(conversation: string, { message, by, atMs }: WirePin): Pin[] {
    if (message === undefined) return [];
    return [
      {
        message: toMessage(conversation, message, this.#parts.names),
        by: by.toString(),
        atMs: Number(atMs),
      },
    ];
  }

  /** Returns the start of a conversation that is new to this client: the device's cursor, or a room's recent entries. */
  #beginning({ kind, deliveredSeq, lastSeq }: WireConversation): number {
    const delivered = Number(deliveredSeq);
    const joined = kind === ConversationKind.CONVERSATION_KIND_ROOM && delivered === 0;
    // Before the first synchronisation it may be an old room, of which this device has missed more.
    if (!joined || !this.#parts.syncer.completed) return delivered;
    return Math.max(0, Number(lastSeq) - this.#parts.joinBacklog);
  }

  /** Makes a call. @param expected case of its answer */
  async call<Case extends Result['$case']>(
    call: Call,
    expected: Case,
    conversation?: string,
  ): Promise<Extract<Result, { $case: Case }>> {
    const result = await this.#parts.ask(call, conversation === undefined ? 0n : toKey(conversation));
    if (result.$case !== expected) throw ClientError.local('FRAME_INVALID');
    return result as Extract<Result, { $case: Case }>;
  }
}
