/** The last messages that this node committed, for `gochat ctl trace`: who, when and how far, never what. */
import type { ConversationId, MessageId, UserId } from '../../common/mod.ts';

/** Messages remembered; the oldest go. A power of two. */
const SIZE = 65_536;

/** What the node knows of a message. */
export interface MessageTrace {
  readonly id: MessageId;
  readonly conversation: ConversationId;
  readonly sender: UserId;
  readonly seq: number;
  /** Unix time at which the node knew of the commit, ms. */
  readonly atMs: number;
  /** How long its commit took, ms. */
  readonly commitMs: number;
  /** Messages in its commit. */
  readonly batch: number;
  /** The sender had sent it before: it was acknowledged again. */
  readonly duplicate: boolean;
  /** Connections that it was pushed to at once; -1: the members had to be asked for first. */
  readonly pushed: number;
  /** Connections that it was not pushed to, as their workers were behind. */
  readonly behind: number;
}

/** Columns of typed arrays, overwritten in a circle: a message costs some stores into memory and no object. */
export class TraceRing {
  readonly #ids = new BigUint64Array(SIZE);
  readonly #conversations = new BigUint64Array(SIZE);
  readonly #senders = new BigUint64Array(SIZE);
  readonly #seqs = new Float64Array(SIZE);
  readonly #atMs = new Float64Array(SIZE);
  readonly #commitMs = new Float32Array(SIZE);
  readonly #batches = new Uint16Array(SIZE);
  readonly #duplicates = new Uint8Array(SIZE);
  readonly #pushed = new Int32Array(SIZE);
  readonly #behind = new Uint32Array(SIZE);
  #next = 0;

  add(
    id: MessageId,
    conversation: ConversationId,
    sender: UserId,
    seq: number,
    atMs: number,
    commitMs: number,
    batch: number,
    duplicate: boolean,
    pushed: number,
    behind: number,
  ): void {
    const at = this.#next;
    this.#next = (at + 1) & (SIZE - 1);
    this.#ids[at] = id;
    this.#conversations[at] = conversation;
    this.#senders[at] = sender;
    this.#seqs[at] = seq;
    this.#atMs[at] = atMs;
    this.#commitMs[at] = commitMs;
    this.#batches[at] = batch;
    this.#duplicates[at] = duplicate ? 1 : 0;
    this.#pushed[at] = pushed;
    this.#behind[at] = behind;
  }

  /** Returns each time that this node handled a message, the latest last. */
  find(id: bigint): MessageTrace[] {
    const found: MessageTrace[] = [];
    for (let i = 0; i < SIZE; i++) {
      const at = (this.#next + i) & (SIZE - 1);
      if (id !== 0n && this.#ids[at] === id) found.push(this.#read(at));
    }
    return found;
  }

  #read(at: number): MessageTrace {
    return {
      id: this.#ids[at] as MessageId,
      conversation: this.#conversations[at] as ConversationId,
      sender: this.#senders[at] as UserId,
      seq: this.#seqs[at] as number,
      atMs: this.#atMs[at] as number,
      commitMs: this.#commitMs[at] as number,
      batch: this.#batches[at] as number,
      duplicate: this.#duplicates[at] === 1,
      pushed: this.#pushed[at] as number,
      behind: this.#behind[at] as number,
    };
  }
}
