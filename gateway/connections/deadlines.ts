/** Deadlines of connections: HELLO, login, an unfinished frame, the heartbeat, the access token, the end after CLOSE. */
import type { CodeWithDetails, PlainErrorCode } from '../../common/mod.ts';
import { type Connection, Phase } from './connection.ts';
import {
  ATTACH_TIMEOUT_MS,
  CLOCK_SKEW_MS,
  CLOSE_LINGER_MS,
  type GatewayLimits,
  HEARTBEAT_GRACE,
  LOGIN_TIMEOUT_MS,
  WHEEL_SLOTS,
  WHEEL_TICK_MS,
} from '../limits.ts';
import { TimingWheel } from './timing-wheel.ts';

/** Interval of the checks of a connection that is not being read, whose deadlines are suspended. */
const RELOOK_MS = 1000;

export interface DeadlinesContext {
  /** Whether clients are not being read: their heartbeats do not arrive then. */
  isCongested(): boolean;
  close(connection: Connection, said: PlainErrorCode | CodeWithDetails): void;
  /** ATTACH_TIMEOUT_MS has passed without ATTACHED. */
  onAttachOverdue(connection: Connection): void;
}

/** Watches all connections of a worker with one timer; a frame costs one assignment. */
export class Deadlines {
  readonly #limits: GatewayLimits;
  readonly #context: DeadlinesContext;
  readonly #wheel: TimingWheel<Connection>;

  constructor(limits: GatewayLimits, context: DeadlinesContext) {
    this.#limits = limits;
    this.#context = context;
    this.#wheel = new TimingWheel({
      tickMs: WHEEL_TICK_MS,
      slots: WHEEL_SLOTS,
      expire: (connection) => this.#expire(connection),
    });
  }

  start(): void {
    this.#wheel.start();
  }

  stop(): void {
    this.#wheel.stop();
  }

  /** Coarse clock, in units of WHEEL_TICK_MS. */
  get tick(): number {
    return this.#wheel.tick;
  }

  /** Advances the clock, for tests. */
  advance(ms: number): void {
    this.#wheel.advance(Math.ceil(ms / WHEEL_TICK_MS));
  }

  onAccept(connection: Connection): void {
    connection.seen = this.#wheel.tick;
    this.#wheel.schedule(connection, this.#limits.helloTimeoutMs);
  }

  /** A frame has arrived. */
  onFrame(connection: Connection): void {
    connection.seen = this.#wheel.tick;
    connection.partialSince = 0;
  }

  /** A frame has arrived in part. */
  onPartial(connection: Connection): void {
    if (connection.partialSince !== 0) return;
    connection.partialSince = this.#wheel.tick;
    // Before WELCOME the deadlines of HELLO and login are stricter.
    if (connection.phase === Phase.LIVE) this.#wheel.hasten(connection, this.#limits.frameTimeoutMs);
  }

  /** Reading has resumed; the heartbeat and the deadline of an unfinished frame start anew. */
  onResumed(connection: Connection): void {
    connection.seen = this.#wheel.tick;
    if (connection.partialSince !== 0) connection.partialSince = this.#wheel.tick;
  }

  /** State was asked for the session or the room. */
  onLogin(connection: Connection): void {
    this.#wheel.schedule(connection, LOGIN_TIMEOUT_MS);
  }

  /** ATTACH was sent to the state nodes. */
  onAttach(connection: Connection): void {
    this.#wheel.hasten(connection, ATTACH_TIMEOUT_MS);
  }

  /** The connection has an access token that expires after so many ms. */
  onToken(connection: Connection, expiresInMs: number): void {
    const leftMs = expiresInMs + CLOCK_SKEW_MS;
    connection.tokenDue = this.#wheel.tick + Math.ceil(leftMs / WHEEL_TICK_MS);
    if (connection.phase === Phase.LIVE) this.#wheel.hasten(connection, leftMs);
  }

  onLive(connection: Connection): void {
    this.#wheel.schedule(
      connection,
      Math.min(connection.heartbeatMs * HEARTBEAT_GRACE, this.#tokenLeftMs(connection)),
    );
    if (connection.partialSince !== 0) this.#wheel.hasten(connection, this.#limits.frameTimeoutMs);
  }

  /** CLOSE was sent. */
  onClosing(connection: Connection): void {
    this.#wheel.schedule(connection, CLOSE_LINGER_MS);
  }

  onClosed(connection: Connection): void {
    this.#wheel.cancel(connection);
  }

  /** Checks a connection that is due. Returns the time until the next check, ms; 0 for none. */
  #expire(connection: Connection): number {
    if (connection.phase >= Phase.CLOSING) {
      connection.transport.destroy(connection);
      return 0;
    }
    if (connection.phase === Phase.ATTACH) {
      this.#context.onAttachOverdue(connection);
      return 0;
    }
    if (connection.phase === Phase.LIVE && this.#tokenLeftMs(connection) === 0) {
      this.#context.close(connection, 'TOKEN_EXPIRED');
      return 0;
    }
    if (this.#context.isCongested() || connection.slowSince !== 0 || connection.held !== undefined)
      return RELOOK_MS;
    if (connection.phase === Phase.LIVE) return this.#expireLive(connection);
    const { helloTimeoutMs } = this.#limits;
    if (connection.phase === Phase.HELLO)
      this.#context.close(connection, { code: 'HELLO_TIMEOUT', details: { ms: helloTimeoutMs } });
    else this.#context.close(connection, 'STATE_UNAVAILABLE');
    return 0;
  }

  #expireLive(connection: Connection): number {
    const silenceMs = connection.heartbeatMs * HEARTBEAT_GRACE;
    const { frameTimeoutMs } = this.#limits;
    const partial = connection.partialSince !== 0;
    const silenceLeftMs = silenceMs - this.#wheel.since(connection.seen);
    const frameLeftMs = partial ? frameTimeoutMs - this.#wheel.since(connection.partialSince) : silenceLeftMs;
    if (frameLeftMs <= 0 && partial)
      this.#context.close(connection, { code: 'FRAME_TIMEOUT', details: { ms: frameTimeoutMs } });
    else if (silenceLeftMs <= 0)
      this.#context.close(connection, { code: 'HEARTBEAT_TIMEOUT', details: { ms: silenceMs } });
    else return Math.min(silenceLeftMs, frameLeftMs, this.#tokenLeftMs(connection));
    return 0;
  }

  #tokenLeftMs(connection: Connection): number {
    return Math.max(0, connection.tokenDue - this.#wheel.tick) * WHEEL_TICK_MS;
  }
}
