/** Gathers calls that are made together into one, so that the fixed cost of a call is paid once. */

/** A waiting call. */
interface Waiting<Answer> {
  readonly key: string;
  readonly args: readonly (string | number)[];
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: unknown) => void;
}

/** Gathers calls until the current task and the promises that it has settled are done. */
export class CallGatherer<Answer> {
  readonly #most: number;
  readonly #make: (keys: string[], args: (string | number)[]) => Promise<readonly Answer[]>;
  #waiting: Waiting<Answer>[] = [];

  /**
   * @param most most calls gathered into one
   * @param make resolves with an answer for each key; `args` are those of the first key, then those of the second, …
   */
  constructor(most: number, make: (keys: string[], args: (string | number)[]) => Promise<readonly Answer[]>) {
    this.#most = most;
    this.#make = make;
  }

  /** Resolves with this call's answer. Rejects if the combined call does. */
  call(key: string, ...args: readonly (string | number)[]): Promise<Answer> {
    const { promise, resolve, reject } = Promise.withResolvers<Answer>();
    if (this.#waiting.length === 0) process.nextTick(this.#onTick);
    this.#waiting.push({ key, args, resolve, reject });
    return promise;
  }

  readonly #onTick = (): void => {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (let at = 0; at < waiting.length; at += this.#most)
      void this.#callFor(waiting.slice(at, at + this.#most));
  };

  async #callFor(calls: readonly Waiting<Answer>[]): Promise<void> {
    try {
      const keys = calls.map(({ key }) => key);
      const answers = await this.#make(
        keys,
        calls.flatMap(({ args }) => args),
      );
      for (const [i, { resolve }] of calls.entries()) resolve(answers[i] as Answer);
    } catch (error) {
      for (const { reject } of calls) reject(error);
    }
  }
}
