/** Keeps answers below the frame size that clients accept. */
import { Buffer } from 'node:buffer';
import type { client } from '../../proto/mod.ts';
import { PAGE_TEXT_BYTES } from '../store/sync-page.ts';

/** What a message takes beside its strings, at most. */
const MESSAGE_BYTES = 64;
/** What a conversation takes beside its name, at most. */
export const CONVERSATION_BYTES = 64;
/** What a conversation takes that the user is out of, at most. */
export const GONE_BYTES = 24;

/** Counts bytes down; the first thing always fits, so that a page moves on. */
export class PageBudget {
  #left = PAGE_TEXT_BYTES;
  #isEmpty = true;

  /** Takes bytes; false when they do not fit any more. */
  take(bytes: number): boolean {
    if (bytes > this.#left && !this.#isEmpty) return false;
    this.#left -= bytes;
    this.#isEmpty = false;
    return true;
  }

  /** Takes a message and what comes with it, bytes. */
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
