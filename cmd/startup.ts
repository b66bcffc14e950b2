/** Progress of a process's start, shown by /readyz, and logged if a step is slow. */

const MOMENT_MS = 1000;

export class Startup {
  readonly name: string;
  readonly #tell: (step: string) => void;
  #step: string | undefined = 'begins';
  #timer: NodeJS.Timeout | undefined;

  /** @param tell called for each step that takes longer than a second */
  constructor(name: string, tell: (step: string) => void) {
    this.name = name;
    this.#tell = tell;
  }

  /** Begins a step, such as 'opening the message store'. */
  step(what: string): void {
    clearTimeout(this.#timer);
    this.#step = what;
    this.#timer = setTimeout(() => this.#tell(what), MOMENT_MS);
  }

  /** The start is complete. */
  done(): void {
    clearTimeout(this.#timer);
    this.#step = undefined;
  }

  readiness(): string | undefined {
    return this.#step === undefined ? undefined : `starting: ${this.#step}`;
  }
}
