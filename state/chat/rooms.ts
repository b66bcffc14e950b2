/** What users ask about conversations: list them, read back, synchronise. */
import { type ConversationId, GochatError, isId, type UserId } from '../../common/mod.ts';
import type { client } from '../../proto/mod.ts';
import type { Caller } from '../session/location-map.ts';
import { inPieces } from '../store/member-pieces.ts';
import type { Message, Store, UserConversation } from '../store/store.ts';
import { CONVERSATION_BYTES, GONE_BYTES, PageBudget } from './page-budget.ts';
import type { UserNames } from '../identity/user-names.ts';
import { toConversation, toGone, toMessage } from './present.ts';

const MAX_SYNC_LIMIT = 1000;
const DEFAULT_SYNC_LIMIT = 200;
const MAX_CURSORS = 10_000;
const MAX_PAGE_LIMIT = 200;
const DEFAULT_PAGE_LIMIT = 50;
/** Members that one answer lists, those online first. */
const MAX_MEMBERS = 2000;

export interface RoomsOptions {
  readonly store: Store;
  readonly names: Pick<UserNames, 'of'>;
  readonly isOnline: (user: UserId) => boolean;
}

/** Checks the input, asks the store, presents the answer. Every method throws GochatErrors. */
export class Rooms {
  readonly #options: RoomsOptions;

  constructor(options: RoomsOptions) {
    this.#options = options;
  }

  async conversations(caller: Caller): Promise<client.Conversations> {
    const list = await this.#options.store.conversationsOf(caller.user, caller.device);
    return { conversations: await this.#present(list) };
  }

  async conversation({ user, device }: Caller, conversation: bigint): Promise<client.Conversation> {
    const id = conversationId(conversation);
    const found = id && (await this.#options.store.conversationOf(id, user, device));
    const [presented] = await this.#present(found === undefined ? [] : [found]);
    if (presented === undefined) throw new GochatError('NOT_A_MEMBER');
    return presented;
  }

  async listRooms(user: UserId, after: bigint, limit: number): Promise<client.Rooms> {
    const page = await this.#options.store.listRooms(user, after as ConversationId, pageLimit(limit));
    return {
      rooms: page.rooms.map((room) => ({
        id: room.id,
        name: room.name,
        members: room.members,
        joined: room.joined,
        lastSeq: BigInt(room.lastSeq),
        unread: BigInt(room.unread),
      })),
      more: page.more,
    };
  }

  /** Pages backwards; a page that would be too large begins later and says that there is more. */
  async history(
    user: UserId,
    conversation: bigint,
    beforeSeq: bigint,
    limit: number,
  ): Promise<client.HistoryPage> {
    const id = conversationId(conversation);
    if (id === undefined) throw new GochatError('NOT_A_MEMBER');
    const page = await this.#options.store.history(user, id, seq(beforeSeq, 'before_seq'), pageLimit(limit));
    if (page === undefined) throw new GochatError('NOT_A_MEMBER');
    const budget = new PageBudget();
    const names = await this.#options.names.of(sendersOf(page.messages));
    const newest: client.Message[] = [];
    for (const message of page.messages.toReversed()) {
      const presented = toMessage(message, names);
      if (!budget.takeMessage(presented)) break;
      newest.push(presented);
    }
    return { messages: newest.reverse(), more: page.more || newest.length < page.messages.length };
  }

  async members(user: UserId, conversation: bigint): Promise<client.Members> {
    const id = conversationId(conversation);
    const list = id === undefined ? undefined : await this.#options.store.membersOf(id);
    const online: UserId[] = [];
    const offline: UserId[] = [];
    let isMember = false;
    await inPieces(list?.members ?? [], (member) => {
      isMember ||= member.user === user;
      const some = this.#options.isOnline(member.user) ? online : offline;
      if (some.length < MAX_MEMBERS) some.push(member.user);
    });
    if (!isMember) throw new GochatError('NOT_A_MEMBER');
    const names = await this.#options.names.of([...online, ...offline]);
    const present = (members: UserId[], isOnline: boolean) =>
      members
        .map((id) => ({ user: id, name: names.get(id) ?? '', online: isOnline }))
        .sort((a, b) => (a.name < b.name ? -1 : 1));
    return { members: [...present(online, true), ...present(offline, false)].slice(0, MAX_MEMBERS) };
  }

  /** What the log holds beyond the cursors; a page that would be too large is cut and says that there is more. */
  async sync(caller: Caller, request: client.Sync): Promise<client.SyncPage> {
    const limit = request.limit === 0 ? DEFAULT_SYNC_LIMIT : request.limit;
    if (limit > MAX_SYNC_LIMIT) throw invalid('limit');
    if (request.cursors.length + request.pushed.length > MAX_CURSORS) throw invalid('cursors');
    const cursors = parseCursors(request.cursors, 'cursors');
    const pushed = parseCursors(request.pushed, 'pushed');
    const { user, device } = caller;
    const result = await this.#options.store.sync({ user, device, cursors, limit, pushed });
    const names = await this.#options.names.of([
      ...peersOf(result.conversations.map(({ conversation }) => conversation)),
      ...result.conversations.flatMap(({ messages }) => sendersOf(messages)),
    ]);
    const budget = new PageBudget();
    const conversations: client.ConversationMessages[] = [];
    for (const { conversation, messages } of result.conversations) {
      const taken: client.Message[] = [];
      const presented = toConversation(conversation, names);
      let head = CONVERSATION_BYTES + presented.name.length;
      for (const each of messages) {
        const message = toMessage(each, names);
        if (!budget.takeMessage(message, head)) break;
        taken.push(message);
        head = 0;
      }
      if (taken.length > 0) conversations.push({ conversation: presented, messages: taken });
      if (taken.length < messages.length) return { conversations, more: true, gone: [] };
    }
    if (result.more || !budget.take(result.gone.length * GONE_BYTES))
      return { conversations, more: true, gone: [] };
    for (const { conversation, messages } of result.conversations) {
      if (messages.length > 0) continue;
      const presented = toConversation(conversation, names);
      // For those that do not fit the next synchronisation has room.
      if (!budget.take(CONVERSATION_BYTES + presented.name.length)) break;
      conversations.push({ conversation: presented, messages: [] });
    }
    return { conversations, more: false, gone: result.gone.map(toGone) };
  }

