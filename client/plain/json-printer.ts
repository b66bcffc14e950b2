/** Events as JSON, one object per line on standard output. */
import type { Writable } from 'node:stream';
import type { PlainEvent, Printer } from './printer.ts';
import { toSafeJson } from './sanitize.ts';

export class JsonPrinter implements Printer {
  readonly #output: Writable;
  readonly #errorOutput: Writable;

  constructor(output: Writable, errorOutput: Writable) {
    this.#output = output;
    this.#errorOutput = errorOutput;
  }

  print(event: PlainEvent): void {
    this.#output.write(`${toSafeJson(event)}\n`);
  }

  /** The `sent` event has reported it. */
  own(): void {}

  note(text: string): void {
    this.#errorOutput.write(`${text}\n`);
  }
}
