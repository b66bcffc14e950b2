/** In-flight credit: clients sent to a gateway that no report of it shows yet. */

/**
 * How long a client may take to show up in a report: the report's age (5 s), the connection and its retries.
 * Who has not come by then does not come. s.
 */
export const CREDIT_TTL_S = 15;
const SLOTS = CREDIT_TTL_S + 1;

/** What happened to the clients of a credit lately. */
export interface Outcome {
  /** Arrived, as far as the reports show. */
  readonly arrived: number;
  /** Did not arrive within CREDIT_TTL_S. */
  readonly lost: number;
}

/** Half-life of the outcome: some minutes of a black hole are forgiven within minutes. s. */
const OUTCOME_HALF_LIFE_S = 30;
const OUTCOME_KEEP = 0.5 ** (1 / OUTCOME_HALF_LIFE_S);

/**
 * Counts placements by the second and takes the oldest off as reports show arrivals. So the credit is exact whatever
 * the age of the reports is, and needs no clock of the gateway.
 */
export class Credit implements Outcome {
  readonly #slots = new Float64Array(SLOTS);
  #second: number;
  #amount = 0;
  #arrived = 0;
  #lost = 0;

  /** @param second of any clock that only grows */
  constructor(second: number) {
    this.#second = second;
  }

  /** Clients on their way. */
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

  /** Takes off clients that a report shows, the longest expected first. */
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

  /** Moves the clock on; who is overdue counts as lost. */
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

  /** Moves the clock on without counting anyone as lost: while no report can come, nobody can be missed. */
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
