/** Calls about conversations: opening, membership, history. */
import type { Conversation as WireConversation } from '../../proto/client.ts';
import { ConversationKind } from '../../proto/client.ts';
import { toChatMessage, toConversation, toKey, toMember, toRoom } from './convert.ts';
import { ClientError } from './errors.ts';
import type { Conversation, History, HistoryOptions, Member, RoomList, RoomListOptions } from './events.ts';
import type { Inbox } from './inbox.ts';
import type { Call, Result } from './requests.ts';
import type { Syncer } from './sync.ts';

/** Calls that open a conversation, and calls that change its members. */
export type OpeningCall = Extract<Call, { $case: 'openDirect' | 'createRoom' | 'joinRoom' }>;
export type ChangingCall = Extract<Call, { $case: 'leaveRoom' | 'removeMember' | 'deleteRoom' }>;

export class Conversations {
  readonly #ask: (call: Call, key: bigint) => Promise<Result>;
  readonly #inbox: Inbox;
  readonly #syncer: Syncer;
  readonly #joinBacklog: number;

  /** @param joinBacklog number of earlier messages delivered as events after a join */
  constructor(
    ask: (call: Call, key: bigint) => Promise<Result>,
    inbox: Inbox,
    syncer: Syncer,
    joinBacklog: number,
  ) {
    this.#ask = ask;
    this.#inbox = inbox;
    this.#syncer = syncer;
    this.#joinBacklog = joinBacklog;
  }

  /** Opens a conversation, and starts delivering its messages if it is new to this client. */
  open(call: OpeningCall): Promise<Conversation> {
    return this.#syncer.holdWhile(async () => {
      const { conversation: wire } = await this.call(call, 'conversation');
      const isNew = !this.#inbox.knows(wire.id);
      const conversation = this.#inbox.adopt(wire, this.#beginning(wire));
      if (isNew) this.#syncer.want(false);
      return conversation;
    });
  }

  /** Makes a call that changes a room's members. Resolves when its effect on this client has come. */
  async change(conversation: string, call: ChangingCall): Promise<void> {
    await this.call(call, 'done', conversation);
    this.#syncer.want(false);
    await this.#syncer.idle();
  }

  async list(): Promise<readonly Conversation[]> {
    const result = await this.call({ $case: 'listConversations', listConversations: {} }, 'conversations');
    return result.conversations.conversations.map(toConversation);
  }

  async rooms({ after, limit = 50 }: RoomListOptions): Promise<RoomList> {
    const listRooms = { after: after === undefined ? 0n : toKey(after), limit };
    const { rooms } = await this.call({ $case: 'listRooms', listRooms }, 'rooms');
    return { rooms: rooms.rooms.map(toRoom), more: rooms.more };
  }

  async history(conversation: string, options: HistoryOptions): Promise<History> {
    const getHistory = { beforeSeq: BigInt(options.beforeSeq ?? 0), limit: options.limit ?? 50 };
    const result = await this.call({ $case: 'getHistory', getHistory }, 'history', conversation);
    const messages = result.history.messages.map((message) => toChatMessage(conversation, message));
    return { messages, more: result.history.more };
  }

  async members(conversation: string): Promise<readonly Member[]> {
    const result = await this.call({ $case: 'getMembers', getMembers: {} }, 'members', conversation);
    return result.members.members.map(toMember);
  }

  /**
   * Returns the start of a conversation that is new to this client: the device's cursor, or a room's recent messages.
   */
  #beginning({ kind, deliveredSeq, lastSeq }: WireConversation): number {
    const delivered = Number(deliveredSeq);
    const joined = kind === ConversationKind.CONVERSATION_KIND_ROOM && delivered === 0;
    // Before the first synchronisation it may be an old room, of which this device has missed more.
    if (!joined || !this.#syncer.completed) return delivered;
    return Math.max(0, Number(lastSeq) - this.#joinBacklog);
  }

  /** Makes a call. @param expected case of its answer */
  async call<Case extends Result['$case']>(
    call: Call,
    expected: Case,
    conversation?: string,
  ): Promise<Extract<Result, { $case: Case }>> {
    const result = await this.#ask(call, conversation === undefined ? 0n : toKey(conversation));
    if (result.$case !== expected) throw ClientError.local('FRAME_INVALID');
    return result as Extract<Result, { $case: Case }>;
  }
}
