/** Calls about conversations: list, history, sync. */
import { type ConversationId, GochatError, isId, type UserId } from '../../common/mod.ts';
import type { client } from '../../proto/mod.ts';
import type { Caller } from '../session/location-map.ts';
import { inPieces } from '../store/member-pieces.ts';
import { type Action, accessCheck, type Refusal, refusal } from '../policy.ts';
import type { Message, Store, UserConversation } from '../store/store.ts';
import { CONVERSATION_BYTES, GONE_BYTES, PageBudget } from './page-budget.ts';
import { quoted } from '../identity/names.ts';
import type { UserNames } from '../identity/user-names.ts';
import { toConversation, toGone, toMessage, toWireRole } from './present.ts';

const MAX_SYNC_LIMIT = 1000;
const DEFAULT_SYNC_LIMIT = 200;
const MAX_CURSORS = 10_000;
const MAX_PAGE_LIMIT = 200;
const DEFAULT_PAGE_LIMIT = 50;
/** Most members per answer, online ones first. */
const MAX_MEMBERS = 2000;

export interface RoomsOptions {
  readonly store: Store;
  readonly names: Pick<UserNames, 'of'>;
  readonly isOnline: (user: UserId) => boolean;
}

/** Validates the input, queries the store, converts the answer. Every method throws GochatErrors. */
export class Rooms {
  readonly #options: RoomsOptions;

  constructor(options: RoomsOptions) {
    this.#options = options;
  }

  async conversations(caller: Caller): Promise<client.Conversations> {
    const list = await this.#options.store.conversationsOf(caller.user, caller.device);
    return { conversations: await this.#present(list) };
  }

  async conversation(caller: Caller, conversation: bigint): Promise<client.Conversation> {
    const [presented] = await this.#present([await this.#find('getConversation', caller, conversation)]);
    return presented as client.Conversation;
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

  /** Returns a page backwards. A page that would be too large starts later and is marked. */
  async history(
    user: UserId,
    conversation: bigint,
    beforeSeq: bigint,
    limit: number,
  ): Promise<client.HistoryPage> {
    const by = accessCheck('getHistory', user);
    const [id, before, most] = [conversationId(conversation), seq(beforeSeq, 'before_seq'), pageLimit(limit)];
    const answer =
      id === undefined ? by.requirement.missing : this.#options.store.history(id, by, before, most);
    const page = accept(await answer, conversation);
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

  async members(caller: Caller, conversation: bigint): Promise<client.Members> {
    const { store } = this.#options;
    const { id } = await this.#find('getMembers', caller, conversation);
    const [list, roles] = await Promise.all([store.membersOf(id), store.rolesOf(id)]);
    const online: UserId[] = [];
    const offline: UserId[] = [];
    await inPieces(list?.members ?? [], (member) => {
      const some = this.#options.isOnline(member.user) ? online : offline;
      if (some.length < MAX_MEMBERS) some.push(member.user);
    });
    const names = await this.#options.names.of([...online, ...offline]);
    const present = (members: UserId[], isOnline: boolean) =>
      members
        .map((user) => {
          const role = toWireRole(roles.get(user) ?? 'member');
          return { user, name: names.get(user) ?? '', online: isOnline, role };
        })
        .sort((a, b) => (a.name < b.name ? -1 : 1));
    return { members: [...present(online, true), ...present(offline, false)].slice(0, MAX_MEMBERS) };
  }

  /** Returns the messages beyond the cursors. A page that would be too large is cut and marked. */
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
      // The next synchronisation has room for the rest.
      if (!budget.take(CONVERSATION_BYTES + presented.name.length)) break;
      conversations.push({ conversation: presented, messages: [] });
    }
    return { conversations, more: false, gone: result.gone.map(toGone) };
  }

  async #present(conversations: readonly UserConversation[]): Promise<client.Conversation[]> {
    const names = await this.#options.names.of(peersOf(conversations));
    return conversations.map((conversation) => toConversation(conversation, names));
  }

  /** Returns a conversation for its user. @throws GochatError if the policy refuses the action */
  async #find(action: Action, { user, device }: Caller, conversation: bigint): Promise<UserConversation> {
    const { requirement } = accessCheck(action, user);
    const id = conversationId(conversation);
    const found = id && (await this.#options.store.conversationOf(id, user, device));
    const reason = refusal(requirement, { kind: found?.kind, actor: found?.role ?? 'nonmember' });
    return accept(reason ?? found ?? requirement.missing, conversation);
  }
}

function peersOf(conversations: readonly UserConversation[]): UserId[] {
  return conversations.flatMap(({ peer }) => peer ?? []);
}

function sendersOf(messages: readonly Message[]): UserId[] {
  return messages.map(({ sender }) => sender);
}

/** Returns the result unless it is a refusal. @throws GochatError the refusal of an action in this conversation */
export function accept<T extends object>(
  result: T | Refusal | 'LAST_OWNER',
  conversation: bigint | string,
): T {
  if (typeof result !== 'string') return result;
  throw refused(result, conversation);
}

export function refused(code: Refusal | 'LAST_OWNER', conversation: bigint | string): GochatError {
  if (code !== 'ROOM_NOT_FOUND') return new GochatError(code);
  return new GochatError(code, { details: { name: quoted(String(conversation)) } });
}

/** Returns an id that fits the store. */
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
