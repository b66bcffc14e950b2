/** Reports delivered cursors to the server, gathered for a moment: one frame for many messages. */
import { Receipts as ReceiptsMessage } from '../../proto/client.ts';

const MAX_RECEIPTS_PER_FRAME = 256;

/** Holds at most one cursor per conversation; what could not be reported waits for the next connection. */
export class Receipts {
  readonly #delayMs: number;
  /** Sends a RECEIPTS frame; false while there is no connection. */
  readonly #write: (payload: Uint8Array) => boolean;
  readonly #moved = new Map<bigint, number>();
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(delayMs: number, write: (payload: Uint8Array) => boolean) {
    this.#delayMs = delayMs;
    this.#write = write;
  }

  delivered(conversation: bigint, seq: number): void {
    this.#moved.set(conversation, seq);
    this.#timer ??= setTimeout(() => this.flush(), this.#delayMs);
  }

  flush(): void {
    this.stop();
    while (this.#moved.size > 0) {
      const part = [...this.#moved].slice(0, MAX_RECEIPTS_PER_FRAME);
      const receipts = part.map(([conversation, seq]) => ({
        conversation,
        deliveredSeq: BigInt(seq),
        readSeq: 0n,
      }));
      if (!this.#write(ReceiptsMessage.encode({ receipts }).finish())) return;
      for (const [conversation] of part) this.#moved.delete(conversation);
    }
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
