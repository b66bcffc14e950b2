/** Synchronisation: pulls missed entries from the log after each WELCOME and RESYNC, and when there is a gap. */
import { EntryKind } from '../../proto/client.ts';
import type {
  Conversation as WireConversation,
  ConversationEntries,
  Cursor,
  Gone,
  SyncPage,
} from '../../proto/client.ts';
import { Backoff, delay } from './backoff.ts';
import { ClientError } from './errors.ts';
import type { Conversation } from './events.ts';
import type { Inbox } from './inbox.ts';
import type { ResolvedOptions } from './options.ts';
import type { Call, Result } from './requests.ts';

/** Most entries per page; the server also bounds pages by size. */
const PAGE_LIMIT = 200;
/** Most conversations named in a request: the server's limit. */
const MAX_NAMED = 1000;
/** Conversations per page of the list: the server's most. */
const LIST_LIMIT = 500;

export interface SyncHooks {
  call(call: Call): Promise<Result>;
  /** Resolves when the client's own sends in a page are answered. */
  answered(page: SyncPage): Promise<void>;
  /** A page of the user's conversations, before the first synchronisation. */
  onListed(conversations: readonly WireConversation[]): void;
  /** The user has a conversation that was unknown here, without messages to read. */
  onOpened(conversation: Conversation): void;
  /** The user has left a conversation; its last messages have been delivered. */
  onGone(gone: Gone): void;
  /** The log was read to its end, after `want(true)`. */
  onSynced(messages: number): void;
  /** Synchronisation has failed for good on this connection. */
  onError(error: ClientError): void;
}

