/** Throttling of accounts over their send budget: their connections are not read, and frames already read are queued. */
import { type Connection, Phase } from './connection.ts';
import { HeldFrames } from './held-frames.ts';
import type { Budget } from './send-budget.ts';

/** Interval of the turns. It is short, so that queued frames do not reach state in bursts. */
const LOOK_MS = 20;

export interface ThrottleContext {
  /** Turns of an account per second. */
  turnsPerSecond(): number;
  /** A connection is throttled from now on. */
  onHeld(connection: Connection): void;
  /** Whether the account's budget is not used up. */
  hasRoom(budget: Budget): boolean;
  /** Whether the account is overdrawn by less than one second's rate. */
  owesLittle(budget: Budget): boolean;
  /** Whether the uplink is congested: nothing may be forwarded. */
  isCongested(): boolean;
  /** It is a frame's turn; charge and handle it. @param bytes its size on the wire */
  onFrame(connection: Connection, frame: Uint8Array, bytes: number): void;
  /** It is a login's turn; charge and handle it. */
  onLogin(connection: Connection): void;
  /** The connection's queue is empty: resume reading. */
  onReleased(connection: Connection): void;
}

/**
 * Delays frames over the budget instead of refusing them. A refusal costs more than the frame, and the client would send
 * it again. A client that is not read stops by itself once its socket is full.
 *
 * The frames of a connection keep their order. A connection queues at most one read here; the rest stays in its socket.
 * Connections of one account take turns frame by frame, so one that floods does not silence the others.
 */
export class Throttle {
  readonly #context: ThrottleContext;
  /** In the order of their turns. */
  readonly #waiting = new Map<Budget, Connection[]>();
  #timer: NodeJS.Timeout | undefined;

  constructor(context: ThrottleContext) {
    this.#context = context;
  }

  /** Throttles a connection. Queues its frame, if given, or its login if it is not live. */
  hold(connection: Connection, frame?: Uint8Array, bytes = 0): void {
    if (connection.held === undefined) {
      connection.held = new HeldFrames();
      this.#context.onHeld(connection);
      const budget = connection.budget as Budget;
      const queue = this.#waiting.get(budget);
      if (queue === undefined) this.#waiting.set(budget, [connection]);
      else queue.push(connection);
      this.#timer ??= setInterval(() => this.look(), LOOK_MS);
    }
    if (frame !== undefined) connection.held.push(frame, bytes);
  }

  /** The client has ended its half: forwards its queue at once, up to the overdraft of its account. */
  onEnd(connection: Connection): void {
    // A CLOSE among the frames ends the connection.
    while (connection.held?.isEmpty === false && this.#context.owesLittle(connection.budget as Budget)) {
      const { frame, bytes } = connection.held.shift();
      this.#context.onFrame(connection, frame, bytes);
    }
  }

  /** Gives turns to the accounts whose budget has refilled; called by the timer. */
  look(): void {
    for (const [budget, queue] of this.#waiting) {
      this.#serve(budget, queue);
      if (queue.length === 0) this.#waiting.delete(budget);
    }
    if (this.#waiting.size === 0) this.stop();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #serve(budget: Budget, queue: Connection[]): void {
    const context = this.#context;
    let turns = Math.ceil((context.turnsPerSecond() * LOOK_MS) / 1000);
    while (queue.length > 0 && turns > 0) {
      const connection = queue[0] as Connection;
      const { held } = connection;
      if (held === undefined) {
        // The connection has ended.
        queue.shift();
        continue;
      }
      if (context.isCongested() || !context.hasRoom(budget)) return;
      queue.shift();
      turns--;
      if (connection.phase === Phase.TOKEN) {
        connection.held = undefined;
        context.onLogin(connection);
        continue;
      }
      if (!held.isEmpty) {
        const { frame, bytes } = held.shift();
        context.onFrame(connection, frame, bytes);
      }
      // That frame may have ended the connection.
      if (connection.held === undefined) continue;
      if (held.isEmpty && context.hasRoom(budget)) {
        connection.held = undefined;
        context.onReleased(connection);
      } else queue.push(connection);
    }
  }
}
