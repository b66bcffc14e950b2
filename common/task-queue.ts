/** A queue of asynchronous tasks, of which a few run at a time, in order of arrival. */

/** In a reconnect storm a waiting task costs only its place here: it holds nothing else until it begins. */
export class TaskQueue {
  readonly #maxRunning: number;
  #running = 0;
  readonly #waiting: (() => Promise<unknown>)[] = [];

  constructor(maxRunning: number) {
    this.#maxRunning = maxRunning;
  }

  /** Whether a task added now has to wait. */
  get busy(): boolean {
    return this.#running >= this.#maxRunning;
  }

  /** Number of tasks that have not begun. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /** Runs the task now or in its turn. It must not reject. The caller bounds how many wait. */
  add(task: () => Promise<unknown>): void {
    if (this.busy) this.#waiting.push(task);
    else this.#run(task);
  }

  #run(task: () => Promise<unknown>): void {
    this.#running++;
    void task().then(this.#onEnd);
  }

  readonly #onEnd = (): void => {
    this.#running--;
    const next = this.#waiting.shift();
    if (next !== undefined) this.#run(next);
  };
}
