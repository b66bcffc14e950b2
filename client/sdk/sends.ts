/** The client's own entries: checks, queues and reports them. */
import { Message, Send, type Sent as Receipt, type Welcome } from '../../proto/client.ts';
import { toEntry, toKey, WIRE_KINDS } from './convert.ts';
import { ClientError } from './errors.ts';
import type { Emitter, EntryKind, Sent } from './events.ts';
import type { Names } from './names.ts';
import type { ResolvedOptions } from './options.ts';
import { type Draft, Outbox, type OutboxHooks } from './outbox.ts';

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
    this.outbox = new Outbox(options, {
      ...hooks,
      onSent: (draft, receipt) => {
        const sent = this.#toSent(draft, receipt);
        events.emit({ type: 'sent', ...sent });
        return sent;
      },
      onFailed: ({ conversation, send }, error) => this.#emitFailed(conversation.toString(), send, error),
    });
  }

  /** Longest text that the server accepts, bytes of UTF-8. */
  get maxTextBytes(): number {
    return this.#maxTextBytes;
  }

  /** A connection is up. */
  welcome({ user, maxTextBytes }: Welcome): void {
    this.#user = user;
    if (maxTextBytes > 0) this.#maxTextBytes = maxTextBytes;
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
    const { clientMsgId, kind, text, replyTo, range, reason } = send;
    const stored = { clientMsgId, kind, text, range, reason, seq, id, atMs, sender: this.#user };
    const wire = Message.fromPartial({ ...stored, target: target || send.target });
    const entry = toEntry(conversation.toString(), wire, this.#names);
    if (entry.kind === 'message' && replyTo > 0n) return { ...entry, replyTo: Number(replyTo), duplicate };
    return { ...entry, duplicate };
  }

  #emitFailed(
    conversation: string,
    { clientMsgId, kind: wireKind }: Pick<Send, 'clientMsgId' | 'kind'>,
    error: ClientError,
  ): void {
    const { code, message, retryable } = error;
    const kind = (Object.keys(WIRE_KINDS) as EntryKind[]).find((each) => WIRE_KINDS[each] === wireKind);
    this.#events.emit({
      type: 'failed',
      clientMsgId,
      conversation,
      kind: kind ?? 'message',
      code,
      message,
      retryable,
    });
  }
}
