/** How long a text may be: state decides and tells it in its registry entry; gateways tell their clients. */

/** Where a state node's registry entry has it, among the metadata; bytes of UTF-8 in decimal. */
export const MAX_TEXT_BYTES_KEY = 'max_text_bytes';
/** What a node takes that is told nothing else. */
export const DEFAULT_MAX_TEXT_BYTES = 16_384;
/** A message of the JSON form may be so many times as long as the frame that it stands for. */
export const JSON_FACTOR = 2;
/** What a control character takes in JSON, bytes. */
const JSON_ESCAPE_BYTES = 6;
/** What a frame with a text has beside it, at most. */
const BESIDE_TEXT_BYTES = 1024;

/** Returns the longest text, bytes of UTF-8, that a frame of so many bytes holds in either form, whatever it says. */
export function textBytesIn(frameBytes: number): number {
  return Math.max(1, Math.floor((JSON_FACTOR * frameBytes - BESIDE_TEXT_BYTES) / JSON_ESCAPE_BYTES));
}
