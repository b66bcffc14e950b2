/** The watch of this client: what it shows, kept up over reconnects, answered by the whole state and followed by news. */
import type {
  MemberReceipt as WireReceipt,
  Nack,
  Presence as WirePresence,
  Read,
  UserPresence,
  Watched as WireWatched,
} from '../../proto/client.ts';
import { PresenceStatus, Watch } from '../../proto/client.ts';
import { Backoff } from './backoff.ts';
import { toKey } from './convert.ts';
import { ClientError } from './errors.ts';
import type { Emitter, MemberReceipt, Presence, Watched } from './events.ts';
import type { ResolvedOptions } from './options.ts';
import { ShownReceipts } from './shown-receipts.ts';

/** What is to be watched. */
export interface WatchTargets {
  readonly conversations: readonly string[];
  readonly users: readonly string[];
  readonly idle: boolean;
}

export interface WatcherHooks {
  nextRef(): number;
  /** Sends a WATCH frame; false while there is no connection. */
  write(ref: number, payload: Uint8Array): boolean;
}

interface Waiting {
  readonly resolve: (watched: Watched) => void;
  readonly reject: (error: ClientError) => void;
}

const STATUSES: { readonly [status: number]: Presence['status'] | undefined } = {
  [PresenceStatus.PRESENCE_STATUS_ONLINE]: 'online',
  [PresenceStatus.PRESENCE_STATUS_IDLE]: 'idle',
  [PresenceStatus.PRESENCE_STATUS_OFFLINE]: 'offline',
};

/** One WATCH is under way at a time; of those that come meanwhile the last one is sent then. */
export class Watcher {
  readonly #events: Emitter;
  readonly #hooks: WatcherHooks;
  readonly #backoff: Backoff;
  readonly #receipts = new ShownReceipts();
  /** Undefined: nothing was ever watched. */
  #wanted: Watch | undefined;
  /** The one that the server has accepted last. */
  #accepted: Watch | undefined;
  #sent: Watch | undefined;
  /** Whether the wanted watch is not sent yet. */
  #isDue = false;
  /** Ref of the WATCH under way; 0: none is. */
  #ref = 0;
  /** Calls that wait for the WATCH under way, and for the one after it. */
  #waiting: Waiting[] = [];
  #next: Waiting[] = [];
  #retry: ReturnType<typeof setTimeout> | undefined;

  constructor({ backoff, random }: ResolvedOptions, events: Emitter, hooks: WatcherHooks) {
    this.#events = events;
    this.#hooks = hooks;
    this.#backoff = new Backoff(backoff, random);
  }

  usesRef(ref: number): boolean {
    return this.#ref === ref;
  }

