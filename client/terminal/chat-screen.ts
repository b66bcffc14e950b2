/** The main screen: sidebar, timeline, status and input. */
import { align, beside, BOLD, CYAN, fitRow, GREEN, piece, RED, type Row, rowWidth, YELLOW } from './row.ts';
import { bounded, clusterWidth, cut, graphemes, visible, visibleLine, widthOf } from './text.ts';
import type { ChatView, InputView, Presence, Sidebar, SidebarRow, Size } from './view.ts';

const WIDE = 120;
const MIN_WITH_SIDEBAR = 80;
const MIN: Size = { width: 20, height: 4 };
/** With fewer only timeline, status and input are drawn. */
const MIN_TITLE: Size = { width: 60, height: 15 };
/** Cells of a name in the sidebar's title, and of the blanks behind it. */
const MARKS: Readonly<Record<Presence, { text: string; style: string }>> = {
  online: { text: '◉', style: GREEN },
  idle: { text: '◍', style: YELLOW },
  offline: { text: '◌', style: '' },
  unknown: { text: ' ', style: '' },
};

export interface Layout {
  /** 0: there is none. */
  readonly sidebar: number;
  readonly timeline: number;
  readonly hasTitle: boolean;
  /** Rows that the input may take. */
  readonly maxInput: number;
}

export interface Drawn {
  readonly rows: readonly Row[];
  readonly cursor: { readonly x: number; readonly y: number } | undefined;
}

/** Returns how the screen is divided. @param isHidden whether the user has hidden the sidebar */
export function layoutOf({ width, height }: Size, isHidden: boolean): Layout {
  const sidebar = isHidden || width < MIN_WITH_SIDEBAR ? 0 : width < WIDE ? 20 : 26;
  return {
    sidebar,
    timeline: sidebar === 0 ? width : width - sidebar - 1,
    hasTitle: width >= MIN_TITLE.width && height >= MIN_TITLE.height,
    maxInput: Math.max(1, Math.floor(height / 3)),
  };
}

/** Rows that are left for the timeline. */
export function timelineHeight(view: Pick<ChatView, 'mode' | 'input'>, size: Size, layout: Layout): number {
  const input = inputRows(view.input, layout).rows.length;
  return Math.max(0, size.height - input - 1 - (layout.hasTitle ? 1 : 0) - (view.mode === undefined ? 0 : 1));
}

/** Draws the screen: exactly as many rows as it has, each of its width. */
export function drawChat(view: ChatView, size: Size, layout: Layout): Drawn {
  const { width, height } = size;
  if (width < MIN.width || height < MIN.height) {
    const text = `needs ${MIN.width}×${MIN.height}`;
    const rows = Array.from({ length: height }, (_, y) => fitRow(y === 0 ? [{ text }] : [], width));
    return { rows, cursor: undefined };
  }
  const { timeline: main } = layout;
  const input = inputRows(view.input, layout);
  const lines = timelineHeight(view, size, layout);
  const shown = view.timeline.slice(-lines);
  const blank = Array.from({ length: Math.max(0, lines - shown.length) }, () => fitRow([], main));
  const over = view.over.slice(0, lines).map((row) => fitRow(row, main));
  const timeline = [...shown, ...blank];
  if (over.length > 0) timeline.splice(lines - over.length, over.length, ...over);
  const rows: Row[] = [
    ...(layout.hasTitle ? [titleRow(view, main)] : []),
    ...timeline,
    statusRow(view, main),
    ...(view.mode === undefined
      ? []
      : [align([{ text: visibleLine(view.mode.text) }], [{ text: view.mode.hint }], main)]),
    ...input.rows,
  ];
  const x = layout.sidebar === 0 ? 0 : layout.sidebar + 1;
  const screen =
    layout.sidebar === 0 ? rows : beside(sidebarRows(view.sidebar, layout.sidebar, height), rows);
  const cursor = { x: x + input.cursor.x, y: height - input.rows.length + input.cursor.y };
  const { popup } = view;
  if (popup === undefined) return { rows: screen, cursor };
  const top = Math.max(0, Math.min(layout.hasTitle ? 2 : 1, height - popup.rows.length));
  const covered = screen.map((row, y) => popup.rows[y - top] ?? row);
  return {
    rows: covered.map((row) => (rowWidth(row) === width ? row : fitRow(row, width))),
    cursor: popup.cursor && { x: popup.cursor.x, y: top + popup.cursor.y },
  };
}

function titleRow({ title }: ChatView, width: number): Row {
  const name = piece(visibleLine(title.name), width, BOLD);
  return align(
    [name, { text: title.topic === '' ? '' : `  ${visibleLine(title.topic)}` }],
    [{ text: title.right }],
    width,
  );
}

