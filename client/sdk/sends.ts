/** The client's own entries: checks, queues and reports them. */
import { Message, Send, type Sent as Receipt, type Welcome } from '../../proto/client.ts';
import { toEntry, toKey, WIRE_KINDS } from './convert.ts';
import { ClientError } from './errors.ts';
import type { Emitter, EntryKind, Sent } from './events.ts';
import type { Names } from './names.ts';
import type { ResolvedOptions } from './options.ts';
import { type Draft, Outbox, type OutboxHooks } from './outbox.ts';
import { StoredOutbox } from './stored-outbox.ts';

/** Limit of Send.text until WELCOME names the server's, bytes of UTF-8. */
const DEFAULT_MAX_TEXT_BYTES = 16_384;

export class Sends {
  readonly outbox: Outbox;
  readonly #options: ResolvedOptions;
  readonly #events: Emitter;
  readonly #names: Names;
  #user = 0n;
  #maxTextBytes = DEFAULT_MAX_TEXT_BYTES;
  #count = 0;
  readonly #stored: StoredOutbox | undefined;
  #isRestored = false;
  #closed: ClientError | undefined;

  constructor(
    options: ResolvedOptions,
    events: Emitter,
    names: Names,
    hooks: Pick<OutboxHooks, 'nextRef' | 'write' | 'onStalled'>,
  ) {
    this.#options = options;
    this.#events = events;
    this.#names = names;
    this.#stored = options.storage && new StoredOutbox(options.storage);
    this.outbox = new Outbox(options, {
      ...hooks,
      onSent: (draft, receipt) => {
        this.#stored?.remove(draft.send.clientMsgId);
        const sent = this.#toSent(draft, receipt);
        events.emit({ type: 'sent', ...sent });
        return sent;
      },
      onFailed: ({ conversation, send }, error) => this.#emitFailed(conversation.toString(), send, error),
      onRefused: ({ send }) => this.#stored?.remove(send.clientMsgId),
    });
  }

  /** Longest text that the server accepts, bytes of UTF-8. */
  get maxTextBytes(): number {
    return this.#maxTextBytes;
  }

  /** A connection is up. */
  welcome({ user, maxTextBytes }: Welcome): void {
    this.#user = user;
    this.#stored?.welcome(user);
    if (maxTextBytes > 0) this.#maxTextBytes = maxTextBytes;
  }

  /** Whether `restore` is to be called before anything is sent. */
  get isToRestore(): boolean {
    return this.#stored !== undefined && !this.#isRestored;
  }

  /** Queues what earlier clients of the user have left in the storage, before this one's own. */
  async restore(): Promise<void> {
    if (this.#stored === undefined) return;
    this.#isRestored = true;
    for (const draft of this.outbox.drafts()) this.#stored.add(draft, Date.now());
    const restored = await this.#stored.restore(Date.now());
    for (const { draft, atMs } of restored) this.#emitQueued(draft, atMs);
    const late = ClientError.local('DEADLINE_EXCEEDED');
    for (const { draft, isTooOld } of restored) {
      if (!isTooOld) continue;
      this.#stored.remove(draft.send.clientMsgId);
      this.#emitFailed(draft.conversation.toString(), draft.send, late);
    }
    this.outbox.restore(restored.filter(({ isTooOld }) => !isTooOld).map(({ draft }) => draft));
  }

  /** Refuses what comes from now on. */
  close(reason: ClientError): void {
    this.#closed = reason;
  }

  nextMessageId(): string {
    return `${this.#options.idPrefix}${++this.#count}`;
  }

  /**
   * Queues an entry; see GochatClient.send.
   *
   * @param make what the kind needs; throws ARGUMENT_INVALID
   */
  add(
    kind: EntryKind,
    conversation: string,
    make: () => Partial<Send>,
    clientMsgId = this.nextMessageId(),
  ): Promise<Sent> {
    const promise = this.#queue(kind, conversation, clientMsgId, make);
    // Listeners of the events need not handle the promise as well.
    promise.catch(() => {});
    return promise;
  }

  async #queue(
    kind: EntryKind,
    conversation: string,
    clientMsgId: string,
    make: () => Partial<Send>,
  ): Promise<Sent> {
    const wireKind = WIRE_KINDS[kind];
    let draft: Draft;
    try {
      if (this.#closed !== undefined) throw this.#closed;
      const send = Send.fromPartial({ ...make(), clientMsgId, kind: wireKind });
      draft = { conversation: toKey(conversation), send };
      this.#check(kind, send);
    } catch (error) {
      const failed = { clientMsgId, kind: wireKind };
      this.#emitFailed(conversation, failed, ClientError.from(error));
      throw error;
    }
    const atMs = Date.now();
    this.#emitQueued(draft, atMs);
    this.#stored?.add(draft, atMs);
    return this.outbox.add(draft);
  }

  /** Throws what the server would refuse in any case. */
  #check(kind: EntryKind, { text, clientMsgId }: Send): void {
    if (text === '' && (kind === 'message' || kind === 'edit')) throw ClientError.local('TEXT_EMPTY');
    // A UTF-16 unit is at most three bytes of UTF-8, so most texts need not be encoded to check.
    const fits =
      text.length * 3 <= this.#maxTextBytes || new TextEncoder().encode(text).length <= this.#maxTextBytes;
    if (!fits) throw ClientError.local('TEXT_TOO_LONG', { details: { max: this.#maxTextBytes } });
    if (this.outbox.has(clientMsgId))
      throw ClientError.local('ARGUMENT_INVALID', { details: { what: `Another send as ${clientMsgId}` } });
    if (this.outbox.full)
      throw ClientError.local('OUTBOX_FULL', { details: { max: this.#options.outboxLimit } });
  }

  /** Returns an own entry as it is stored. */
  #toSent({ conversation, send }: Draft, { seq, id, atMs, duplicate, target }: Receipt): Sent {
    const { clientMsgId, kind, text, replyTo, thread, range, reason } = send;
    const stored = { clientMsgId, kind, text, thread, range, reason, seq, id, atMs, sender: this.#user };
    const wire = Message.fromPartial({ ...stored, target: target || send.target });
    const entry = toEntry(conversation.toString(), wire, this.#names);
    if (entry.kind === 'message' && replyTo > 0n) return { ...entry, replyTo: Number(replyTo), duplicate };
    return { ...entry, duplicate };
  }

  #emitQueued({ conversation, send }: Draft, atMs: number): void {
    const { clientMsgId, text, reason, target, targetClientMsgId, replyTo, thread } = send;
    this.#events.emit({
      type: 'queued',
      conversation: conversation.toString(),
      clientMsgId,
      kind: kindOf(send.kind),
      text: text || reason,
      target: targetClientMsgId || Number(target) || undefined,
      replyTo: Number(replyTo) || undefined,
      thread: Number(thread) || undefined,
      atMs,
    });
  }

  #emitFailed(
    conversation: string,
    { clientMsgId, kind: wireKind }: Pick<Send, 'clientMsgId' | 'kind'>,
    error: ClientError,
  ): void {
    const { code, message, retryable } = error;
    const kind = kindOf(wireKind);
    this.#events.emit({
      type: 'failed',
      clientMsgId,
      conversation,
      kind,
      code,
      message,
      retryable,
    });
  }
}

function kindOf(wireKind: Send['kind']): EntryKind {
  const kinds = Object.keys(WIRE_KINDS) as EntryKind[];
  return kinds.find((kind) => WIRE_KINDS[kind] === wireKind) ?? 'message';
}
