/** Rows of messages, events and lines in a timeline. */
import { type Block, type Inline, parseMarkdown } from '../markdown/mod.ts';
import {
  BOLD,
  CYAN,
  fitRow,
  GREEN,
  nameStyle,
  type Piece,
  piece,
  RED,
  type Row,
  rule,
  type Style,
  UNDERLINE,
  YELLOW,
} from './row.ts';
import { LINE_BREAK, bounded, fit, visible, visibleLine, widthOf, wrap } from './text.ts';
import type { ItemView, MessageView, Receipt } from './view.ts';

/** Below this width of the timeline names are shorter. */
const NARROW = 70;
/** Longer texts are folded, rows. */
const MAX_TEXT_ROWS = 40;
/** Below this one the time has no place. */
const TINY = 40;
/** HH:MM, and the blank behind it. */
const TIME = 6;
/** Receipt, and the blank before it. */
const TAIL = 3;

const RECEIPTS: Readonly<Record<Receipt, Piece>> = {
  queued: { text: '..' },
  sent: { text: ' ✓' },
  delivered: { text: '✓✓' },
  read: { text: '✓◉', style: GREEN },
  refused: { text: '!!', style: RED },
  '': { text: '  ' },
};

export interface ItemOptions {
  readonly width: number;
  readonly isSelected: boolean;
}

/** Returns the rows of an item, each of exactly the width. */
export function itemRows(item: ItemView, { width, isSelected }: ItemOptions): Row[] {
  if (item.kind === 'line') return [rule(item.text, width, item.isUnread ? `${BOLD};${YELLOW}` : '')];
  const timeWidth = width < TINY ? 0 : TIME;
  const nameWidth = width < TINY ? 6 : width < NARROW ? 9 : 12;
  // Margin mark, time, name, blank.
  const headWidth = 1 + timeWidth + nameWidth + 1;
  const textWidth = Math.max(1, width - headWidth - TAIL);
  const body =
    item.kind === 'event' ? [[{ text: `· ${visibleLine(item.text)}` }]] : messageRows(item, textWidth);
  const author =
    item.author === '' ? '' : item.kind === 'message' && item.isBot ? `${item.author} ⚙` : item.author;
  const receipt = item.kind === 'message' ? item.receipt : '';
  // Of quotes and texts the first row of the text has the receipt.
  const receiptAt = item.kind === 'message' && item.quote !== undefined ? 1 : 0;
  return body.map((row, at) => {
    const mentions = item.kind === 'message' && item.mentionsMe;
    const margin: Piece = isSelected
      ? { text: at === 0 ? '▸' : '▌', style: BOLD }
      : at === 0 && mentions
        ? { text: '@', style: '7' }
        : { text: ' ' };
    const name = piece(visibleLine(author), nameWidth, nameStyle(item.authorId));
    const head: Row =
      at === 0
        ? [{ text: fit(item.time, timeWidth) }, ...fitRow([name], nameWidth), { text: ' ' }]
        : [{ text: ' '.repeat(headWidth - 1) }];
    const tail = at === Math.min(receiptAt, body.length - 1) ? RECEIPTS[receipt] : RECEIPTS[''];
    return [margin, ...head, ...fitRow(row, textWidth), { text: ' ' }, tail];
  });
}

function messageRows(item: MessageView, width: number): Row[] {
  const rows: Row[] = [];
  if (item.quote !== undefined) {
    const quote = `│ ${visibleLine(item.quote.author)}: ${visibleLine(item.quote.text)}`;
    rows.push([piece(quote, width)]);
  }
  let text = textRows(item.text, width);
  if (text.length > MAX_TEXT_ROWS) {
    const folded = text.length - MAX_TEXT_ROWS;
    text = [...text.slice(0, MAX_TEXT_ROWS), [{ text: `[+ ${folded} rows]` }]];
  }
  if (item.isEdited) text = append(text, ' (edited)', width);
  if (item.refusal !== undefined && item.refusal.reason !== '')
    text = append(text, `: ${visibleLine(item.refusal.reason)}`, width);
  const files = item.files.map((file) => visibleLine(file)).join('  ');
  const reactions = item.reactions.join(' ');
  if (files !== '' && item.text !== '' && text.length === 1)
    text = [[{ text: `${files}  ` }, ...(text[0] ?? [])]];
  else if (files !== '') {
    const both = [files, reactions].filter((part) => part !== '').join('  ');
    text = [...(item.text === '' ? [] : text), [piece(both, width)]];
  }
  rows.push(...text);
  const isShown = files !== '' && (item.text === '' || text.length > 1);
  const notes = [isShown ? '' : reactions, item.note].filter((part) => part !== '').join('   ');
  if (notes !== '') rows.push([piece(notes, width)]);
  if (item.thread !== '') rows.push([piece(`↳ ${visibleLine(item.thread)}`, width, CYAN)]);
  if (item.refusal !== undefined) rows.push([piece(item.refusal.remedy, width, RED)]);
  return rows;
}

