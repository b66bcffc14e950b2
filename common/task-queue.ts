/** A queue of asynchronous tasks, of which a few run at a time, in order of arrival. */

/** In a reconnect storm a waiting task costs its place here and a promise: it holds nothing else until it begins. */
export class TaskQueue {
  readonly #maxRunning: number;
  #running = 0;
  readonly #waiting: (() => void)[] = [];

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

  /** Runs the task now or in its turn, and settles as it does. The task must not throw. The caller bounds how many wait. */
  run<T>(task: () => Promise<T>): Promise<T> {
    if (!this.busy) return this.#begin(task);
    return new Promise((resolve) => {
      this.#waiting.push(() => resolve(this.#begin(task)));
    });
  }

  #begin<T>(task: () => Promise<T>): Promise<T> {
    this.#running++;
    const running = task();
    running.then(this.#onEnd, this.#onEnd);
    return running;
  }

  readonly #onEnd = (): void => {
    this.#running--;
    this.#waiting.shift()?.();
  };
}
