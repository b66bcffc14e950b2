/** The limit on the length of texts: state publishes it in its registry entry, gateways pass it to their clients. */

/** Metadata key in a state node's registry entry; the value is bytes of UTF-8, in decimal. */
export const MAX_TEXT_BYTES_KEY = 'max_text_bytes';
/** Default limit, bytes of UTF-8. */
export const DEFAULT_MAX_TEXT_BYTES = 16_384;
/** Most bytes of a JSON message per byte of its frame. */
export const JSON_FACTOR = 2;
/** Size of an escaped control character in JSON, bytes. */
const JSON_ESCAPE_BYTES = 6;
/** Most bytes of a frame besides its text. */
const BESIDE_TEXT_BYTES = 1024;

/** Returns the longest text that fits a frame of this size in both forms, whatever its characters; bytes of UTF-8. */
export function textBytesIn(frameBytes: number): number {
  return Math.max(1, Math.floor((JSON_FACTOR * frameBytes - BESIDE_TEXT_BYTES) / JSON_ESCAPE_BYTES));
}
