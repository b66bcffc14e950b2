/** Keeps answers below the frame size that clients accept. */
import { Buffer } from 'node:buffer';
import type { Message } from '../store/store.ts';

/** An answer stays below the default frame limit of 256 KiB with room to spare. */
export const MAX_PAGE_BYTES = 224 * 1024;
/** What a message takes beside its strings, at most. */
const MESSAGE_BYTES = 64;
/** What a conversation takes beside its name, at most. */
export const CONVERSATION_BYTES = 64;

/** Counts bytes down; the first thing always fits, so that a page moves on. */
export class PageBudget {
  #left = MAX_PAGE_BYTES;
  #isEmpty = true;

  /** Takes bytes; false when they do not fit any more. */
  take(bytes: number): boolean {
    if (bytes > this.#left && !this.#isEmpty) return false;
    this.#left -= bytes;
    this.#isEmpty = false;
    return true;
  }

  takeMessage(message: Message): boolean {
    return this.take(
      MESSAGE_BYTES +
        Buffer.byteLength(message.text) +
        Buffer.byteLength(message.senderName) +
        Buffer.byteLength(message.clientMsgId),
    );
  }
}
