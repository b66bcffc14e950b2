/** Admission control of a worker: limits per address and per account, and the count of refusals. */
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
  readonly #explainedRefusals = new TokenBucket(
    { perSecond: REFUSALS_EXPLAINED_PER_SECOND, burst: REFUSALS_EXPLAINED_PER_SECOND },
    performance.now(),
  );

  /** @param tick coarse clock, in units of WHEEL_TICK_MS */
  constructor(limits: GatewayLimits, stats: WorkerStats, tick: () => number) {
    this.#addresses = new AddressLimits(limits);
    this.#budgets = new SendBudgets(limits, tick);
    this.#stats = stats;
  }

  /** Counts a socket; see TransportEvents.onSocket. */
  enter(address: string): Origin | undefined | Refusal {
    const origin = this.#addresses.enter(address);
    if (typeof origin === 'string') this.count(origin);
    return origin;
  }

  leave(origin: Origin | undefined): void {
    this.#addresses.leave(origin);
  }

  /** Returns whether a refused client may be told why: answers to a flood would add to it. */
  mayExplain(): boolean {
    return this.#explainedRefusals.take(performance.now());
  }

  /** Returns whether the tokens of other addresses are checked before that of a connection. */
  failsOften(connection: Connection): boolean {
    return this.#addresses.failsOften(connection.origin);
  }

  onLoginFailed(connection: Connection): void {
    this.#addresses.onLoginFailed(connection.origin);
  }

  /** The connection is authenticated and shares the budget of its account from now on. */
  enterAccount(connection: Connection): void {
    connection.budget = this.#budgets.enter(connection.user);
  }

  leaveAccount(connection: Connection): void {
    if (connection.budget) this.#budgets.leave(connection.budget);
    connection.budget = undefined;
  }

  /** Returns whether the account's budget is not used up. */
  hasRoom(budget: Budget): boolean {
    return this.#budgets.hasRoom(budget);
  }

  /** Returns whether the account is overdrawn by less than one second's rate. */
  owesLittle(budget: Budget): boolean {
    return this.#budgets.owesLittle(budget);
  }

  /** Charges a frame in any case. Returns whether the budget was not used up before. */
  charge({ budget }: Connection, type: number, bytes: number): boolean {
    // Before authentication the transport bounds what a client may send in all.
    if (budget === undefined) return true;
    const had = this.#budgets.hasRoom(budget);
    this.#budgets.chargeFrame(budget, type, bytes);
    return had;
  }

  /** Charges a login if the budget is not used up; else returns false. */
  takeLogin(connection: Connection): boolean {
    const budget = connection.budget as Budget;
    const may = this.#budgets.hasRoom(budget);
    if (may) this.#budgets.chargeLogin(budget);
    return may;
  }

  /** Charges a login in any case. */
  chargeLogin({ budget }: Connection): void {
    if (budget !== undefined) this.#budgets.chargeLogin(budget);
  }

  /** Counts a refusal by a limit. */
  count(limit: Refusal): void {
    this.#stats.refusals[limit] = (this.#stats.refusals[limit] ?? 0) + 1;
  }
}
