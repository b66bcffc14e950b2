/** Byte budget of a page: keeps answers below the frame size that clients accept, in the binary form and in JSON. */
import { Buffer } from 'node:buffer';
import type { client } from '../../proto/mod.ts';
import { PAGE_TEXT_BYTES } from '../store/sync-page.ts';

/** Most bytes of a message besides its strings, its quote and the summary of its thread included. */
const MESSAGE_BYTES = 240;
/** Most bytes of a conversation besides its name. */
export const CONVERSATION_BYTES = 128;
/** Most bytes of a conversation that the user has left. */
export const GONE_BYTES = 24;
/** What JSON writes with more than its bytes of UTF-8. */
const ESCAPED = /["\\\p{Cc}]/u;

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
  takeMessage(
    { text, from, clientMsgId, reason, quote, retraction, system }: client.Message,
    beside = 0,
  ): boolean {
    const strings = [
      text,
      from,
      clientMsgId,
      reason,
      quote?.text,
      quote?.from,
      retraction?.reason,
      system?.name,
    ];
    return this.take(strings.reduce((sum, each) => sum + jsonBytes(each ?? ''), beside + MESSAGE_BYTES));
  }
}

/** Returns the size of a text in JSON, bytes of UTF-8 without its quotation marks; never less than in the binary form. */
export function jsonBytes(text: string): number {
  return ESCAPED.test(text) ? Buffer.byteLength(JSON.stringify(text)) - 2 : Buffer.byteLength(text);
}
