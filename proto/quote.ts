/** How much of a message a reply shows: servers cut quotes when they serve them, clients when they apply an edit. */

/** Most characters (code points) of a quote. */
export const MAX_QUOTE_CHARACTERS = 280;

const graphemes = new Intl.Segmenter(undefined, { granularity: 'grapheme' });

/** Cuts a text to MAX_QUOTE_CHARACTERS, as `cutText`. */
export function cutQuote(text: string): { readonly text: string; readonly cut: boolean } {
  return cutText(text, MAX_QUOTE_CHARACTERS);
}

/**
 * Cuts a text to at most `most` characters (code points), at a grapheme; inside of one only if the first is longer than
 * that. The result is the same for any beginning of the text that is longer than the limit.
 */
export function cutText(text: string, most: number): { readonly text: string; readonly cut: boolean } {
  if (text.length <= most) return { text, cut: false };
  // A character has at most two UTF-16 units.
  const characters = Array.from(text.slice(0, 2 * most + 2));
  if (characters.length <= most) return { text, cut: false };
  const limit = characters.slice(0, most).join('').length;
  // The next character decides whether a grapheme ends at the limit.
  const beginning = characters.slice(0, most + 1).join('');
  const { index } = graphemes.segment(beginning).containing(limit) as { index: number };
  return { text: text.slice(0, index === 0 ? limit : index), cut: true };
}
