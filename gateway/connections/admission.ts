/** What clients may cost a worker, by address and by account, and the count of those that wanted more. */
import { TokenBucket } from '../../common/mod.ts';
import { AddressLimits, type Origin } from '../accept/address-limits.ts';
import type { Connection } from './connection.ts';
import { type GatewayLimits, REFUSALS_EXPLAINED_PER_SECOND } from '../limits.ts';
import { type Budget, SendBudgets } from './send-budget.ts';
import type { Refusal, WorkerStats } from '../supervisor/worker-stats.ts';

export class AdmissionControl {
  readonly #addresses: AddressLimits;
  readonly #budgets: SendBudgets;
  readonly #stats: WorkerStats;
  readonly #told = new TokenBucket(
    { perSecond: REFUSALS_EXPLAINED_PER_SECOND, burst: REFUSALS_EXPLAINED_PER_SECOND },
    performance.now(),
  );

  /** @param tick the coarse clock, in WHEEL_TICK_MS */
  constructor(limits: GatewayLimits, stats: WorkerStats, tick: () => number) {
    this.#addresses = new AddressLimits(limits);
    this.#budgets = new SendBudgets(limits, tick);
    this.#stats = stats;
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
  mayExplain(): boolean {
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

  /** It is known whose connection it is: it shares the budget of its account. */
  enterAccount(connection: Connection): void {
    connection.budget = this.#budgets.enter(connection.user);
  }

  leaveAccount(connection: Connection): void {
    if (connection.budget) this.#budgets.leave(connection.budget);
    connection.budget = undefined;
  }

  /** Whether the account has something left to send. */
  hasRoom(budget: Budget): boolean {
    return this.#budgets.hasRoom(budget);
  }

  /** Whether the account owes less than a second's worth. */
  owesLittle(budget: Budget): boolean {
    return this.#budgets.owesLittle(budget);
  }

  /** Charges a frame, if the account has something left; else returns false. */
  take(connection: Connection, type: number, bytes: number): boolean {
    const budget = connection.budget as Budget;
    const may = this.#budgets.hasRoom(budget);
    if (may) this.#budgets.chargeFrame(budget, type, bytes);
    return may;
  }

  /** Charges a frame in any case; returns whether the account had something left. */
  charge({ budget }: Connection, type: number, bytes: number): boolean {
    // Before it is known whose it is, there is a bound on what it sends in all.
    if (budget === undefined) return true;
    const had = this.#budgets.hasRoom(budget);
    this.#budgets.chargeFrame(budget, type, bytes);
    return had;
  }

  /** Charges a login, if the account has something left; else returns false. */
  takeLogin(connection: Connection): boolean {
    const budget = connection.budget as Budget;
    const may = this.#budgets.hasRoom(budget);
    if (may) this.#budgets.chargeLogin(budget);
    return may;
  }

  /** Counts that a limit was met. */
  count(limit: Refusal): void {
    this.#stats.refusals[limit] = (this.#stats.refusals[limit] ?? 0) + 1;
  }
}
