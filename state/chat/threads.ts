/** Calls about threads. */
import { GochatError } from '../../common/mod.ts';
import { type client, cutText } from '../../proto/mod.ts';
import type { NameOf, Profiles } from '../identity/profiles.ts';
import { accessCheck } from '../policy.ts';
import type { Caller } from '../session/location-map.ts';
import type { FollowedThread, Message, ThreadStore } from '../store/store.ts';
import { accept, conversationId, invalid, pageLimit, pageStart, wholeNumber } from './input.ts';
import { anchorOf, fitting, parsePoint } from './log.ts';
import { toMessage, toSummary, usersIn } from './present.ts';

const REPLIES = { most: 100, standard: 50 };
const THREADS = { most: 100, standard: 50 };
/** Numbers in the page keys of the list. */
const THREAD_KEY = 3;
/** Most characters of the messages in the list. */
const PREVIEW_CHARACTERS = 100;

export interface ThreadsOptions {
  readonly store: ThreadStore;
  readonly profiles: Pick<Profiles, 'namesOf'>;
}

/** Validates the input, queries the store, converts the answer. Every method throws GochatErrors. */
export class Threads {
  readonly #options: ThreadsOptions;

  constructor(options: ThreadsOptions) {
    this.#options = options;
  }

  /** Returns a page of replies, cut as Log.history does. @throws GochatError NOT_A_MEMBER, TARGET_NOT_FOUND */
  async page(
    { user }: Caller,
    conversation: bigint,
    { root, limit, at }: client.GetThread,
  ): Promise<client.ThreadPage> {
    const { store, profiles } = this.#options;
    const by = accessCheck('getThread', user);
    const [point, most, seq] = [parsePoint(at), pageLimit(limit, REPLIES), wholeNumber(root, 'root')];
    // It would take a search through the whole thread.
    if (point.at === 'date') throw invalid('date_ms in a thread');
    const id = conversationId(conversation);
    const found = id === undefined ? by.requirement.missing : await store.threadOf(id, by, seq, point, most);
    if (found === 'TARGET_NOT_FOUND') throw new GochatError(found);
    const page = accept(found, conversation);
    const shown = page.root === undefined ? page.messages : [page.root, ...page.messages];
    const nameOf = await profiles.namesOf(shown.flatMap(usersIn));
    const messages = page.messages.map((message) => toMessage(message, nameOf));
    const { from, to } = fitting(messages, anchorOf(page, point));
    return {
      thread: {
        conversation: page.conversation,
        seq: BigInt(page.seq),
        root: page.root && toMessage(page.root, nameOf),
        summary: page.summary && toSummary(page.summary),
        last: undefined,
      },
      messages: messages.slice(from, to),
      more: page.more || from > 0,
      moreAfter: page.moreAfter || to < messages.length,
      asOf: BigInt(page.asOf),
      anchorSeq: BigInt(page.anchorSeq),
    };
  }

  /** Returns a page of the threads that the user follows. @param key 0: of all conversations */
  async followed(
    { user }: Caller,
    key: bigint,
    { after, limit }: client.ListThreads,
  ): Promise<client.Threads> {
    const { store, profiles } = this.#options;
    const [start, most] = [pageStart(after, THREAD_KEY), pageLimit(limit, THREADS)];
    const conversation = conversationId(key);
    if (conversation === undefined && key !== 0n) return { threads: [], next: '' };
    const { items, next } = await store.followedThreads(user, conversation, start, most);
    const nameOf = await profiles.namesOf(
      items.flatMap(({ root, last }) => [root, last].flatMap((each) => (each ? usersIn(each) : []))),
    );
    return { threads: items.map((item) => toThread(item, nameOf)), next: next ?? '' };
  }

  /** @throws GochatError NOT_A_MEMBER, TARGET_NOT_FOUND */
  async follow(
    { user }: Caller,
    conversation: bigint,
    { root, unfollow }: client.FollowThread,
  ): Promise<void> {
    const by = accessCheck('followThread', user);
    const id = conversationId(conversation);
    const seq = wholeNumber(root, 'root');
    const done =
      id === undefined
        ? by.requirement.missing
        : await this.#options.store.followThread(id, by, seq, !unfollow);
    if (done === 'TARGET_NOT_FOUND') throw new GochatError(done);
    accept(done, conversation);
  }
}

function toThread({ conversation, seq, root, summary, last }: FollowedThread, nameOf: NameOf): client.Thread {
  return {
    conversation,
    seq: BigInt(seq),
    root: root && preview(root, nameOf),
    summary: summary && toSummary(summary),
    last: last && preview(last, nameOf),
  };
}

/** As the last message of a listed conversation. */
function preview(message: Message, nameOf: NameOf): client.Message {
  const presented = toMessage(message, nameOf);
  const { text } = cutText(presented.text, PREVIEW_CHARACTERS);
  return { ...presented, clientMsgId: '', quote: undefined, text };
}
