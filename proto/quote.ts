/** How much of a message a reply shows: servers cut quotes when they serve them, clients when they apply an edit. */

/** Most characters (code points) of a quote. */
export const MAX_QUOTE_CHARACTERS = 280;

const graphemes = new Intl.Segmenter(undefined, { granularity: 'grapheme' });

/**
 * Cuts a text to at most MAX_QUOTE_CHARACTERS, at a grapheme; inside of one only if the first is longer than that. The
 * result is the same for any beginning of the text that is longer than the limit.
 */
export function cutQuote(text: string): { readonly text: string; readonly cut: boolean } {
  if (text.length <= MAX_QUOTE_CHARACTERS) return { text, cut: false };
  // A character has at most two UTF-16 units.
  const characters = Array.from(text.slice(0, 2 * MAX_QUOTE_CHARACTERS + 2));
  if (characters.length <= MAX_QUOTE_CHARACTERS) return { text, cut: false };
  const limit = characters.slice(0, MAX_QUOTE_CHARACTERS).join('').length;
  // The next character decides whether a grapheme ends at the limit.
  const beginning = characters.slice(0, MAX_QUOTE_CHARACTERS + 1).join('');
  const { index } = graphemes.segment(beginning).containing(limit) as { index: number };
  return { text: text.slice(0, index === 0 ? limit : index), cut: true };
}
