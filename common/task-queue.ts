/** Runs asynchronous tasks a few at a time, the others in the order of their coming. */

/** Where a crowd comes at once, what waits here is all that it costs: tasks that have not begun hold nothing else. */
export class TaskQueue {
  readonly #maxRunning: number;
  #running = 0;
  readonly #waiting: (() => Promise<unknown>)[] = [];

  constructor(maxRunning: number) {
    this.#maxRunning = maxRunning;
  }

  /** Whether a task that comes now has to wait. */
  get busy(): boolean {
    return this.#running >= this.#maxRunning;
  }

  /** Tasks that have not begun. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /** Runs the task now or once it is its turn; it must not reject. The caller bounds how many wait. */
  add(task: () => Promise<unknown>): void {
    if (this.busy) this.#waiting.push(task);
    else this.#run(task);
  }

  #run(task: () => Promise<unknown>): void {
    this.#running++;
    void task().finally(() => {
      this.#running--;
      const next = this.#waiting.shift();
      if (next !== undefined) this.#run(next);
    });
  }
}
