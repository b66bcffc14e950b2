/** Text in cells: graphemes and their widths, cutting and wrapping, and what of other people's text may reach a terminal. */
import stringWidth from 'string-width';

/** Keeps right-to-left text from taking its neighbours along where a terminal reorders whole rows. */
const LRM = '\u200e';
const PRINTABLE_ASCII = /^[\x20-\x7e]*$/;
const RIGHT_TO_LEFT = /[\p{Script=Hebrew}\p{Script=Arabic}\p{Script=Syriac}\p{Script=Thaana}\p{Script=Nko}]/u;
// C0 and C1 controls, DEL and line separators; escape sequences begin with them.
// oxlint-disable-next-line no-control-regex -- Control characters are what it is for.
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/g;
const DIRECTION = /[\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g;
/** A base letter has a few marks at most; more of them run over the rows above and below. */
const MANY_MARKS = /[\p{M}\p{Cf}]{5,}/gu;
/** Clusters about whose width terminals disagree. */
const UNCERTAIN = /\p{Extended_Pictographic}|\p{Regional_Indicator}|[\ufe0f\u200d]/u;

const SEGMENTER = new Intl.Segmenter('en', { granularity: 'grapheme' });
const MAX_KEPT_WIDTHS = 4096;
const widths = new Map<string, { cells: number; isUncertain: boolean }>();

/** Splits text into what people see as characters. */
export function graphemes(text: string): string[] {
  return PRINTABLE_ASCII.test(text)
    ? text.split('')
    : Array.from(SEGMENTER.segment(text), ({ segment }) => segment);
}

/** Number of cells of one grapheme. */
export function clusterWidth(cluster: string): number {
  return cluster.length === 1 && cluster >= ' ' && cluster <= '~' ? 1 : measure(cluster).cells;
}

/** Whether terminals disagree about the width of a grapheme. */
export function isUncertain(cluster: string): boolean {
  return measure(cluster).isUncertain;
}

function measure(cluster: string): { cells: number; isUncertain: boolean } {
  let known = widths.get(cluster);
  if (known === undefined) {
    known = { cells: stringWidth(cluster), isUncertain: UNCERTAIN.test(cluster) };
    if (widths.size >= MAX_KEPT_WIDTHS) widths.clear();
    widths.set(cluster, known);
  }
  return known;
}

/** Number of cells of a text. */
export function widthOf(text: string): number {
  if (PRINTABLE_ASCII.test(text)) return text.length;
  let width = 0;
  for (const cluster of graphemes(text)) width += clusterWidth(cluster);
  return width;
}

/** Cuts text to a number of cells, never within a grapheme; what is cut ends with `…`. */
export function cut(text: string, width: number): string {
  if (widthOf(text) <= width) return text;
  let kept = '';
  let used = 0;
  for (const cluster of graphemes(text)) {
    const next = used + clusterWidth(cluster);
    if (next > width - 1) break;
    kept += cluster;
    used = next;
  }
  return width > 0 ? `${kept}…` : '';
}

/** Cuts or fills text to exactly so many cells. */
export function fit(text: string, width: number): string {
  const short = cut(text, width);
  return short + ' '.repeat(Math.max(0, width - widthOf(short)));
}

/** All that other people's text may have as a line break. */
export const LINE_BREAK = /\r\n?|[\u2028\u2029]/g;

/** Makes other people's text safe to print: what a terminal would obey is shown instead. Line breaks stay. */
export function visible(text: string): string {
  if (PRINTABLE_ASCII.test(text)) return text;
  return text
    .replace(LINE_BREAK, '\n')
    .replaceAll('\t', '    ')
    .replace(CONTROL, (control) => (control === '\n' ? control : `<${hex(control).padStart(2, '0')}>`))
    .replace(DIRECTION, (mark) => `<U+${hex(mark).padStart(4, '0')}>`)
    .replace(MANY_MARKS, '<…>');
}

/** As `visible`, on one line. */
export function visibleLine(text: string): string {
  return visible(text).replaceAll('\n', ' ');
}

/** Ends text that holds right-to-left letters, so that it turns nothing behind it. */
export function bounded(text: string): string {
  return RIGHT_TO_LEFT.test(text) ? text + LRM : text;
}

/** Breaks one line into rows, at spaces where there are some. */
export function wrap(line: string, width: number): string[] {
  const rows: string[] = [];
  let row = '';
  let used = 0;
  const flush = () => {
    rows.push(row);
    row = '';
    used = 0;
  };
  for (const [at, word] of line.split(' ').entries()) {
    const wordWidth = widthOf(word);
    if (at > 0 && used > 0 && used + 1 + wordWidth > width && wordWidth <= width) flush();
    else if (at > 0) {
      if (used + 1 > width) flush();
      row += ' ';
      used++;
    }
    if (used + wordWidth <= width) {
      row += word;
      used += wordWidth;
      continue;
    }
    for (const cluster of graphemes(word)) {
      const cells = clusterWidth(cluster);
      if (used + cells > width && used > 0) flush();
      row += cluster;
      used += cells;
    }
  }
  flush();
  return rows;
}

function hex(char: string): string {
  return (char.codePointAt(0) as number).toString(16).toUpperCase();
}
