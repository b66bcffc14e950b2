/** The mass-loss guard: when most endpoints vanish at once, the registry is the likelier fault, so they are kept. */
import type { Endpoint } from '../registry/registry.ts';

const MIN_ENDPOINTS = 4;
/** Losses within this time count as one. */
const WINDOW_MS = 2000;

export interface MassLossGuardOptions {
  /** Time for which a mass loss is held back, ms. */
  readonly graceMs: number;
  /** Tells of a hold: how many are held back, and how many there were. */
  onHold(held: number, of: number): void;
  /** The snapshot has changed without news from the registry: a hold has ended. */
  onRelease(released: number): void;
}

/**
 * Decides which endpoints are shown. What comes or changes is shown at once, and so is a departure that the endpoint
 * itself announced. A loss of more than half of at least four within two seconds, or any loss while the registry is
 * in doubt (it was away, or has lost its history), is held back until the endpoints are there again or the grace
 * has passed.
 */
export class MassLossGuard {
  readonly #options: MassLossGuardOptions;
  #truth = new Map<string, Endpoint>();
  /** Lost within the window: not shown, but brought back should it turn out to be a mass loss. */
  readonly #recent = new Map<string, { endpoint: Endpoint; at: number }>();
  readonly #held = new Map<string, Endpoint>();
  #timer: NodeJS.Timeout | undefined;

  constructor(options: MassLossGuardOptions) {
    this.#options = options;
  }

  /** The endpoints to show; held ones first, so that a newer one at the same address wins. */
  get shown(): Endpoint[] {
    return [...this.#held.values(), ...this.#truth.values()];
  }

  /** Endpoints that the registry does not have and that are shown all the same. */
  get heldBack(): number {
    return this.#held.size;
  }

  /** Takes over what the registry says now; `left` are those that said themselves that they go. */
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

  /** Takes what an endpoint says anew of itself: the one thing that happens all the time, and no look at the others. */
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

  /** A process that restarted at the same address stands for the one before it. */
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
