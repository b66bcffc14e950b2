/** What clients may cost a worker, by address and by connection, and the count of those that wanted more. */
import { AddressLimits, type Origin } from './address-limits.ts';
import type { Connection } from './connection.ts';
import { type GatewayLimits, REFUSALS_TOLD_PER_SECOND } from './limits.ts';
import { SendBudget, Verdict } from './send-budget.ts';
import { TokenBucket } from './token-bucket.ts';
import type { Refusal, WorkerStats } from './worker-stats.ts';

export class Guard {
  readonly #addresses: AddressLimits;
  readonly #budget: SendBudget;
  readonly #stats: WorkerStats;
  /** The coarse clock, in WHEEL_TICK_MS. */
  readonly #tick: () => number;
  readonly #told = new TokenBucket(
    { perSecond: REFUSALS_TOLD_PER_SECOND, burst: REFUSALS_TOLD_PER_SECOND },
    performance.now(),
  );

  constructor(limits: GatewayLimits, stats: WorkerStats, tick: () => number) {
    this.#addresses = new AddressLimits(limits);
    this.#budget = new SendBudget(limits);
    this.#stats = stats;
    this.#tick = tick;
  }

  /** Counts a socket in; see TransportEvents.onSocket. */
  enter(address: string): Origin | undefined | Refusal {
    const origin = this.#addresses.enter(address);
    if (typeof origin === 'string') this.count(origin);
    return origin;
  }

  leave(origin: Origin | undefined): void {
    this.#addresses.leave(origin);
  }

  /** Whether a client that is refused may be told: answers to a flood would only add to it. */
  mayTell(): boolean {
    return this.#told.take(performance.now());
  }

  /** Whether the token of a connection may be checked, which costs a signature. */
  mayLogIn(connection: Connection): boolean {
    const may = this.#addresses.mayLogIn(connection.origin);
    if (!may) this.count('address_logins');
    return may;
  }

  onLoginFailed(connection: Connection): void {
    this.#addresses.onLoginFailed(connection.origin);
  }

  /** Gives a new connection its budget. */
  open(connection: Connection): void {
    this.#budget.open(connection, this.#tick());
  }

  /** Charges a frame to the connection. */
  charge(connection: Connection, bytes: number): Verdict {
    const verdict = this.#budget.charge(connection, bytes, this.#tick());
    if (verdict !== Verdict.TAKE) this.count('connection_rate');
    return verdict;
  }

  /** Returns when a connection that is over its budget may send again, ms. */
  waitMs(connection: Connection): number {
    return this.#budget.waitMs(connection);
  }

  /** Counts that a limit was met. */
  count(limit: Refusal): void {
    this.#stats.refusals[limit] = (this.#stats.refusals[limit] ?? 0) + 1;
  }
}
