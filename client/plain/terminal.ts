/** A terminal with a prompt that other people's lines do not run into. */
import { clearLine, createInterface, cursorTo } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { LineQueue, type LineSource } from './lines.ts';

export interface Terminal extends LineSource {
  /** Prints a line above the prompt. */
  print(line: string, stream: Writable): void;
  setPrompt(prompt: string): void;
}

/** Reads lines from a terminal with editing and history; Ctrl-C and Ctrl-D end the input. */
export function openTerminal(input: Readable, output: Writable): Terminal {
  const readline = createInterface({ input, output, terminal: true, prompt: '> ' });
  const queue = new LineQueue(() => readline.prompt(true));
  let open = true;
  readline.on('line', (line) => {
    queue.add(line);
    // Something long was pasted; the next prompt goes on with it.
    if (queue.full) readline.pause();
  });
  readline.on('close', () => {
    open = false;
    queue.end();
  });
  return {
    next: () => queue.next(),
    close: () => {
      readline.close();
      queue.close();
    },
    print(line, stream) {
      if (open) {
        cursorTo(output, 0);
        clearLine(output, 0);
      }
      stream.write(`${line}\n`);
      if (open) readline.prompt(true);
    },
    setPrompt: (prompt) => readline.setPrompt(prompt),
  };
}
