/** What clients draw: it tells them when it has changed, and they read it again. */

export abstract class Source {
  readonly #listeners = new Set<() => void>();
  #version = 0;

  /** Grows with each change. */
  get version(): number {
    return this.#version;
  }

  /** Calls the listener after each change, synchronously. Returns the function that ends it. */
  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  protected changed(): void {
    this.#version++;
    for (const listener of this.#listeners) listener();
  }
}
