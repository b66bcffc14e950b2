/** Calls that read the log: synchronisation, history, pins. */
import type { ConversationId } from '../../common/mod.ts';
import type { client } from '../../proto/mod.ts';
import { type NameOf, type Profiles, shownName } from '../identity/profiles.ts';
import { accessCheck } from '../policy.ts';
import type { Caller } from '../session/location-map.ts';
import type { HistoryPage, HistoryPoint, Store } from '../store/store.ts';
import { accept, conversationId, invalid, pageLimit, wholeNumber } from './input.ts';
import { CONVERSATION_BYTES, GONE_BYTES, PageBudget } from './page-budget.ts';
import { toConversation, toGone, toMessage, usersIn } from './present.ts';

const SYNC = { most: 1000, standard: 200 };
const HISTORY = { most: 200, standard: 50 };
/** Most cursors of one synchronisation; a client with more goes through them by ranges of ids. */
const MAX_CURSORS = 1000;
const MAX_ID = 2n ** 63n - 1n;
const PINS_START = /^\d{1,3}$/;
/** Most pins of a page: about as many as fit if their texts are long, as all of a page are read. */
const PINS = 20;

export interface LogOptions {
  readonly store: Pick<Store, 'sync' | 'history' | 'pinsOf'>;
  readonly profiles: Pick<Profiles, 'of' | 'namesOf'>;
}

/** Validates the input, queries the store, converts the answer. Every method throws GochatErrors. */
export class Log {
  readonly #options: LogOptions;

  constructor(options: LogOptions) {
    this.#options = options;
  }

  /** Returns the entries beyond the cursors. A page that would be too large is cut and marked. */
  async sync({ user, device }: Caller, request: client.Sync): Promise<client.SyncPage> {
    const { store, profiles } = this.#options;
    if (request.cursors.length + request.pushed.length > MAX_CURSORS) throw invalid('cursors');
    const result = await store.sync({
      user,
      device,
      cursors: parseCursors(request.cursors, 'cursors'),
      pushed: parseCursors(request.pushed, 'pushed'),
      after: request.after,
      until: request.until === 0n ? MAX_ID : request.until,
      newest: request.newest,
      limit: pageLimit(request.limit, SYNC),
    });
    const found = await profiles.of(
      result.conversations.flatMap(({ conversation, messages }) => [
        ...(conversation.peer === undefined ? [] : [conversation.peer]),
        ...messages.flatMap(usersIn),
      ]),
    );
    const nameOf: NameOf = (user) => shownName(found.get(user));
    const budget = new PageBudget();
    const conversations: client.ConversationEntries[] = [];
    for (const { conversation, messages, afterSeq, asOf } of result.conversations) {
      const taken: client.Message[] = [];
      const presented = toConversation(conversation, found);
      let head = CONVERSATION_BYTES + presented.name.length;
      for (const each of messages) {
        const message = toMessage(each, nameOf);
        if (!budget.takeMessage(message, head)) break;
        taken.push(message);
        head = 0;
      }
      if (taken.length > 0)
        conversations.push({
          conversation: presented,
          messages: taken,
          afterSeq: BigInt(afterSeq),
          asOf: BigInt(asOf),
        });
      if (taken.length < messages.length) return { conversations, more: true, gone: [] };
    }
    if (result.more || !budget.take(result.gone.length * GONE_BYTES))
      return { conversations, more: true, gone: [] };
    for (const { conversation, messages, afterSeq, asOf } of result.conversations) {
      if (messages.length > 0) continue;
      const presented = toConversation(conversation, found);
      // The next synchronisation has room for the rest.
      if (!budget.take(CONVERSATION_BYTES + presented.name.length)) break;
      conversations.push({
        conversation: presented,
        messages: [],
        afterSeq: BigInt(afterSeq),
        asOf: BigInt(asOf),
      });
    }
    return { conversations, more: false, gone: result.gone.map(toGone) };
  }

