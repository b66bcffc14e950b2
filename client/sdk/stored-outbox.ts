/** Unanswered sends in a storage: they are sent by the next client of the same user, under the same client_msg_id. */
import { Send } from '../../proto/client.ts';
import type { Draft } from './outbox.ts';
import type { Storage } from './storage.ts';

/** Sends older than this are given up, ms: well before the log forgets that it has them. */
const MAX_AGE_MS = 3 * 24 * 3_600_000;
/** Digits of the number by which keys are in the order of sending. */
const DIGITS = 16;

export interface StoredDraft {
  readonly draft: Draft;
  /** Unix time at which it was queued, ms. */
  readonly atMs: number;
  readonly isTooOld: boolean;
}

interface Stored {
  readonly conversation: string;
  /** SEND in base64. */
  readonly send: string;
  readonly atMs: number;
}

/** Storing and forgetting are best effort: without a storage that works the send goes on. */
export class StoredOutbox {
  readonly #storage: Storage;
  readonly #keys = new Map<string, string>();
  #user = 0n;
  #last = 0;

  constructor(storage: Storage) {
    this.#storage = storage;
  }

  /** Whose sends they are; called before the others. */
  welcome(user: bigint): void {
    this.#user = user;
  }

  /** Returns what clients before this one have left, in the order of sending. */
  async restore(nowMs: number): Promise<readonly StoredDraft[]> {
    const values = await this.#storage.list(this.#prefix()).catch(() => []);
    return values.flatMap(([key, value]) => {
      const { conversation, send: text, atMs } = value as Stored;
      const send = Send.decode(Uint8Array.from(atob(text), (char) => char.charCodeAt(0)));
      // One of this client's own, which the outbox has.
      if (this.#keys.has(send.clientMsgId)) return [];
      this.#keys.set(send.clientMsgId, key);
      const draft = { conversation: BigInt(conversation), send };
      return [{ draft, atMs, isTooOld: nowMs - atMs > MAX_AGE_MS }];
    });
  }

  add({ conversation, send }: Draft, atMs: number): void {
    // Before the first WELCOME it is not known whose it is.
    if (this.#user === 0n) return;
    this.#last = Math.max(this.#last + 1, atMs * 1_000);
    const key = `${this.#prefix()}${String(this.#last).padStart(DIGITS, '0')}`;
    this.#keys.set(send.clientMsgId, key);
    const bytes = Send.encode(send).finish();
    const text = btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(''));
    const stored: Stored = { conversation: conversation.toString(), send: text, atMs };
    this.#storage.set(key, stored).catch(() => undefined);
  }

  /** The server has answered it. */
  remove(clientMsgId: string): void {
    const key = this.#keys.get(clientMsgId);
    if (key === undefined) return;
    this.#keys.delete(clientMsgId);
    this.#storage.delete(key).catch(() => undefined);
  }

  #prefix(): string {
    return `outbox/${this.#user}/`;
  }
}
