/** What one connection may send: frames and bytes a second, each a token bucket in one whole number of the connection. */
import type { Connection } from './connection.ts';
import { BURST_SECONDS, type GatewayLimits, WHEEL_TICK_MS } from './limits.ts';

/** So many units are a frame or a byte; with it a tick's refill is a whole number. */
const UNITS = 1000 / WHEEL_TICK_MS;

export const Verdict = {
  TAKE: 0,
  /** Over the budget: the frame is refused, and counts. */
  REFUSE: 1,
  /** Over it by a whole burst: the client does not heed refusals. */
  CLOSE: 2,
} as const;
export type Verdict = (typeof Verdict)[keyof typeof Verdict];

/** Charges frames on the deadlines' coarse clock: per frame a few whole-number operations. */
export class SendBudget {
  readonly #limits: Pick<GatewayLimits, 'framesPerSecond' | 'bytesPerSecond'>;

  constructor(limits: Pick<GatewayLimits, 'framesPerSecond' | 'bytesPerSecond'>) {
    this.#limits = limits;
  }

  /** Gives a new connection its burst. */
  open(connection: Connection, tick: number): void {
    connection.frameUnits = this.#limits.framesPerSecond * BURST_SECONDS * UNITS;
    connection.byteUnits = this.#limits.bytesPerSecond * BURST_SECONDS * UNITS;
    connection.refilled = tick;
  }

  /** Charges a frame. @param tick the coarse clock, in WHEEL_TICK_MS */
  charge(connection: Connection, bytes: number, tick: number): Verdict {
    if (connection.refilled !== tick) this.#refill(connection, tick);
    connection.frameUnits -= UNITS;
    connection.byteUnits -= bytes * UNITS;
    if (connection.frameUnits >= 0 && connection.byteUnits >= 0) return Verdict.TAKE;
    const { framesPerSecond, bytesPerSecond } = this.#limits;
    const overBy = BURST_SECONDS * UNITS;
    const isDeaf =
      connection.frameUnits < -framesPerSecond * overBy || connection.byteUnits < -bytesPerSecond * overBy;
    return isDeaf ? Verdict.CLOSE : Verdict.REFUSE;
  }

  /** Returns after how long the connection may send again, ms. */
  waitMs(connection: Connection): number {
    const { framesPerSecond, bytesPerSecond } = this.#limits;
    const ticks = Math.max(-connection.frameUnits / framesPerSecond, -connection.byteUnits / bytesPerSecond);
    return Math.max(WHEEL_TICK_MS, Math.ceil(ticks) * WHEEL_TICK_MS);
  }

  #refill(connection: Connection, tick: number): void {
    const ticks = tick - connection.refilled;
    const { framesPerSecond, bytesPerSecond } = this.#limits;
    const full = BURST_SECONDS * UNITS;
    connection.frameUnits = Math.min(framesPerSecond * full, connection.frameUnits + ticks * framesPerSecond);
    connection.byteUnits = Math.min(bytesPerSecond * full, connection.byteUnits + ticks * bytesPerSecond);
    connection.refilled = tick;
  }
}
