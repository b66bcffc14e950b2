/** The terminal as something to draw on: its modes, and the rows that have changed. */
import type { Writable } from 'node:stream';
import { type Paint, paint, type Row } from './row.ts';

/** Alternate screen, marked pastes, focus reports, title stack. */
const ENTER = '\x1b[22;2t\x1b[?1049h\x1b[?2004h\x1b[?1004h\x1b[2J';
const LEAVE = '\x1b[0m\x1b[?1004l\x1b[?2004l\x1b[?1049l\x1b[23;2t\x1b[?25h';
/** Synchronised output: terminals that know it show the frame as a whole, and others ignore it. */
const BEGIN = '\x1b[?2026h\x1b[?25l';
const END = '\x1b[?2026l';

export interface Cursor {
  readonly x: number;
  readonly y: number;
}

export interface Frame {
  readonly rows: readonly Row[];
  /** Undefined: it is not shown. */
  readonly cursor: Cursor | undefined;
  readonly title: string;
}

export class Display {
  readonly #output: Writable;
  readonly #paint: Paint;
  #rows: string[] = [];
  #title = '';
  #isOpen = false;

  constructor(output: Writable, how: Paint) {
    this.#output = output;
    this.#paint = how;
  }

  /** Whether the terminal has not taken the last frame yet: the next one is then left out. */
  get isBusy(): boolean {
    return this.#output.writableNeedDrain;
  }

  /** Takes the screen over; the next frame is drawn in full. */
  open(): void {
    this.#isOpen = true;
    this.redraw();
    this.#output.write(ENTER);
  }

  /** Gives the screen back as it was. */
  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#output.write(LEAVE);
  }

  /** The next frame is drawn in full. */
  redraw(): void {
    this.#rows = [];
    this.#title = '';
  }

  draw({ rows, cursor, title }: Frame): void {
    if (!this.#isOpen) return;
    const painted = rows.map((row) => paint(row, this.#paint));
    let out = this.#rows.length === painted.length ? '' : '\x1b[2J';
    for (const [y, row] of painted.entries()) if (row !== this.#rows[y]) out += `\x1b[${y + 1};1H${row}`;
    if (title !== this.#title) out += `\x1b]2;${title}\x07`;
    this.#rows = painted;
    this.#title = title;
    const place = cursor === undefined ? '' : `\x1b[${cursor.y + 1};${cursor.x + 1}H\x1b[?25h`;
    this.#output.write(BEGIN + out + place + END);
  }

  /** Rings, if the terminal does. */
  bell(): void {
    if (this.#isOpen) this.#output.write('\x07');
  }
}
