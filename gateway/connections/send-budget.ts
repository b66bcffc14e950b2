/** Send budgets of accounts in a worker: frames and bytes per second over all connections, each a token bucket. */
import { FrameType } from '../../proto/mod.ts';
import {
  type GatewayLimits,
  LOGINS_PER_SECOND,
  SEND_BURST_SHARE,
  TYPING_PER_SECOND,
  WHEEL_TICK_MS,
} from '../limits.ts';

/** Budget units per frame or byte, chosen so that a tick's refill is a whole number. */
const UNITS = 1000 / WHEEL_TICK_MS;
/** Capacity in units, per unit of rate per second. */
const FULL = UNITS * SEND_BURST_SHARE;

/** The budget of an account, kept while the account has connections here or is overdrawn. */
export interface Budget {
  readonly user: bigint;
  connections: number;
  /** Units left as of the tick `refilled`; below 0 the account is overdrawn. */
  frameUnits: number;
  byteUnits: number;
  refilled: number;
}

/**
 * Charges accounts on the coarse clock of the deadlines; a frame costs a few operations. The burst is SEND_BURST_SHARE of
 * a second's rate. The last frame that is accepted may overdraw the budget.
 */
export class SendBudgets {
  readonly #limits: Pick<GatewayLimits, 'framesPerSecond' | 'bytesPerSecond'>;
  /** Coarse clock, in units of WHEEL_TICK_MS. */
  readonly #tick: () => number;
  readonly #accounts = new Map<bigint, Budget>();
  /** Overdrawn accounts without a connection, in the order in which the last one ended. */
  readonly #gone = new Set<Budget>();

  constructor(limits: Pick<GatewayLimits, 'framesPerSecond' | 'bytesPerSecond'>, tick: () => number) {
    this.#limits = limits;
    this.#tick = tick;
  }

  /** Number of accounts. */
  get size(): number {
    return this.#accounts.size;
  }

  /** Counts a connection and returns its account's budget; `leave` must follow. */
  enter(user: bigint): Budget {
    let budget = this.#accounts.get(user);
    if (budget === undefined) {
      const { framesPerSecond, bytesPerSecond } = this.#limits;
      budget = {
        user,
        connections: 0,
        frameUnits: framesPerSecond * FULL,
        byteUnits: bytesPerSecond * FULL,
        refilled: this.#tick(),
      };
      this.#accounts.set(user, budget);
    }
    if (budget.connections++ === 0) this.#gone.delete(budget);
    return budget;
  }

  /** A connection of the account has ended. */
  leave(budget: Budget): void {
    if (--budget.connections === 0) this.#gone.add(budget);
    for (const gone of this.#gone) {
      if (!this.#isFull(gone)) return;
      this.#gone.delete(gone);
      this.#accounts.delete(gone.user);
    }
  }

  /** Returns whether the budget is not used up. */
  hasRoom(budget: Budget): boolean {
    this.#refill(budget);
    return budget.frameUnits > 0 && budget.byteUnits > 0;
  }

  /** Returns whether the account is overdrawn by less than one second's rate. */
  owesLittle({ frameUnits, byteUnits }: Budget): boolean {
    const { framesPerSecond, bytesPerSecond } = this.#limits;
    return frameUnits > -framesPerSecond * UNITS && byteUnits > -bytesPerSecond * UNITS;
  }

  /** Charges a frame in any case. @param bytes its size on the wire */
  chargeFrame(budget: Budget, type: number, bytes: number): void {
    const { framesPerSecond } = this.#limits;
    budget.frameUnits -=
      type === FrameType.TYPING
        ? Math.max(UNITS, Math.ceil((framesPerSecond * UNITS) / TYPING_PER_SECOND))
        : UNITS;
    budget.byteUnits -= bytes * UNITS;
  }

  /** Charges a login in any case. */
  chargeLogin(budget: Budget): void {
    budget.frameUnits -= Math.ceil((this.#limits.framesPerSecond * UNITS) / LOGINS_PER_SECOND);
  }

  #isFull(budget: Budget): boolean {
    this.#refill(budget);
    const { framesPerSecond, bytesPerSecond } = this.#limits;
    return budget.frameUnits >= framesPerSecond * FULL && budget.byteUnits >= bytesPerSecond * FULL;
  }

  #refill(budget: Budget): void {
    const tick = this.#tick();
    const ticks = tick - budget.refilled;
    if (ticks === 0) return;
    const { framesPerSecond, bytesPerSecond } = this.#limits;
    budget.frameUnits = Math.min(framesPerSecond * FULL, budget.frameUnits + ticks * framesPerSecond);
    budget.byteUnits = Math.min(bytesPerSecond * FULL, budget.byteUnits + ticks * bytesPerSecond);
    budget.refilled = tick;
  }
}
