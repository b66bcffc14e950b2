/** Rows of the screen: styled text of an exact width, and how it is written to a terminal. */
import { bounded, clusterWidth, cut, graphemes, isUncertain, widthOf } from './text.ts';

/** Parameters of SGR (ECMA-48), such as `1;33`; empty: none. */
export type Style = string;

export interface Piece {
  readonly text: string;
  readonly style?: Style | undefined;
}

export type Row = readonly Piece[];

export const BOLD: Style = '1';
export const UNDERLINE: Style = '4';
export const REVERSE: Style = '7';
export const RED: Style = '31';
export const GREEN: Style = '32';
export const YELLOW: Style = '33';
export const CYAN: Style = '36';

const NAME_COLOURS: readonly Style[] = ['32', '33', '35', '36', '1;32', '1;33', '1;35', '1;36'];
const SIMPLE = /^[\x20-\x7e]*$/;
const COLOUR = /^3\d$/;

/** The style of a user's name: always the same for a user, whatever the name. */
export function nameStyle(user: string): Style {
  // FNV-1a, 32 bits.
  let hash = 0x811c9dc5;
  for (let i = 0; i < user.length; i++) hash = Math.imul(hash ^ user.charCodeAt(i), 0x01000193) >>> 0;
  return NAME_COLOURS[hash % NAME_COLOURS.length] as Style;
}

/** Makes a piece of other people's text that has at most so many cells. */
export function piece(text: string, width: number, style?: Style): Piece {
  return { text: bounded(cut(text, width)), style };
}

export function rowWidth(row: Row): number {
  return row.reduce((sum, { text }) => sum + widthOf(text), 0);
}

/** Makes a row of exactly so many cells; the right part stays, and the left is cut. */
export function align(left: Row, right: Row, width: number): Row {
  const rest = Math.max(0, width - rowWidth(right));
  return [...fitRow(left, rest), ...fitRow(right, Math.min(width, rowWidth(right)))];
}

/** Cuts or fills a row to exactly so many cells. */
export function fitRow(row: Row, width: number): Row {
  const fitted: Piece[] = [];
  let left = width;
  for (const each of row) {
    const cells = widthOf(each.text);
    if (cells <= left) {
      fitted.push(each);
      left -= cells;
      continue;
    }
    const short = bounded(cut(each.text, left));
    fitted.push({ text: short, style: each.style });
    left -= widthOf(short);
    break;
  }
  if (left > 0) fitted.push({ text: ' '.repeat(left) });
  return fitted;
}

/** A line with a text near its beginning. */
export function rule(text: string, width: number, style?: Style): Row {
  const head = `─── ${cut(text, Math.max(0, width - 5))} `;
  return [{ text: head + '─'.repeat(Math.max(0, width - widthOf(head))), style }];
}

/** Puts rows side by side. */
export function beside(left: readonly Row[], right: readonly Row[]): Row[] {
  return left.map((row, y) => [...row, { text: '│' }, ...(right[y] ?? [])]);
}

/** How a terminal is written to. */
export interface Paint {
  readonly hasColour: boolean;
  /** Replaces what is not ASCII in the frame: for terminals without UTF-8. */
  readonly isAscii: boolean;
}

const ASCII: Readonly<Record<string, string>> = {
  '◉': '+',
  '◍': '~',
  '◌': '-',
  '▸': '>',
  '▌': '|',
  '─': '-',
  '│': '|',
  '┌': '+',
  '┐': '+',
  '└': '+',
  '┘': '+',
  '▾': 'v',
  '✓': 'v',
  '↳': '>',
  '✎': 'e',
  '⚙': '*',
  '┃': '!',
  '…': '.',
  '·': '.',
  '•': '*',
  '↑': '^',
  '↓': 'v',
  '←': '<',
  '→': '>',
};

/** Returns what a terminal is sent for a row, from its first column on. */
export function paint(row: Row, { hasColour, isAscii }: Paint): string {
  let out = '';
  let current = '';
  let column = 1;
  for (const { text, style = '' } of row) {
    const wanted = hasColour ? style : withoutColour(style);
    if (wanted !== current) out += `\x1b[0${wanted === '' ? '' : `;${wanted}`}m`;
    current = wanted;
    if (SIMPLE.test(text)) {
      out += text;
      column += text.length;
      continue;
    }
    for (const cluster of graphemes(text)) {
      const cells = clusterWidth(cluster);
      if (isAscii) out += toAscii(cluster, cells);
      // Whatever width the terminal gives it, nothing behind it is shifted, and nothing stays of what was there.
      else if (isUncertain(cluster) || cells > 2)
        out += `${' '.repeat(cells)}\x1b[${column}G${cluster}\x1b[${column + cells}G`;
      else if (cells === 0) out += `${cluster}\x1b[${column}G`;
      else out += cluster;
      column += cells;
    }
  }
  return current === '' ? out : `${out}\x1b[0m`;
}

function withoutColour(style: Style): Style {
  return style
    .split(';')
    .filter((parameter) => !COLOUR.test(parameter))
    .join(';');
}

function toAscii(cluster: string, cells: number): string {
  if (cells === 0) return '';
  const known = ASCII[cluster];
  if (known !== undefined) return known;
  const base = cluster.normalize('NFD')[0] as string;
  return base >= ' ' && base <= '~' ? base : '?'.repeat(cells);
}
