/** What stands over the timeline: the switcher, completions, texts, and what has happened. */
import { align, BOLD, fitRow, RED, type Row } from './row.ts';
import { bounded, cut, visibleLine, widthOf, wrap } from './text.ts';
import type { Popup } from './view.ts';

export interface Choice {
  /** Such as `1 #`, five cells. */
  readonly mark: string;
  readonly name: string;
  readonly what: string;
  readonly right: string;
}

export interface SwitcherView {
  readonly title: string;
  readonly count: string;
  readonly query: string;
  readonly choices: readonly Choice[];
  readonly selected: number;
  readonly hint: readonly [string, string];
}

/** Cells of names in the switcher. */
const NAME_WIDTH = 15;
const MAX_NAME_WIDTH = 40;
const NAME_GAP = 3;

/** A list to choose from, with a text that filters it. */
export function drawSwitcher(view: SwitcherView, width: number, height: number): Popup {
  const room = Math.max(1, height - 4);
  const first = Math.max(0, Math.min(view.selected - room + 1, view.choices.length - room));
  const choices = view.choices.slice(first, first + room).map((choice, at): Row => {
    const isSelected = first + at === view.selected;
    const name = bounded(cut(visibleLine(choice.name), MAX_NAME_WIDTH));
    const gap = ' '.repeat(Math.max(NAME_GAP, NAME_WIDTH - widthOf(name)));
    const left = [
      { text: isSelected ? '▸' : ' ', style: BOLD },
      { text: choice.mark },
      { text: name, style: isSelected ? BOLD : '' },
      { text: choice.what === '' ? '' : `${gap}${visibleLine(choice.what)}` },
    ];
    return align(left, [{ text: `${choice.right} ` }], width - 2);
  });
  const query = ` ${visibleLine(view.query)}`;
  const inner = [
    fitRow([{ text: query }], width - 2),
    ...choices,
    align([{ text: ` ${view.hint[0]}` }], [{ text: `${view.hint[1]} ` }], width - 2),
  ];
  return {
    rows: box(inner, width, view.title, view.count),
    cursor: { x: 1 + Math.min(widthOf(query), width - 3), y: 1 },
  };
}

/** Rows within a frame. */
function box(rows: readonly Row[], width: number, title: string, right: string): Row[] {
  const head = title === '' ? '┌' : `┌ ${cut(title, width - 4)} `;
  const end = right === '' ? '┐' : ` ${right} ┐`;
  const top = head + '─'.repeat(Math.max(0, width - widthOf(head) - widthOf(end))) + end;
  return [
    [{ text: cut(top, width) }],
    ...rows.map((row): Row => [{ text: '│' }, ...fitRow(row, width - 2), { text: '│' }]),
    [{ text: `└${'─'.repeat(Math.max(0, width - 2))}┘` }],
  ];
}

/** Completions, over the timeline's last rows. */
export function drawCompletions(
  title: string,
  choices: readonly string[],
  selected: number,
  { width, height }: { readonly width: number; readonly height: number },
): Row[] {
  const cells = Math.min(width, Math.max(30, ...choices.map((choice) => widthOf(choice) + 4)));
  const room = Math.max(1, height - 1);
  const first = Math.max(0, Math.min(selected - room + 1, choices.length - room));
  const head = `┌ ${title} `;
  return [
    fitRow([{ text: `${head}${'─'.repeat(Math.max(0, cells - widthOf(head) - 1))}┐` }], width),
    ...choices.slice(first, first + room).map((choice, at): Row => {
      const isSelected = first + at === selected;
      const inner = fitRow(
        [
          { text: isSelected ? '▸' : ' ', style: BOLD },
          { text: bounded(choice), style: isSelected ? BOLD : '' },
        ],
        cells - 2,
      );
      return fitRow([{ text: '│' }, ...inner, { text: '│' }], width);
    }),
  ];
}

/** A notice over the timeline's last rows. @param hint stands in the first row, such as `Esc` */
export function drawNotice(
  lines: readonly string[],
  width: number,
  { hint = '', isError = false } = {},
): Row[] {
  const style = isError ? RED : '';
  const room = width - 4 - (hint === '' ? 0 : widthOf(hint) + 1);
  const rows = lines.flatMap((line) => wrap(line, Math.max(1, room)));
  return rows.map((line, at) => [
    { text: '┃ ', style },
    ...align([{ text: bounded(line) }], at === 0 ? [{ text: hint }] : [], width - 4),
    { text: ' ┃', style },
  ]);
}

/** A page of text over the whole screen. */
export function drawPage(
  title: readonly [string, string],
  lines: readonly string[],
  top: number,
  { width, height }: { readonly width: number; readonly height: number },
): Row[] {
  const rows = lines.flatMap((line) => wrap(line, Math.max(1, width - 1)));
  const room = Math.max(0, height - 1);
  const from = Math.max(0, Math.min(top, rows.length - room));
  const body = Array.from({ length: room }, (_, y) =>
    fitRow([{ text: ` ${bounded(rows[from + y] ?? '')}` }], width),
  );
  return [align([{ text: title[0], style: BOLD }], [{ text: title[1] }], width), ...body];
}
