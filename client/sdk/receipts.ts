/** Reports delivered and read cursors to the server, gathered for a moment: one frame for many messages. */
import { Receipts as ReceiptsMessage } from '../../proto/client.ts';

const MAX_RECEIPTS_PER_FRAME = 256;

interface Moved {
  delivered: number;
  read: number;
}

/** Holds at most one entry per conversation; what could not be reported waits for the next connection. */
export class Receipts {
  readonly #delayMs: number;
  /** Sends a RECEIPTS frame; false while there is no connection. */
  readonly #write: (payload: Uint8Array) => boolean;
  readonly #moved = new Map<bigint, Moved>();
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
    entry.read = Math.max(entry.read, seq);
  }

  flush(): void {
    this.stop();
    while (this.#moved.size > 0) {
      const part = [...this.#moved].slice(0, MAX_RECEIPTS_PER_FRAME);
      const receipts = part.map(([conversation, { delivered, read }]) => ({
        conversation,
        deliveredSeq: BigInt(delivered),
        readSeq: BigInt(read),
      }));
      if (!this.#write(ReceiptsMessage.encode({ receipts }).finish())) return;
      for (const [conversation] of part) this.#moved.delete(conversation);
    }
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #entry(conversation: bigint): Moved {
    this.#timer ??= setTimeout(() => this.flush(), this.#delayMs);
    let entry = this.#moved.get(conversation);
    if (entry === undefined) {
      entry = { delivered: 0, read: 0 };
      this.#moved.set(conversation, entry);
    }
    return entry;
  }
}
