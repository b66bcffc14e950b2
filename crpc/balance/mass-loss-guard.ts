/** The mass-loss guard: when most endpoints vanish at once, the registry is the likelier fault, so they are kept. */
import type { Endpoint } from '../registry/registry.ts';

const MIN_ENDPOINTS = 4;
/** Losses within this time count as one event. */
const WINDOW_MS = 2000;

export interface MassLossGuardOptions {
  /** Time for which a mass loss is held back, ms. */
  readonly graceMs: number;
  /** Called when endpoints are held back, with their number and the total. */
  onHold(held: number, of: number): void;
  /** The snapshot has changed without news from the registry: a hold has ended. */
  onRelease(released: number): void;
}

/**
 * Decides which endpoints are visible. New and changed ones are visible at once, and announced departures take effect
 * at once. A loss of more than half of at least four within two seconds, or any loss while the registry is in doubt (it
 * was away or has lost its history), is held back until the endpoints return or the grace period ends.
 */
export class MassLossGuard {
  readonly #options: MassLossGuardOptions;
  #truth = new Map<string, Endpoint>();
  /** Lost within the window: hidden, but restored if it turns out to be a mass loss. */
  readonly #recent = new Map<string, { endpoint: Endpoint; at: number }>();
  readonly #held = new Map<string, Endpoint>();
  #timer: NodeJS.Timeout | undefined;

  constructor(options: MassLossGuardOptions) {
    this.#options = options;
  }

  /** The visible endpoints; held ones first, so that a newer one at the same address wins. */
  get shown(): Endpoint[] {
    return [...this.#held.values(), ...this.#truth.values()];
  }

  /** Number of visible endpoints that the registry does not have. */
  get heldBack(): number {
    return this.#held.size;
  }

  /** Applies the registry's current state. @param left endpoints that announced their departure */
  update(truth: Map<string, Endpoint>, left: ReadonlySet<string>, isDoubtful: boolean): void {
    const now = performance.now();
    for (const [id, loss] of this.#recent) if (now - loss.at > WINDOW_MS) this.#recent.delete(id);
    for (const [id, endpoint] of this.#truth)
      if (!truth.has(id) && !left.has(id)) this.#recent.set(id, { endpoint, at: now });
    for (const id of [...truth.keys(), ...left]) {
      this.#recent.delete(id);
      this.#held.delete(id);
    }
    this.#truth = truth;
    this.#dropReplaced();
    const lost = this.#recent.size;
    const before = truth.size + lost;
    if (lost > 0 && (isDoubtful || (before >= MIN_ENDPOINTS && lost * 2 > before))) this.#hold(before);
    if (this.#held.size === 0) this.#stopTimer();
  }

  /** Applies a new report of an endpoint, the frequent case, without a check of the others. */
  renew(endpoint: Endpoint): void {
    this.#truth.set(endpoint.id, endpoint);
  }

  close(): void {
    this.#stopTimer();
  }

  #hold(before: number): void {
    for (const [id, { endpoint }] of this.#recent) this.#held.set(id, endpoint);
    this.#recent.clear();
    this.#dropReplaced();
    if (this.#held.size === 0) return;
    this.#options.onHold(this.#held.size, before);
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      const released = this.#held.size;
      this.#held.clear();
      this.#options.onRelease(released);
    }, this.#options.graceMs);
  }

  /** Drops the predecessor of a restarted process at the same address. */
  #dropReplaced(): void {
    if (this.#held.size === 0) return;
    const addresses = new Set([...this.#truth.values()].map(({ address }) => address));
    for (const [id, { address }] of this.#held) if (addresses.has(address)) this.#held.delete(id);
  }

  #stopTimer(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
