/** Byte budget of a page: keeps answers below the frame size that clients accept. */
import { Buffer } from 'node:buffer';
import type { client } from '../../proto/mod.ts';
import { PAGE_TEXT_BYTES } from '../store/sync-page.ts';

/** Most bytes of a message besides its strings. */
const MESSAGE_BYTES = 64;
/** Most bytes of a conversation besides its name. */
export const CONVERSATION_BYTES = 64;
/** Most bytes of a conversation that the user has left. */
export const GONE_BYTES = 24;

/** Counts bytes down. The first item always fits, so that a page makes progress. */
export class PageBudget {
  #left = PAGE_TEXT_BYTES;
  #isEmpty = true;

  /** Takes bytes; returns false if they do not fit. */
  take(bytes: number): boolean {
    if (bytes > this.#left && !this.#isEmpty) return false;
    this.#left -= bytes;
    this.#isEmpty = false;
    return true;
  }

  /** Takes a message and `beside` further bytes. */
  takeMessage(message: client.Message, beside = 0): boolean {
    return this.take(
      beside +
        MESSAGE_BYTES +
        Buffer.byteLength(message.text) +
        Buffer.byteLength(message.from) +
        Buffer.byteLength(message.clientMsgId),
    );
  }
}
