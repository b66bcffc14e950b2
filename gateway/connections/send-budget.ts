/** What an account may send by all of its connections to a worker: frames and bytes a second, each a token bucket. */
import { FrameType } from '../../proto/mod.ts';
import {
  type GatewayLimits,
  LOGINS_PER_SECOND,
  SEND_BURST_SHARE,
  TYPING_PER_SECOND,
  WHEEL_TICK_MS,
} from '../limits.ts';

/** So many units are a frame or a byte; with it a tick's refill is a whole number. */
const UNITS = 1000 / WHEEL_TICK_MS;
/** Of a rate a second so many units are there at most. */
const FULL = UNITS * SEND_BURST_SHARE;

/** An account, as long as it has connections here or owes something. */
export interface Budget {
  readonly user: bigint;
  connections: number;
  /** What it may still send as of the tick `refilled`; below 0 it owes. */
  frameUnits: number;
  byteUnits: number;
  refilled: number;
}

/**
 * Charges accounts on the deadlines' coarse clock: per frame a few operations. Each may send at once what the rate allows
 * in a part of a second. The last frame before that is used up may take more than what is left: that is owed.
 */
export class SendBudgets {
  readonly #limits: Pick<GatewayLimits, 'framesPerSecond' | 'bytesPerSecond'>;
  /** The coarse clock, in WHEEL_TICK_MS. */
  readonly #tick: () => number;
  readonly #accounts = new Map<bigint, Budget>();
  /** Accounts without a connection, in the order in which the last one ended: they are kept until they owe nothing. */
  readonly #gone = new Set<Budget>();

  constructor(limits: Pick<GatewayLimits, 'framesPerSecond' | 'bytesPerSecond'>, tick: () => number) {
    this.#limits = limits;
    this.#tick = tick;
  }

  /** Accounts that are remembered. */
  get size(): number {
    return this.#accounts.size;
  }

  /** Counts a connection in and returns the budget that it shares; `leave` is owed. */
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

  /** Whether the account has something left. */
  hasRoom(budget: Budget): boolean {
    this.#refill(budget);
    return budget.frameUnits > 0 && budget.byteUnits > 0;
  }

  /** Whether the account owes less than a second's worth. */
  owesLittle({ frameUnits, byteUnits }: Budget): boolean {
    const { framesPerSecond, bytesPerSecond } = this.#limits;
    return frameUnits > -framesPerSecond * UNITS && byteUnits > -bytesPerSecond * UNITS;
  }

  /** Charges a frame, whatever is left. @param bytes what it came as */
  chargeFrame(budget: Budget, type: number, bytes: number): void {
    const { framesPerSecond } = this.#limits;
    budget.frameUnits -=
      type === FrameType.TYPING
        ? Math.max(UNITS, Math.ceil((framesPerSecond * UNITS) / TYPING_PER_SECOND))
        : UNITS;
    budget.byteUnits -= bytes * UNITS;
  }

  /** Charges a login, whatever is left. */
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
