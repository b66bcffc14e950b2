/**
 * The unanswered sends of entries, in order.
 *
 * Invariant: sends on the wire (`#flying`, by ref) were queued before all waiting ones (`#waiting`), and both are in
 * the order of `add`. After any failure, all sends from the first unanswered one on are sent again in that order under
 * the same client_msg_id. So a later message never overtakes an earlier one, and none counts twice.
 */
import type { Nack, Sent as Receipt } from '../../proto/client.ts';
import { Send } from '../../proto/client.ts';
import { Backoff } from './backoff.ts';
import { ClientError } from './errors.ts';
import type { Sent } from './events.ts';
import type { ResolvedOptions } from './options.ts';

/** Timeouts in a row after which the connection counts as stalled. */
const MAX_TIMEOUTS = 2;

/** An entry to be sent. */
export interface Draft {
  readonly conversation: bigint;
  readonly send: Send;
}

interface Entry {
  readonly draft: Draft;
  readonly payload: Uint8Array;
  readonly promise: Promise<Sent>;
  readonly resolve: (sent: Sent) => void;
  readonly reject: (error: ClientError) => void;
  /** Ref of the newest attempt; 0: not on the wire. */
  ref: number;
  sentMs: number;
  settled: boolean;
}

export interface OutboxHooks {
  /** Sends a SEND frame. */
  write(ref: number, conversation: bigint, payload: Uint8Array): void;
  nextRef(): number;
  /** An entry is acknowledged. Returns what the promise of `add` resolves with. */
  onSent(draft: Draft, receipt: Receipt): Sent;
  onFailed(draft: Draft, error: ClientError): void;
  /** The server has refused an entry for good; `onFailed` follows. */
  onRefused(draft: Draft): void;
  /** Answers do not come: the connection should be closed. */
  onStalled(): void;
}

/** Bounded by `outboxLimit`; the caller checks `full`. */
export class Outbox {
  readonly #options: ResolvedOptions;
  readonly #hooks: OutboxHooks;
  readonly #backoff: Backoff;
  readonly #byId = new Map<string, Entry>();
  readonly #flying = new Map<number, Entry>();
  #waiting: Entry[] = [];
  #next = 0;
  #connected = false;
  #timeouts = 0;
  #hold: ReturnType<typeof setTimeout> | undefined;
  #timeout: ReturnType<typeof setTimeout> | undefined;

  constructor(options: ResolvedOptions, hooks: OutboxHooks) {
    this.#options = options;
    this.#hooks = hooks;
    this.#backoff = new Backoff(options.backoff, options.random);
  }

  get size(): number {
    return this.#byId.size;
  }

  get full(): boolean {
    return this.#byId.size >= this.#options.outboxLimit;
  }

  usesRef(ref: number): boolean {
    return this.#flying.has(ref);
  }

  /** Whether an entry with this client_msg_id is unanswered. */
  has(id: string): boolean {
    return this.#byId.has(id);
  }

