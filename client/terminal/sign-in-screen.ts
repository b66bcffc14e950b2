/** The first screen of somebody who is not logged in. */
import { align, BOLD, fitRow, RED, type Row } from './row.ts';
import { visibleLine, widthOf, wrap } from './text.ts';
import type { Drawn } from './chat-screen.ts';
import type { Size } from './view.ts';

/** Where the values of fields begin. */
const VALUE_AT = 18;
const INDENT = 3;

export type SignInField = 'action' | 'handle' | 'shown' | 'password' | 'again' | 'stay' | 'submit';

export interface SignInView {
  readonly server: string;
  readonly isSignUp: boolean;
  readonly fields: readonly {
    readonly field: SignInField;
    readonly label: string;
    readonly value: string;
    readonly note: string;
    readonly isError: boolean;
  }[];
  readonly focus: SignInField;
  readonly submit: string;
  /** Below the form: what is kept, or why it was refused. */
  readonly notes: readonly { readonly text: string; readonly isError: boolean }[];
  readonly actions: readonly [string, string];
  readonly help: string;
  readonly helpKey: string;
}

export function drawSignIn(view: SignInView, { width, height }: Size): Drawn {
  let cursor: Drawn['cursor'];
  const rows: Row[] = [
    align([{ text: ' GoChat', style: BOLD }], [{ text: `${visibleLine(view.server)} ` }], width),
    [],
  ];
  const mark = (isOn: boolean, text: string) => `(${isOn ? 'o' : ' '}) ${text}`;
  const head = view.focus === 'action' ? ' ▸ ' : '   ';
  if (view.focus === 'action') cursor = { x: INDENT + 1, y: rows.length };
  rows.push(
    [{ text: `${head}${mark(!view.isSignUp, view.actions[0])}    ${mark(view.isSignUp, view.actions[1])}` }],
    [],
  );
  for (const { field, label, value, note, isError } of view.fields) {
    const isFocused = field === view.focus;
    const shown = visibleLine(value);
    if (isFocused)
      cursor = { x: field === 'stay' ? VALUE_AT + 1 : VALUE_AT + widthOf(shown), y: rows.length };
    const left = [
      { text: isFocused ? ' ▸ ' : '   ', style: BOLD },
      { text: label.padEnd(VALUE_AT - INDENT) },
      { text: shown },
    ];
    const right = note === '' ? [] : [{ text: `${note}   `, style: isError ? RED : '' }];
    rows.push(field === 'stay' ? [...left, { text: ` ${note}` }] : align(left, right, width));
  }
  if (view.focus === 'submit') cursor = { x: INDENT + 2, y: rows.length + 1 };
  rows.push([], [{ text: `${view.focus === 'submit' ? ' ▸ ' : '   '}[ ${view.submit} ]`, style: BOLD }], []);
  for (const { text, isError } of view.notes)
    for (const line of wrap(visibleLine(text), width - 2))
      rows.push([{ text: ` ${line}`, style: isError ? RED : '' }]);
  rows.splice(height - 1);
  const last = align([{ text: ` ${view.help}` }], [{ text: `${view.helpKey} ` }], width);
  const lastAt = Math.min(height - 1, rows.length);
  const shown = Array.from({ length: height }, (_, y) =>
    y === lastAt ? last : fitRow(rows[y] ?? [], width),
  );
  return { rows: shown, cursor };
}