/** Adds a text to the last row, or below it where it has no place. */
function append(rows: readonly Row[], text: string, width: number): Row[] {
  const last = rows.at(-1) ?? [];
  const used = last.reduce((sum, each) => sum + widthOf(each.text), 0);
  if (used + widthOf(text) <= width) return [...rows.slice(0, -1), [...last, { text }]];
  return [...rows, ...wrap(text.replace(/^[: ]+/, ''), width).map((row): Row => [{ text: bounded(row) }])];
}

/** Returns Markdown as rows of at most the width. */
export function textRows(given: string, width: number): Row[] {
  const text = given.replace(LINE_BREAK, '\n');
  // Most texts have nothing to parse.
  if (/^[^\\`*_~<[\n]*$/.test(text) && !/^\s{0,3}(?:[->+]|\d)|https?:/.test(text))
    return wrap(visible(text), width).map((row): Row => [{ text: bounded(row) }]);
  const rows = parseMarkdown(text).flatMap((block) => blockRows(block, width));
  return rows.length === 0 ? [[]] : rows;
}

function blockRows(block: Block, width: number): Row[] {
  switch (block.kind) {
    case 'code':
      return visible(block.text)
        .split('\n')
        .flatMap((line) => wrap(line, Math.max(1, width - 2)))
        .map((line): Row => [{ text: '│ ' }, { text: bounded(line) }]);
    case 'quote':
      return block.children
        .flatMap((child) => blockRows(child, Math.max(1, width - 2)))
        .map((row): Row => [{ text: '│ ' }, ...row]);
    case 'list':
      return block.items.flatMap((item, at) => {
        const mark = block.isOrdered ? `  ${block.start + at}. ` : '  • ';
        const indent = ' '.repeat(mark.length);
        const rows = wrapPieces(flatten(item, ''), Math.max(1, width - mark.length));
        return rows.map((row, y): Row => [{ text: y === 0 ? mark : indent }, ...row]);
      });
    default:
      return wrapPieces(flatten(block.children, ''), width);
  }
}

function flatten(inlines: readonly Inline[], style: Style): Piece[] {
  return inlines.flatMap((inline): Piece[] => {
    switch (inline.kind) {
      case 'text':
        return [{ text: visible(inline.text), style }];
      case 'code':
        return [{ text: `\`${visible(inline.text)}\``, style }];
      case 'break':
        return [{ text: '\n', style }];
      case 'mention':
        return [{ text: `@${inline.user}`, style: BOLD }];
      case 'link': {
        const label = flatten(inline.children, UNDERLINE);
        const shown = label.map(({ text }) => text).join('');
        const isBare = shown === inline.url || inline.url === `${shown}/` || /^https?:/.test(shown);
        const host = URL.canParse(inline.url) ? new URL(inline.url).host : inline.url;
        return isBare ? label : [...label, { text: ` (${visibleLine(host)})`, style }];
      }
      case 'strong':
        return flatten(inline.children, BOLD);
      default:
        return flatten(inline.children, style);
    }
  });
}

/** Wraps styled text: the rows as of its text alone, and the styles where their characters went. */
function wrapPieces(pieces: readonly Piece[], width: number): Row[] {
  const text = pieces.map((each) => each.text).join('');
  const rows: Row[] = [];
  let at = 0;
  for (const line of text.split('\n')) {
    for (const row of wrap(line, width)) {
      const from = text.indexOf(row, at);
      at = from + row.length;
      const styled = slice(pieces, from, at);
      const bound = bounded(row);
      rows.push(bound === row ? styled : [...styled, { text: bound.slice(row.length) }]);
    }
  }
  return rows;
}

function slice(pieces: readonly Piece[], from: number, to: number): Row {
  const row: Piece[] = [];
  let start = 0;
  for (const { text, style } of pieces) {
    const part = text.slice(Math.max(0, from - start), Math.max(0, to - start));
    if (part !== '') row.push({ text: part, style });
    start += text.length;
  }
  return row;
}

/** A row of exactly the width with a text at its beginning. */
export function textRow(text: string, width: number, style?: Style): Row {
  return [{ text: fit(text, width), style }];
}