  /** Unanswered entries, in the order of sending. */
  drafts(): readonly Draft[] {
    return [...this.#byId.values()].map(({ draft }) => draft);
  }

  /** Queues entries before all others; nothing was sent yet. */
  restore(drafts: readonly Draft[]): void {
    const restored = drafts
      .filter(({ send }) => !this.#byId.has(send.clientMsgId))
      .map((draft) => this.#entry(draft));
    this.#waiting = restored.concat(this.#waiting.slice(this.#next));
    this.#next = 0;
    // No one but the events tells of them.
    for (const { promise } of restored) promise.catch(() => {});
  }

  /** Queues an entry and sends it in its turn; the caller has checked `full` and `has`. */
  add(draft: Draft): Promise<Sent> {
    const entry = this.#entry(draft);
    this.#waiting.push(entry);
    this.#pump();
    return entry.promise;
  }

  #entry(draft: Draft): Entry {
    const { promise, resolve, reject } = Promise.withResolvers<Sent>();
    const payload = Send.encode(draft.send).finish();
    const entry: Entry = {
      draft,
      payload,
      promise,
      resolve,
      reject,
      ref: 0,
      sentMs: 0,
      settled: false,
    };
    this.#byId.set(draft.send.clientMsgId, entry);
    return entry;
  }

  /** A connection is up or its path was interrupted: sends all unanswered messages again. */
  resend(): void {
    this.#connected = true;
    this.#requeue();
    this.#pump();
  }

  /** The connection is gone: sends on the wire return to the queue. */
  disconnected(): void {
    this.#connected = false;
    this.#timeouts = 0;
    this.#release();
    this.#requeue();
  }

  /** The entry is acknowledged. Returns false if it is not in this outbox. */
  committed(receipt: Receipt): boolean {
    const entry = this.#byId.get(receipt.clientMsgId);
    if (entry === undefined) return false;
    this.#backoff.reset();
    this.#timeouts = 0;
    this.#settle(entry);
    entry.resolve(this.#hooks.onSent(entry.draft, receipt));
    this.#pump();
    return true;
  }

  /** Resolves when none of these entries is in this outbox. */
  async answered(ids: readonly string[]): Promise<void> {
    await Promise.allSettled(ids.flatMap((id) => this.#byId.get(id)?.promise ?? []));
  }

  /** A send was refused. */
  refused(ref: number, nack: Nack): void {
    // RESYNC follows or has come, and then everything is sent again.
    if (nack.code === 'RESYNC_REQUIRED') return;
    const attempt = this.#flying.get(ref);
    if (!nack.retryable) {
      // Whichever attempt it answers: all have one final answer.
      const entry = this.#byId.get(nack.clientMsgId) ?? attempt;
      if (entry !== undefined) this.#refuse(entry, toError(nack));
    } else if (attempt !== undefined) {
      this.#requeue(attempt);
      this.#holdBack(this.#backoff.next(nack.retryAfterMs));
    }
    this.#pump();
  }

  /** Fails all that has no answer. */
  failAll(error: ClientError): void {
    this.#connected = false;
    this.#release();
    for (const entry of this.#byId.values()) this.#fail(entry, error);
    this.#waiting = [];
    this.#next = 0;
  }

  #refuse(entry: Entry, error: ClientError): void {
    this.#hooks.onRefused(entry.draft);
    this.#fail(entry, error);
    // What was to change the message fails with it.
    const { conversation, send } = entry.draft;
    for (const other of this.#byId.values()) {
      const { draft } = other;
      if (draft.conversation === conversation && draft.send.targetClientMsgId === send.clientMsgId)
        this.#refuse(other, error);
    }
  }

  #fail(entry: Entry, error: ClientError): void {
    this.#settle(entry);
    entry.reject(error);
    this.#hooks.onFailed(entry.draft, error);
  }

  #settle(entry: Entry): void {
    entry.settled = true;
    this.#byId.delete(entry.draft.send.clientMsgId);
    if (entry.ref !== 0) this.#flying.delete(entry.ref);
  }

  /** Returns sends on the wire, from `first` on, to the head of the queue. */
  #requeue(first?: Entry): void {
    const back: Entry[] = [];
    for (const [ref, entry] of this.#flying) {
      if (back.length === 0 && first !== undefined && entry !== first) continue;
      this.#flying.delete(ref);
      entry.ref = 0;
      back.push(entry);
    }
    if (back.length === 0) return;
    this.#waiting = back.concat(this.#waiting.slice(this.#next));
    this.#next = 0;
  }

  #pump(): void {
    if (!this.#connected) return;
    if (this.#hold === undefined) {
      while (this.#next < this.#waiting.length && this.#flying.size < this.#options.window) {
        const entry = this.#waiting[this.#next++] as Entry;
        if (entry.settled) continue;
        entry.ref = this.#hooks.nextRef();
        entry.sentMs = performance.now();
        this.#flying.set(entry.ref, entry);
        this.#hooks.write(entry.ref, entry.draft.conversation, entry.payload);
      }
      // Compacts in large steps, so that a long queue costs little per message.
      if (this.#next > 1024 || this.#next === this.#waiting.length) {
        this.#waiting = this.#waiting.slice(this.#next);
        this.#next = 0;
      }
    }
    this.#armTimeout();
  }

  #holdBack(ms: number): void {
    clearTimeout(this.#hold);
    this.#hold = setTimeout(() => {
      this.#hold = undefined;
      this.#pump();
    }, ms);
  }

  #release(): void {
    clearTimeout(this.#hold);
    clearTimeout(this.#timeout);
    this.#hold = undefined;
    this.#timeout = undefined;
  }

  #oldest(): Entry | undefined {
    for (const entry of this.#flying.values()) return entry;
    return undefined;
  }

  #armTimeout(): void {
    if (this.#timeout !== undefined) return;
    const oldest = this.#oldest();
    if (oldest === undefined) return;
    const waited = performance.now() - oldest.sentMs;
    this.#timeout = setTimeout(
      () => {
        this.#timeout = undefined;
        this.#checkTimeout();
      },
      Math.max(1, this.#options.sentTimeoutMs - waited),
    );
  }

  #checkTimeout(): void {
    const oldest = this.#oldest();
    if (oldest !== undefined && performance.now() - oldest.sentMs >= this.#options.sentTimeoutMs) {
      this.#timeouts++;
      if (this.#timeouts >= MAX_TIMEOUTS) {
        this.#hooks.onStalled();
        return;
      }
      this.#requeue();
    }
    this.#pump();
  }
}

function toError(nack: Nack): ClientError {
  return new ClientError(nack.code, nack.message, nack.retryable, nack.retryAfterMs);
}
