/** Reports of delivered and read cursors: gathered into one frame for many messages, and repeated when in doubt. */
import { Receipts as ReceiptsMessage } from '../../proto/client.ts';

const MAX_RECEIPTS_PER_FRAME = 256;

interface Moved {
  delivered: number;
  read: number;
  /** Of `read`. */
  epoch: bigint;
}

/**
 * Keeps at most one entry per conversation; unreported ones wait for the next connection.
 *
 * RECEIPTS has no answer, and may be lost with its gateway or state node. So the latest reports are kept and repeated
 * when the route changes; cursors never go back, so that is harmless.
 */
export class Receipts {
  readonly #delayMs: number;
  /** Sends a RECEIPTS frame; false while there is no connection. */
  readonly #write: (payload: Uint8Array) => boolean;
  readonly #moved = new Map<bigint, Moved>();
  /** Epochs of read cursors that have gone back, as far as they are known. */
  readonly #epochs = new Map<bigint, bigint>();
  /** Latest reports last. */
  readonly #reported = new Map<bigint, Moved>();
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(delayMs: number, write: (payload: Uint8Array) => boolean) {
    this.#delayMs = delayMs;
    this.#write = write;
  }

  delivered(conversation: bigint, seq: number): void {
    this.#entry(conversation).delivered = seq;
  }

  /** The user has read up to a message. */
  read(conversation: bigint, seq: number): void {
    const entry = this.#entry(conversation);
    const epoch = this.epochOf(conversation);
    entry.read = entry.epoch < epoch ? seq : Math.max(entry.read, seq);
    entry.epoch = epoch;
  }

  /** Returns the epoch of the user's read cursor. */
  epochOf(conversation: bigint): bigint {
    return this.#epochs.get(conversation) ?? 0n;
  }

  /** The server has told the epoch of a read cursor. What was reported under an older one no longer counts. */
  learn(conversation: bigint, epoch: bigint): void {
    if (epoch > this.epochOf(conversation)) this.#epochs.set(conversation, epoch);
  }

  flush(): void {
    this.stop();
    while (this.#moved.size > 0) {
      const part = [...this.#moved].slice(0, MAX_RECEIPTS_PER_FRAME);
      const receipts = part.map(([conversation, { delivered, read, epoch }]) => ({
        conversation,
        deliveredSeq: BigInt(delivered),
        readSeq: BigInt(read),
        readEpoch: epoch,
        thread: 0n,
      }));
      if (!this.#write(ReceiptsMessage.encode({ receipts }).finish())) return;
      for (const [conversation, moved] of part) this.#keep(conversation, moved);
    }
  }

  /** Also repeats reports that may have been lost. */
  repeat(): void {
    for (const [conversation, moved] of this.#reported)
      this.#moved.set(conversation, furthest(moved, this.#moved.get(conversation)));
    this.flush();
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #keep(conversation: bigint, moved: Moved): void {
    const reported = furthest(moved, this.#reported.get(conversation));
    this.#moved.delete(conversation);
    this.#reported.delete(conversation);
    this.#reported.set(conversation, reported);
    if (this.#reported.size <= MAX_RECEIPTS_PER_FRAME) return;
    for (const oldest of this.#reported.keys()) {
      this.#reported.delete(oldest);
      return;
    }
  }

  #entry(conversation: bigint): Moved {
    this.#timer ??= setTimeout(() => this.flush(), this.#delayMs);
    let entry = this.#moved.get(conversation);
    if (entry === undefined) {
      entry = { delivered: 0, read: 0, epoch: 0n };
      this.#moved.set(conversation, entry);
    }
    return entry;
  }
}

function furthest(moved: Moved, other: Moved = { delivered: 0, read: 0, epoch: 0n }): Moved {
  const { read, epoch } =
    moved.epoch < other.epoch || (moved.epoch === other.epoch && moved.read < other.read) ? other : moved;
  return { delivered: Math.max(moved.delivered, other.delivered), read, epoch };
}
