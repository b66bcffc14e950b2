/** Typing notices, rate-limited. */
import { Typing } from '../../proto/client.ts';

const INTERVAL_MS = 3_000;

export class TypingNotes {
  readonly #send: (conversation: bigint, payload: Uint8Array) => void;
  #conversation = 0n;
  #sentMs = Number.NEGATIVE_INFINITY;

  constructor(send: (conversation: bigint, payload: Uint8Array) => void) {
    this.#send = send;
  }

  /** Sends the first notice for a conversation, then one per INTERVAL_MS; a stop only after a notice. */
  tell(conversation: bigint, stopped: boolean): void {
    const isTold = conversation === this.#conversation && performance.now() - this.#sentMs < INTERVAL_MS;
    if (isTold !== stopped) return;
    this.#conversation = conversation;
    this.#sentMs = stopped ? Number.NEGATIVE_INFINITY : performance.now();
    this.#send(conversation, Typing.encode(Typing.fromPartial({ stopped })).finish());
  }
}