  async #present(conversations: readonly UserConversation[]): Promise<client.Conversation[]> {
    const names = await this.#options.names.of(peersOf(conversations));
    return conversations.map((conversation) => toConversation(conversation, names));
  }
}

function peersOf(conversations: readonly UserConversation[]): UserId[] {
  return conversations.flatMap(({ peer }) => peer ?? []);
}

function sendersOf(messages: readonly Message[]): UserId[] {
  return messages.map(({ sender }) => sender);
}

/** Returns an id that the store can hold. */
export function conversationId(value: bigint): ConversationId | undefined {
  return isId(value) ? (value as ConversationId) : undefined;
}

function parseCursors(cursors: readonly client.Cursor[], what: string): Map<ConversationId, number> {
  const parsed = new Map<ConversationId, number>();
  for (const cursor of cursors) {
    const id = conversationId(cursor.conversation);
    if (id === undefined) throw invalid(what);
    parsed.set(id, seq(cursor.seq, what));
  }
  return parsed;
}

function seq(value: bigint, what: string): number {
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw invalid(what);
  return Number(value);
}

function pageLimit(limit: number): number {
  if (limit > MAX_PAGE_LIMIT) throw invalid('limit');
  return limit === 0 ? DEFAULT_PAGE_LIMIT : limit;
}

function invalid(what: string): GochatError {
  return new GochatError('ARGUMENT_INVALID', { details: { what } });
}
