/** Health checks of a state node's dependencies, for its readiness. */
import { GochatError } from '../common/mod.ts';

/** A dependency that answers pings. */
export interface Dependency {
  readonly name: string;
  ping(): Promise<void>;
}

/** Pings each dependency at an interval; an unanswered ping fails the next round. */
export class Health {
  readonly #dependencies: readonly Dependency[];
  readonly #intervalMs: number;
  readonly #problems = new Map<string, string>();
  readonly #asking = new Set<string>();
  #timer: NodeJS.Timeout | undefined;

  constructor(dependencies: readonly Dependency[], intervalMs: number) {
    this.#dependencies = dependencies;
    this.#intervalMs = intervalMs;
  }

  /** The current problem, or undefined. */
  get problem(): string | undefined {
    return this.#problems.size === 0 ? undefined : [...this.#problems.values()].join('; ');
  }

  start(): void {
    this.#timer ??= setInterval(() => this.check(), this.#intervalMs).unref();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** Pings every dependency; an unanswered earlier ping is a problem. */
  check(): void {
    for (const dependency of this.#dependencies) {
      const { name } = dependency;
      if (this.#asking.has(name)) {
        this.#problems.set(name, `${name}: no answer`);
        continue;
      }
      this.#asking.add(name);
      dependency.ping().then(
        () => {
          this.#asking.delete(name);
          this.#problems.delete(name);
        },
        (error: unknown) => {
          this.#asking.delete(name);
          this.#problems.set(name, `${name}: ${GochatError.from(error).code}`);
        },
      );
    }
  }
}