/** Runs one synchronisation at a time; requests during one start another after it. */
export class Syncer {
  readonly #options: ResolvedOptions;
  readonly #hooks: SyncHooks;
  readonly #inbox: Inbox;
  readonly #signal: AbortSignal;
  readonly #backoff: Backoff;
  #wanted = false;
  #announce = false;
  #running = false;
  #completed = false;
  /** Newest entries of a conversation that the first synchronisation pulls. */
  #first: number | 'all' | undefined;
  #held = 0;
  #messages = 0;
  #waiters: (() => void)[] = [];
  #gapTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(options: ResolvedOptions, inbox: Inbox, signal: AbortSignal, hooks: SyncHooks) {
    this.#options = options;
    this.#inbox = inbox;
    this.#signal = signal;
    this.#hooks = hooks;
    this.#backoff = new Backoff(options.backoff, options.random);
    signal.addEventListener('abort', () => clearTimeout(this.#gapTimer));
  }

  /** Whether the log has been read to its end once, so that everything stored for this device is here. */
  get completed(): boolean {
    return this.#completed;
  }

  /** Requests a synchronisation that starts after this call. @param announce whether to report its end */
  want(announce: boolean): void {
    this.#wanted = true;
    this.#announce ||= announce;
    if (!this.#running && this.#held === 0) void this.#run();
  }

  /** Synchronises unless the gap closes by itself soon. */
  wantIfIncomplete(): void {
    if (!this.#inbox.incomplete || this.#gapTimer !== undefined || this.#signal.aborted) return;
    this.#gapTimer = setTimeout(() => {
      this.#gapTimer = undefined;
      if (this.#inbox.incomplete) this.want(false);
    }, this.#options.gapDelayMs);
  }

  /** Resolves when no entry is known to be missing here. */
  idle(): Promise<void> {
    if (!this.#running && !this.#wanted && !this.#inbox.incomplete) return Promise.resolve();
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiters.push(resolve);
    return promise;
  }

  /**
   * Defers synchronisations while `work` runs: the answer to a join says where a room begins for this client, and a
   * push that overtakes it must not make the client pull the room's whole past.
   */
  async holdWhile<T>(work: () => Promise<T>): Promise<T> {
    this.#held++;
    try {
      return await work();
    } finally {
      this.#held--;
      if (this.#held === 0 && this.#wanted && !this.#running) void this.#run();
    }
  }

  async #run(): Promise<void> {
    this.#running = true;
    while (this.#wanted && this.#held === 0 && !this.#signal.aborted) {
      this.#wanted = false;
      try {
        await this.#pull();
        this.#backoff.reset();
      } catch (thrown) {
        const error = ClientError.from(thrown);
        if (this.#signal.aborted) break;
        if (!error.retryable) {
          this.#hooks.onError(error);
          continue;
        }
        this.#wanted = true;
        await delay(this.#backoff.next(error.retryAfterMs), this.#signal);
      }
    }
    this.#running = false;
    if (this.#inbox.incomplete && !this.#signal.aborted) return;
    for (const resolve of this.#waiters.splice(0)) resolve();
  }

  async #pull(): Promise<void> {
    const round = this.#inbox.beginSync();
    const newest = await this.#newest();
    for (let after: bigint | undefined = 0n; after !== undefined; ) {
      const range = this.#inbox.range(after, MAX_NAMED);
      const sync = { ...range, limit: PAGE_LIMIT, newest };
      const result = await this.#hooks.call({ $case: 'sync', sync });
      if (result.$case !== 'sync') throw ClientError.local('FRAME_INVALID');
      const page = result.sync;
      await this.#hooks.answered(page);
      // A closed client must not report messages as delivered.
      if (this.#signal.aborted) return;
      for (const part of page.conversations) this.#take(part);
      for (const gone of page.gone) this.#hooks.onGone(gone);
      // A page that promises more without progress would be requested forever.
      if (page.more && !goesBeyond(page, range.cursors)) throw ClientError.local('INTERNAL');
      if (!page.more) after = range.until === 0n ? undefined : range.until;
    }
    this.#inbox.endSync(round);
    this.#completed = true;
    if (this.#announce && !this.#wanted) {
      const messages = this.#messages;
      this.#announce = false;
      this.#messages = 0;
      this.#hooks.onSynced(messages);
    }
    this.wantIfIncomplete();
  }

  /** Returns how many of the newest entries of a conversation are pulled; 0: all. */
  async #newest(): Promise<number> {
    const { catchUp, newDevice } = this.#options;
    if (this.#completed || catchUp === newDevice) return toNewest(catchUp);
    this.#first ??= (await this.#isNewDevice()) ? newDevice || catchUp : catchUp;
    return toNewest(this.#first);
  }

  /** Lists conversations until one shows that entries were delivered to this device. */
  async #isNewDevice(): Promise<boolean> {
    const listed: WireConversation[] = [];
    for (let after: string | undefined = ''; after !== undefined; ) {
      const listConversations = { after, limit: LIST_LIMIT };
      const result = await this.#hooks.call({ $case: 'listConversations', listConversations });
      if (result.$case !== 'conversations') throw ClientError.local('FRAME_INVALID');
      const { conversations, next } = result.conversations;
      this.#hooks.onListed(conversations);
      // The device has been here before.
      if (conversations.some(({ deliveredSeq }) => deliveredSeq > 0n)) return false;
      listed.push(...conversations);
      after = next || undefined;
    }
    if (this.#options.newDevice === 0)
      for (const wire of listed) this.#inbox.adopt(wire, Number(wire.lastSeq));
    return true;
  }

  #take(part: ConversationEntries): void {
    const id = part.conversation?.id ?? 0n;
    const wasKnown = this.#inbox.knows(id);
    this.#messages += this.#inbox.page(part);
    const conversation = this.#inbox.conversation(id);
    const isSilent = part.messages.every(({ kind }) => kind !== EntryKind.ENTRY_KIND_MESSAGE);
    if (isSilent && !wasKnown && conversation !== undefined) this.#hooks.onOpened(conversation);
  }
}

function toNewest(entries: number | 'all'): number {
  return entries === 'all' ? 0 : entries;
}

function goesBeyond(page: SyncPage, cursors: readonly Cursor[]): boolean {
  const seqs = new Map(cursors.map(({ conversation, seq }) => [conversation, seq]));
  return page.conversations.some(({ conversation, messages }) => {
    const last = messages.at(-1);
    return last !== undefined && last.seq > (seqs.get(conversation?.id ?? 0n) ?? 0n);
  });
}
