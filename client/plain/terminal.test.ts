import { PassThrough, Writable } from 'node:stream';
import headless from '@xterm/headless';
import { expect, onTestFinished, test } from 'vitest';
import { openTerminal, type Terminal } from './terminal.ts';

interface Screen {
  readonly terminal: Terminal;
  readonly output: Writable;
  /** Typed or pasted input, as the terminal sends it. */
  type(text: string): void;
  paste(text: string): void;
  /** The rows that are not empty, once everything written is drawn. */
  rows(): Promise<string[]>;
}

/** A terminal emulator of 20 columns with the line input in it. */
function open(): Screen {
  const emulator = new headless.Terminal({ cols: 20, rows: 12, allowProposedApi: true, convertEol: true });
  onTestFinished(() => emulator.dispose());
  const output = Object.assign(
    new Writable({ write: (chunk: Buffer, _, done) => emulator.write(chunk, () => done()) }),
    { isTTY: true, columns: 20, rows: 12 },
  );
  const input = new PassThrough();
  const terminal = openTerminal(input, output);
  onTestFinished(() => terminal.close());
  return {
    terminal,
    output,
    type: (text) => input.write(text),
    paste: (text) => input.write(emulator.modes.bracketedPasteMode ? `\x1b[200~${text}\x1b[201~` : text),
    async rows() {
      await new Promise<void>((drawn) => emulator.write('', drawn));
      const { active } = emulator.buffer;
      return Array.from(
        { length: active.length },
        (_, y) => active.getLine(y)?.translateToString().trimEnd() ?? '',
      ).filter((row) => row !== '');
    },
  };
}

const shows = (screen: Screen, rows: string[]) => expect.poll(() => screen.rows()).toEqual(rows);

test('print: lines appear above an input of several rows, which stays below them', async () => {
  const screen = open();
  void screen.terminal.next();
  screen.type('a text that is longer than one row, and then two');
  await shows(screen, ['> a text that is lon', 'ger than one row, an', 'd then two']);
  screen.terminal.print('[#lobby] bob: one', screen.output);
  screen.terminal.print('[#lobby] bob: a line that is itself too long', screen.output);
  const input = ['> a text that is lon', 'ger than one row, an', 'd then two'];
  await shows(screen, ['[#lobby] bob: one', '[#lobby] bob: a line', ' that is itself too', 'long', ...input]);
  screen.type('!');
  await shows(screen, [
    '[#lobby] bob: one',
    '[#lobby] bob: a line',
    ' that is itself too',
    'long',
    ...input.slice(0, -1),
    'd then two!',
  ]);
});

test('print: neither input nor output is lost when the screen scrolls', async () => {
  const screen = open();
  void screen.terminal.next();
  screen.type('x'.repeat(50));
  for (let i = 0; i < 20; i++) screen.terminal.print(`line ${i}`, screen.output);
  const printed = Array.from({ length: 20 }, (_, i) => `line ${i}`);
  await shows(screen, [...printed, `> ${'x'.repeat(18)}`, 'x'.repeat(20), 'x'.repeat(12)]);
});

test('paste: its lines wait for Enter and are then one text, even if they look like commands', async () => {
  const screen = open();
  const line = screen.terminal.next();
  await screen.rows();
  screen.paste('/delete\n/leave\n');
  await shows(screen, ['> /delete␤/leave']);
  screen.type('\r');
  expect(await line).toBe('/delete\n/leave');
});

test('close: the terminal no longer marks pastes', async () => {
  const screen = open();
  screen.terminal.close();
  screen.paste('x');
  expect(await screen.terminal.next()).toBeUndefined();
});