  /** Replaces the watch. Resolves with the state of what is watched. */
  watch({ conversations, users, idle }: WatchTargets): Promise<Watched> {
    this.#wanted = {
      conversations: conversations.map((id) => toKey(id)),
      users: users.map((id) => toKey(id, 'The user')),
      idle,
    };
    this.#isDue = true;
    const { promise, resolve, reject } = Promise.withResolvers<Watched>();
    this.#next.push({ resolve, reject });
    this.#send();
    return promise;
  }

  /** After WELCOME and RESYNC: the server may have forgotten the watch, and news may have been missed. */
  catchUp(): void {
    if (this.#wanted === undefined) return;
    this.#abandon();
    this.#isDue = true;
    this.#send();
  }

  /** The user is out of a conversation, which ends its watch. */
  left(conversation: bigint): void {
    this.#wanted = without(this.#wanted, conversation);
    this.#accepted = without(this.#accepted, conversation);
    this.#sent = without(this.#sent, conversation);
    this.#receipts.left(conversation);
  }

  /** The connection has ended: no answer will come. */
  disconnected(): void {
    this.#abandon();
  }

  /** WATCHED has come. */
  watched(ref: number, wire: WireWatched): void {
    const conversations = this.#receipts.answered(wire.conversations);
    const watched = toWatched({ ...wire, conversations });
    this.#events.emit({ type: 'watched', ...watched });
    if (ref !== this.#ref) return;
    this.#ref = 0;
    this.#accepted = this.#sent;
    this.#backoff.reset();
    for (const { resolve } of this.#waiting.splice(0)) resolve(watched);
    this.#send();
  }

  /** A frame was refused. Returns false if it was not this WATCH. */
  refused(ref: number, { code, message, retryable, retryAfterMs }: Nack): boolean {
    if (this.#ref === 0 || ref !== this.#ref) return false;
    this.#ref = 0;
    if (retryable) {
      this.#next.unshift(...this.#waiting.splice(0));
      this.#isDue = true;
      clearTimeout(this.#retry);
      this.#retry = setTimeout(() => {
        this.#retry = undefined;
        this.#send();
      }, this.#backoff.next(retryAfterMs));
      return true;
    }
    const error = new ClientError(code, message, false, 0);
    const failed = this.#waiting.splice(0);
    for (const { reject } of failed) reject(error);
    if (failed.length === 0) {
      // Sent again after a reconnect; the user may be out of a conversation since. Nothing is watched then.
      this.#accepted = undefined;
      this.#events.emit({ type: 'error', code, message });
    }
    if (!this.#isDue) this.#wanted = this.#accepted;
    this.#send();
    return true;
  }

  /** PRESENCE has come. */
  presence({ users }: WirePresence): void {
    for (const user of users) this.#events.emit({ type: 'presence', ...toPresence(user) });
  }

  /** READ has come. */
  read(conversation: bigint, { receipts }: Read): void {
    const news = this.#receipts.pushed(conversation, receipts);
    if (news.length === 0) return;
    this.#events.emit({
      type: 'receipts',
      conversation: conversation.toString(),
      receipts: news.map(toReceipt),
    });
  }

  close(reason: ClientError): void {
    clearTimeout(this.#retry);
    this.#isDue = false;
    for (const { reject } of [...this.#waiting.splice(0), ...this.#next.splice(0)]) reject(reason);
  }

  #abandon(): void {
    clearTimeout(this.#retry);
    this.#retry = undefined;
    this.#ref = 0;
    this.#next.unshift(...this.#waiting.splice(0));
    if (this.#next.length > 0) this.#isDue = true;
  }

  #send(): void {
    if (!this.#isDue || this.#ref !== 0 || this.#retry !== undefined || this.#wanted === undefined) return;
    const ref = this.#hooks.nextRef();
    if (!this.#hooks.write(ref, Watch.encode(this.#wanted).finish())) return;
    this.#receipts.asked();
    this.#ref = ref;
    this.#sent = this.#wanted;
    this.#isDue = false;
    this.#waiting = this.#next.splice(0);
  }
}

function without(watch: Watch | undefined, conversation: bigint): Watch | undefined {
  if (watch === undefined || !watch.conversations.includes(conversation)) return watch;
  return { ...watch, conversations: watch.conversations.filter((id) => id !== conversation) };
}

function toWatched({ conversations, users }: WireWatched): Watched {
  return {
    conversations: conversations.map(({ conversation, members, receipts }) => ({
      conversation: conversation.toString(),
      members,
      receipts: receipts.map(toReceipt),
    })),
    users: users.map(toPresence),
  };
}

function toReceipt({ user, readSeq, deliveredSeq }: WireReceipt): MemberReceipt {
  return { user: user.toString(), readSeq: Number(readSeq), deliveredSeq: Number(deliveredSeq) };
}

/** Turns the protocol's presence into the SDK's. */
export function toPresence({ user, status, lastSeenMs }: UserPresence): Presence {
  return {
    user: user.toString(),
    status: STATUSES[status] ?? 'offline',
    lastSeenMs: Number(lastSeenMs) || undefined,
  };
}