function statusRow({ status }: ChatView, width: number): Row {
  const isShort = width < 59 || (width < 70 && !status.isOffline && status.unread !== '' && width >= 60);
  const link = { text: ` ${status.link[isShort ? 0 : 1]}`, style: status.isOffline ? RED : '' };
  const typing = status.typing === '' ? [] : [{ text: ' │ ' }, piece(visibleLine(status.typing), 40)];
  const help = status.help === '' || width < 90 ? '' : ` │ ${status.help}`;
  const unread = { text: `${visibleLine(status.unread)}${help} `, style: status.unread === '' ? '' : CYAN };
  return align([link, ...typing], [unread], width);
}

/** The input and where its cursor is in it. */
function inputRows(
  input: InputView,
  { timeline: width, maxInput }: Layout,
): Drawn & { cursor: { x: number; y: number } } {
  const prompt = `${visibleLine(input.prompt)} `;
  const indent = widthOf(prompt);
  const more = `${' '.repeat(Math.max(0, indent - 2))}│ `;
  const room = Math.max(1, width - indent - 1);
  const rows: string[] = [];
  const cursor = { x: indent, y: 0 };
  let row = '';
  let used = 0;
  let offset = 0;
  for (const cluster of [...graphemes(input.text), '']) {
    const shown = cluster === '\n' || cluster === '' ? '' : visible(cluster);
    const cells = shown === cluster && graphemes(shown).length === 1 ? clusterWidth(shown) : widthOf(shown);
    if (used + cells > room) {
      rows.push(row);
      row = '';
      used = 0;
    }
    if (offset === input.cursor) Object.assign(cursor, { x: indent + used, y: rows.length });
    offset += cluster.length;
    row += shown;
    used += cells;
    if (cluster !== '\n') continue;
    rows.push(row);
    row = '';
    used = 0;
  }
  rows.push(row);
  const hint = input.hint === '' ? 0 : 1;
  const places = Math.max(1, maxInput - hint);
  let first = Math.max(0, Math.min(cursor.y - places + 1, rows.length - places));
  let shown = rows.slice(first, first + places);
  if (input.fold !== undefined && rows.length > places) {
    // The first rows, and how many more there are.
    first = 0;
    shown = [...rows.slice(0, 2), input.fold];
    Object.assign(cursor, { x: indent + widthOf(input.fold), y: 2 });
  }
  const drawn = shown.map((text, y) =>
    fitRow([{ text: first + y === 0 ? prompt : more }, { text: bounded(text) }], width),
  );
  if (hint > 0) drawn.push(fitRow([{ text: input.hint }], width));
  return { rows: drawn, cursor: { x: Math.min(cursor.x, width - 1), y: cursor.y - first } };
}

function sidebarRows(sidebar: Sidebar, width: number, height: number): Row[] {
  // The wide one has blanks at its edge.
  const margin = width >= 26 ? 1 : 0;
  const presence = sidebar.presence === 'unknown' ? 'offline' : sidebar.presence;
  const me = [
    { text: `${cut(visibleLine(sidebar.me), 10)} ` },
    MARKS[presence],
    { text: width >= 26 ? '    ' : '  ' },
  ];
  const rows: Row[] = [align([{ text: 'GoChat', style: BOLD }], me, width)];
  for (const section of sidebar.sections) {
    if (section.rows.length === 0) continue;
    rows.push([], [{ text: section.title }], ...section.rows.map((row) => sidebarRow(row, width, margin)));
  }
  const notes = sidebar.notes.map((note): Row => [{ text: note }]);
  // They end above status and input.
  const noteAt = height - 2 - notes.length;
  return Array.from({ length: height }, (_, y) =>
    fitRow((y >= noteAt ? notes[y - noteAt] : y < noteAt ? rows[y] : undefined) ?? [], width),
  );
}

function sidebarRow(row: SidebarRow, width: number, margin: number): Row {
  const isRoom = row.mark === '#' || row.mark === '&' || row.mark === '';
  const mark = isRoom ? { text: row.mark === '' ? ' ' : row.mark, style: '' } : MARKS[row.mark];
  const counts = [
    row.isMuted ? 'mute' : '',
    row.mentions > 0 ? `@${row.mentions === 1 && row.unread <= 1 ? '1' : row.mentions}` : '',
    row.threads > 0 ? `t${row.threads}` : '',
    row.unread > 0 && !(row.isMuted && row.mentions > 0) ? countText(row.unread) : '',
  ];
  const right = counts.filter((count) => count !== '').join(' ');
  const style = row.isCurrent || row.unread > 0 ? BOLD : '';
  const head: Row = [
    { text: row.isCurrent ? '▸' : ' ', style: BOLD },
    { text: row.number === undefined ? ' ' : String(row.number) },
    { text: ' ' },
    mark,
    { text: ' ' },
  ];
  const room = width - margin - 5 - (right === '' ? 0 : widthOf(right));
  const draft = row.hasDraft ? ' ✎' : '';
  const name = [
    piece(visibleLine(row.name), Math.max(1, room - widthOf(draft)), style),
    { text: draft, style: YELLOW },
  ];
  return align([...head, ...name], [{ text: right + ' '.repeat(margin) }], width);
}

/** MANY stands for as many or more. */
export function countText(count: number): string {
  return count >= 1000 ? '999+' : String(count);
}
