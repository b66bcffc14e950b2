/** Credit: clients sent to a gateway that its reports do not show yet. */

/**
 * Time in which a client must show in a report: the report's age (5 s), the connection and its retries. Later ones
 * count as lost. s.
 */
export const CREDIT_TTL_S = 15;
const SLOTS = CREDIT_TTL_S + 1;

/** What became of recent clients. */
export interface Outcome {
  /** Clients that have arrived, according to the reports. */
  readonly arrived: number;
  /** Clients that did not arrive within CREDIT_TTL_S. */
  readonly lost: number;
}

/** Half-life of the outcome: a few minutes of loss are forgiven within minutes. s. */
const OUTCOME_HALF_LIFE_S = 30;
const OUTCOME_KEEP = 0.5 ** (1 / OUTCOME_HALF_LIFE_S);

/**
 * Counts placements per second and deducts the oldest as reports show arrivals. So the credit is exact whatever the age
 * of the reports, and needs no clock of the gateway.
 */
export class Credit implements Outcome {
  readonly #slots = new Float64Array(SLOTS);
  #second: number;
  #amount = 0;
  #arrived = 0;
  #lost = 0;

  /** @param second of a monotonic clock */
  constructor(second: number) {
    this.#second = second;
  }

  /** Number of clients on their way. */
  get amount(): number {
    return this.#amount;
  }

  get arrived(): number {
    return this.#arrived;
  }

  get lost(): number {
    return this.#lost;
  }

  /** Counts clients just sent there. */
  place(clients: number): void {
    const slot = this.#second % SLOTS;
    this.#slots[slot] = (this.#slots[slot] as number) + clients;
    this.#amount += clients;
  }

  /** Deducts arrived clients, the oldest first. */
  arrive(clients: number): void {
    let left = Math.min(clients, this.#amount);
    if (left <= 0) return;
    this.#arrived += left;
    this.#amount -= left;
    for (let age = SLOTS - 1; age >= 0 && left > 0; age--) {
      const slot = (this.#second + SLOTS - age) % SLOTS;
      const taken = Math.min(left, this.#slots[slot] as number);
      this.#slots[slot] = (this.#slots[slot] as number) - taken;
      left -= taken;
    }
  }

  /** Advances the clock; overdue clients count as lost. */
  advance(second: number): void {
    const steps = Math.min(second - this.#second, SLOTS);
    for (let step = 1; step <= steps; step++) {
      const slot = (this.#second + step) % SLOTS;
      const overdue = this.#slots[slot] as number;
      this.#slots[slot] = 0;
      this.#amount = Math.max(0, this.#amount - overdue);
      this.#arrived *= OUTCOME_KEEP;
      this.#lost = this.#lost * OUTCOME_KEEP + overdue;
    }
    if (steps > 0) this.#second = second;
  }

  /** Advances the clock without losses: while no report can come, no client can be missed. */
  hold(second: number): void {
    const steps = second - this.#second;
    if (steps <= 0) return;
    let kept = 0;
    for (let age = 0; age < SLOTS; age++) kept += this.#slots[age] as number;
    this.#slots.fill(0);
    this.#slots[second % SLOTS] = kept;
    this.#second = second;
  }
}
