/** A terminal emulator for tests, and the screens that are drawn on paper. */
import { readFileSync } from 'node:fs';
import { Writable } from 'node:stream';
import { UnicodeGraphemesAddon } from '@xterm/addon-unicode-graphemes';
import headless from '@xterm/headless';
import type { Size } from '../view.ts';

export interface Emulator {
  readonly output: Writable & { readonly isTTY: true; columns: number; rows: number };
  /** The rows, each as wide as the screen, once everything written is drawn. */
  rows(): Promise<string[]>;
  /** Where the cursor is. */
  readonly cursor: { readonly x: number; readonly y: number };
  readonly title: string;
  /** Everything that was written. */
  readonly written: () => string;
  resize(size: Size): void;
  dispose(): void;
}

export function emulate({ width, height }: Size): Emulator {
  const terminal = new headless.Terminal({ cols: width, rows: height, allowProposedApi: true });
  terminal.loadAddon(new UnicodeGraphemesAddon());
  let title = '';
  let written = '';
  terminal.onTitleChange((text) => (title = text));
  const output = Object.assign(
    new Writable({
      write(chunk: Buffer, _, done) {
        written += chunk.toString();
        terminal.write(chunk, done);
      },
    }),
    { isTTY: true as const, columns: width, rows: height },
  );
  return {
    output,
    async rows() {
      await new Promise<void>((drawn) => terminal.write('', drawn));
      const { active } = terminal.buffer;
      return Array.from({ length: terminal.rows }, (_, y) => {
        const line = active.getLine(active.baseY + y);
        return line?.translateToString(false) ?? '';
      });
    },
    get cursor() {
      const { cursorX: x, cursorY: y } = terminal.buffer.active;
      return { x, y };
    },
    get title() {
      return title;
    },
    written: () => written,
    resize(size) {
      terminal.resize(size.width, size.height);
      Object.assign(output, { columns: size.width, rows: size.height });
      output.emit('resize');
    },
    dispose: () => terminal.dispose(),
  };
}

export interface PaperScreen {
  readonly size: Size;
  readonly rows: readonly string[];
  readonly cursor: { readonly before: string; readonly y: number } | undefined;
}

/** Returns a screen of screens.txt. @param at of two side by side */
export function paperScreen(name: string, at = 0): PaperScreen {
  const text = readFileSync(new URL('screens.txt', import.meta.url), 'utf8');
  for (const [, head = '', body = ''] of text.matchAll(/```screen (.*?)\n(.*?)\n```/gs)) {
    const title = /^(?:\d+x\d+ )+(.*)$/.exec(head)?.[1];
    if (title === undefined || !title.includes(name)) continue;
    const sizes = [...head.matchAll(/(\d+)x(\d+) /g)].map(([, width, height]) => ({
      width: Number(width),
      height: Number(height),
    }));
    const rows = body.split('\n').map((row) => row.split('¦')[at] as string);
    const y = rows.findIndex((row) => row.includes('▏'));
    return {
      size: sizes[at] as Size,
      rows: rows.map((row) => row.replace('▏', ' ')),
      cursor: y === -1 ? undefined : { before: (rows[y] as string).split('▏')[0] as string, y },
    };
  }
  throw new Error(`There is no screen ${name}`);
}
