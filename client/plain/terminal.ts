/** A terminal with a prompt that incoming lines do not disturb. */
import { clearScreenDown, createInterface, cursorTo, moveCursor } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { LineQueue, type LineSource } from './lines.ts';
import { PASTE_OFF, PASTE_ON, PasteGuard, unmark } from './paste-guard.ts';

export interface Terminal extends LineSource {
  /** Prints a line above the prompt. */
  print(line: string, stream: Writable): void;
  setPrompt(prompt: string): void;
}

type TerminalInput = Readable & { setRawMode?(on: boolean): unknown };

/** Reads lines from a terminal with editing and history; Ctrl-C and Ctrl-D end the input. */
export function openTerminal(terminalInput: TerminalInput, output: Writable): Terminal {
  const input = Object.assign(new PasteGuard(), {
    isTTY: true,
    setRawMode: (on: boolean) => terminalInput.setRawMode?.(on),
  });
  terminalInput.pipe(input);
  const readline = createInterface({ input, output, terminal: true, prompt: '> ' });
  const queue = new LineQueue(() => readline.prompt(true));
  let open = true;
  output.write(PASTE_ON);
  // The shell has turned it off meanwhile.
  readline.on('SIGCONT', () => output.write(PASTE_ON));
  readline.on('line', (line) => {
    queue.add(unmark(line));
    if (queue.full) readline.pause();
  });
  readline.on('close', () => {
    open = false;
    output.write(PASTE_OFF);
    terminalInput.unpipe(input);
    terminalInput.pause();
    queue.end();
  });
  return {
    next: () => queue.next(),
    close: () => {
      readline.close();
      queue.close();
    },
    print(line, stream) {
      if (!open) {
        stream.write(`${line}\n`);
        return;
      }
      const { rows } = readline.getCursorPos();
      moveCursor(output, 0, -rows);
      cursorTo(output, 0);
      clearScreenDown(output);
      // readline redraws its input from as many rows up as the cursor was below the first one.
      stream.write(`${line}\n`);
      output.write('\n'.repeat(rows));
      readline.prompt(true);
    },
    setPrompt: (prompt) => readline.setPrompt(prompt),
  };
}