  /** Returns a page at a point. One that would be too large ends earlier at the sides away from the point, and is marked. */
  async history(
    { user }: Caller,
    conversation: bigint,
    { limit, at }: client.GetHistory,
  ): Promise<client.HistoryPage> {
    const by = accessCheck('getHistory', user);
    const [point, most] = [parsePoint(at), pageLimit(limit, HISTORY)];
    const id = conversationId(conversation);
    const answer =
      id === undefined ? by.requirement.missing : await this.#options.store.history(id, by, point, most);
    const page = accept(answer, conversation);
    const nameOf = await this.#options.profiles.namesOf(page.messages.flatMap(usersIn));
    const messages = page.messages.map((message) => toMessage(message, nameOf));
    const { from, to } = fitting(messages, anchorOf(page, point));
    return {
      messages: messages.slice(from, to),
      more: page.more || from > 0,
      moreAfter: page.moreAfter || to < messages.length,
      asOf: BigInt(page.asOf),
      anchorSeq: BigInt(page.anchorSeq),
      floorSeq: BigInt(page.floorSeq),
    };
  }

  /** Returns a page of the pins. */
  async pins({ user }: Caller, conversation: bigint, { after }: client.ListPins): Promise<client.Pins> {
    if (after !== '' && !PINS_START.test(after)) throw invalid('after');
    const by = accessCheck('listPins', user);
    const id = conversationId(conversation);
    const start = Number(after);
    // One more, to know whether the list goes on.
    const answer =
      id === undefined ? by.requirement.missing : await this.#options.store.pinsOf(id, by, start, PINS + 1);
    const { pins, pinsVersion } = accept(answer, conversation);
    const nameOf = await this.#options.profiles.namesOf(pins.flatMap(({ message }) => usersIn(message)));
    const budget = new PageBudget();
    const page: client.Pin[] = [];
    for (const { message, by: pinner, atMs } of pins.slice(0, PINS)) {
      const presented = toMessage(message, nameOf);
      if (!budget.takeMessage(presented)) break;
      page.push({ message: presented, by: pinner, atMs: BigInt(atMs) });
    }
    const next = page.length < pins.length ? String(start + page.length) : '';
    return { pins: page, pinsVersion: BigInt(pinsVersion), next };
  }
}

/** Returns the part of a page that fits an answer, grown from the message at `anchor` to both sides. */
export function fitting(
  messages: readonly client.Message[],
  anchor: number,
): { readonly from: number; readonly to: number } {
  const budget = new PageBudget();
  let [from, to] = [anchor, anchor];
  for (let isNewer = true; from > 0 || to < messages.length; isNewer = !isNewer) {
    const next = isNewer ? to : from - 1;
    const message = messages[next];
    if (message === undefined) continue;
    if (!budget.takeMessage(message)) break;
    if (isNewer) to++;
    else from--;
  }
  return { from, to };
}

/** Returns the index in a page from which it grows. */
export function anchorOf(
  { messages, anchorSeq }: Pick<HistoryPage, 'messages' | 'anchorSeq'>,
  { at }: HistoryPoint,
): number {
  if (at === 'after') return 0;
  const found = anchorSeq === 0 ? -1 : messages.findIndex(({ seq }) => seq === anchorSeq);
  return found < 0 ? messages.length : found;
}

export function parsePoint(given: client.HistoryPoint | undefined): HistoryPoint {
  const point = given?.point;
  switch (point?.$case) {
    case 'beforeSeq':
      return { at: 'before', seq: wholeNumber(point.beforeSeq, 'before_seq') };
    case 'afterSeq':
      return { at: 'after', seq: wholeNumber(point.afterSeq, 'after_seq') };
    case 'aroundSeq':
      return { at: 'around', seq: wholeNumber(point.aroundSeq, 'around_seq') };
    case 'dateMs':
      return { at: 'date', ms: wholeNumber(point.dateMs, 'date_ms') };
    case 'firstUnread':
      if (!point.firstUnread) throw invalid('first_unread');
      return { at: 'firstUnread' };
    default:
      return { at: 'before', seq: 0 };
  }
}

function parseCursors(cursors: readonly client.Cursor[], what: string): Map<ConversationId, number> {
  const parsed = new Map<ConversationId, number>();
  for (const cursor of cursors) {
    const id = conversationId(cursor.conversation);
    if (id === undefined) throw invalid(what);
    parsed.set(id, wholeNumber(cursor.seq, what));
  }
  return parsed;
}
