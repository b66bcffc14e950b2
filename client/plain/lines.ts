/** Lines from an input stream, read no faster than they are taken. */
import type { Readable } from 'node:stream';
import { StringDecoder } from 'node:string_decoder';

/** What is longer is cut here: no server takes it, and the line must not fill the memory. */
const MAX_LINE_CHARS = 1_048_576;
/** Reading stops while this many lines wait. */
const MAX_WAITING = 256;

export interface LineSource {
  /** Resolves with the next line, or with undefined at the end of input. One call at a time. */
  next(): Promise<string | undefined>;
  /** Ends the input: `next` gives undefined from now on. */
  close(): void;
}

/** Hands lines from who has them to who waits for them. */
export class LineQueue implements LineSource {
  readonly #onRoom: () => void;
  #lines: string[] = [];
  #taken = 0;
  #ended = false;
  #waiter: ((line: string | undefined) => void) | undefined;

  constructor(onRoom: () => void) {
    this.#onRoom = onRoom;
  }

  get full(): boolean {
    return this.#lines.length - this.#taken >= MAX_WAITING;
  }

  add(line: string): void {
    if (this.#ended) return;
    if (this.#waiter === undefined) this.#lines.push(line);
    else this.#wake(line);
  }

  end(): void {
    this.#ended = true;
    this.#wake(undefined);
  }

  next(): Promise<string | undefined> {
    const line = this.#lines[this.#taken];
    if (line !== undefined) {
      this.#taken++;
      return Promise.resolve(line);
    }
    this.#lines = [];
    this.#taken = 0;
    if (this.#ended) return Promise.resolve(undefined);
    const { promise, resolve } = Promise.withResolvers<string | undefined>();
    this.#waiter = resolve;
    this.#onRoom();
    return promise;
  }

  close(): void {
    this.#lines = [];
    this.#taken = 0;
    this.end();
  }

  #wake(line: string | undefined): void {
    const waiter = this.#waiter;
    this.#waiter = undefined;
    waiter?.(line);
  }
}

/** Splits a stream of UTF-8 into lines; an unfinished last line counts as one. */
export function streamLines(input: Readable): LineSource {
  const decoder = new StringDecoder('utf8');
  const queue = new LineQueue(() => input.resume());
  let partial = '';
  const take = (text: string) => {
    const parts = text.split('\n');
    for (const [i, part] of parts.entries()) {
      partial = (partial + part).slice(0, MAX_LINE_CHARS);
      if (i === parts.length - 1) break;
      queue.add(partial.endsWith('\r') ? partial.slice(0, -1) : partial);
      partial = '';
    }
  };
  const onData = (chunk: Buffer) => {
    take(decoder.write(chunk));
    if (queue.full) input.pause();
  };
  const onEnd = () => {
    take(decoder.end());
    if (partial !== '') queue.add(partial);
    queue.end();
  };
  input.on('data', onData).on('end', onEnd).on('error', onEnd).on('close', onEnd);
  return {
    next: () => queue.next(),
    close: () => {
      input.off('data', onData).pause();
      queue.close();
    },
  };
}
