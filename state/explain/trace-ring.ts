/** The latest messages that this node has committed, for `gochat ctl trace`. Their texts are not kept. */
import type { ConversationId, MessageId, UserId } from '../../common/mod.ts';

/** Messages kept; the oldest are overwritten. A power of two. */
const SIZE = 65_536;

/** The node's record of a message. */
export interface MessageTrace {
  readonly id: MessageId;
  readonly conversation: ConversationId;
  readonly sender: UserId;
  readonly seq: number;
  /** When the node learned of the commit, Unix ms. */
  readonly atMs: number;
  /** Duration of its commit, ms. */
  readonly commitMs: number;
  /** Number of messages in its commit. */
  readonly batch: number;
  /** Whether it is a duplicate, which was acknowledged again. */
  readonly duplicate: boolean;
  /** Connections that it was pushed to at once; -1: the members had to be loaded first. */
  readonly pushed: number;
  /** Connections that it was not pushed to because their streams were full. */
  readonly skipped: number;
}

/** A ring of columns in typed arrays: a message costs a few stores and no object. */
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
  readonly #skipped = new Uint32Array(SIZE);
  #next = 0;

  /** Adds a message. Positional, so that the hot path makes no object. */
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
    skipped: number,
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
    this.#skipped[at] = skipped;
  }

  /** Returns the records of a message, the latest last. */
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
      skipped: this.#skipped[at] as number,
    };
  }
}
