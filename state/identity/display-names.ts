/** Display names: what people see of a user. Unicode, not unique, and they may change. */
import { Buffer } from 'node:buffer';
import { GochatError } from '../../common/mod.ts';

/** Most characters, as people count them (grapheme clusters). */
const MAX_CHARACTERS = 64;
/** Most bytes of UTF-8: a character may consist of any number of code points. */
const MAX_BYTES = 256;
/**
 * Control, unassigned, private-use and surrogate characters, line and paragraph separators, those that change the direction
 * of the text after them, and those that nobody sees, with which one name looks like another. Joiners and variation selectors
 * stay: emoji and several scripts need them.
 */
const FORBIDDEN =
  /[\p{Cc}\p{Cn}\p{Co}\p{Cs}\p{Zl}\p{Zp}\u00ad\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff]/u;
/** At least one character that can be seen: no filler, which is a letter, nor the empty pattern of Braille. */
const VISIBLE = /[[\p{L}\p{N}\p{P}\p{S}]--[\p{Default_Ignorable_Code_Point}\u2800]]/v;
const SPACES = /\p{White_Space}+/gu;

const graphemes = new Intl.Segmenter(undefined, { granularity: 'grapheme' });

/**
 * Returns a display name in its stored form: NFC, trimmed, with single spaces. Empty: the user has none.
 *
 * @throws GochatError DISPLAY_NAME_INVALID
 */
export function parseDisplayName(input: string): string {
  if (input === '') return '';
  const isShort = input.length <= MAX_BYTES * 2;
  // Tabs and line breaks are spaces before they are control characters.
  const name = isShort ? input.normalize('NFC').replaceAll(SPACES, ' ').trim() : '';
  const isValid =
    VISIBLE.test(name) &&
    !FORBIDDEN.test(name) &&
    Buffer.byteLength(name) <= MAX_BYTES &&
    [...graphemes.segment(name)].length <= MAX_CHARACTERS;
  if (!isValid) throw new GochatError('DISPLAY_NAME_INVALID', { details: { max: MAX_CHARACTERS } });
  return name;
}
