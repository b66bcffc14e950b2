/** Lines from an input stream, with backpressure. */
import { Buffer, isUtf8 } from 'node:buffer';
import type { Readable } from 'node:stream';

/** Longest line kept: no server accepts it, and it must not fill the memory. */
const MAX_LINE_BYTES = 4_194_304;
/** Reading stops while this many lines wait. */
const MAX_WAITING = 256;
const LF = 0x0a;
const CR = 0x0d;
const BYTE_ORDER_MARK = Buffer.from('\ufeff');

/** Stands for a line that is not UTF-8. */
export const NOT_UTF8 = Symbol('not UTF-8');
export type Line = string | typeof NOT_UTF8;

export interface LineSource {
  /** Resolves with the next line, or with undefined at the end of input. One call at a time. */
  next(): Promise<Line | undefined>;
  /** Ends the input: `next` gives undefined from now on. */
  close(): void;
}

/** A queue of lines with backpressure. */
export class LineQueue implements LineSource {
  readonly #onRoom: () => void;
  #lines: Line[] = [];
  #taken = 0;
  #ended = false;
  #waiter: ((line: Line | undefined) => void) | undefined;

  constructor(onRoom: () => void) {
    this.#onRoom = onRoom;
  }

  get full(): boolean {
    return this.#lines.length - this.#taken >= MAX_WAITING;
  }

  add(line: Line): void {
    if (this.#ended) return;
    if (this.#waiter === undefined) this.#lines.push(line);
    else this.#wake(line);
  }

  end(): void {
    this.#ended = true;
    this.#wake(undefined);
  }

  next(): Promise<Line | undefined> {
    const line = this.#lines[this.#taken];
    if (line !== undefined) {
      this.#taken++;
      return Promise.resolve(line);
    }
    this.#lines = [];
    this.#taken = 0;
    if (this.#ended) return Promise.resolve(undefined);
    const { promise, resolve } = Promise.withResolvers<Line | undefined>();
    this.#waiter = resolve;
    this.#onRoom();
    return promise;
  }

  close(): void {
    this.#lines = [];
    this.#taken = 0;
    this.end();
  }

  #wake(line: Line | undefined): void {
    const waiter = this.#waiter;
    this.#waiter = undefined;
    waiter?.(line);
  }
}

/** Splits a UTF-8 stream into lines. An unfinished last line counts; a leading byte order mark is dropped. */
export function streamLines(input: Readable): LineSource {
  const queue = new LineQueue(() => input.resume());
  let isFirst = true;
  /** The line so far, cut at MAX_LINE_BYTES. */
  let partial: Buffer[] = [];
  let partialBytes = 0;
  const hold = (part: Buffer) => {
    const kept = part.subarray(0, MAX_LINE_BYTES - partialBytes);
    if (kept.length === 0) return;
    partial.push(kept);
    partialBytes += kept.length;
  };
  const end = () => {
    queue.add(decodeLine(Buffer.concat(partial), isFirst));
    isFirst = false;
    partial = [];
    partialBytes = 0;
  };
  const onData = (chunk: Buffer) => {
    let from = 0;
    for (let at = chunk.indexOf(LF); at !== -1; at = chunk.indexOf(LF, from)) {
      hold(chunk.subarray(from, at));
      end();
      from = at + 1;
    }
    hold(chunk.subarray(from));
    if (queue.full) input.pause();
  };
  const onEnd = () => {
    if (partialBytes > 0) end();
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

function decodeLine(bytes: Buffer, isFirst: boolean): Line {
  const start =
    isFirst && bytes.subarray(0, BYTE_ORDER_MARK.length).equals(BYTE_ORDER_MARK) ? BYTE_ORDER_MARK.length : 0;
  const stop = bytes.at(-1) === CR ? bytes.length - 1 : bytes.length;
  const line = bytes.subarray(start, Math.max(start, stop));
  if (bytes.length < MAX_LINE_BYTES) return isUtf8(line) ? line.toString() : NOT_UTF8;
  // The cut may split a character.
  const whole = [0, 1, 2, 3].map((cut) => line.subarray(0, line.length - cut)).find((part) => isUtf8(part));
  return whole?.toString() ?? NOT_UTF8;
}
