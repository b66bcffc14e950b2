/** Throttling of accounts over their send budget: their connections are not read, and frames already read are queued. */
import { type Connection, Phase } from './connection.ts';
import { HeldFrames } from './held-frames.ts';
import type { Budget } from './send-budget.ts';

/** Interval of the turns. It is short, so that queued frames do not reach state in bursts. */
const LOOK_MS = 20;
/** Bytes that all accounts together may forward, or have read again, per interval: more would stall the worker, then state. */
const LOOK_BYTES = 256 * 1024;
/** Larger frames count against LOOK_BYTES even if they need not wait: syncs with thousands of cursors. */
const LARGE_BYTES = 64 * 1024;

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
 * Connections of one account take turns frame by frame, so one that floods does not silence the others. Accounts take
 * turns where together they bring more than LOOK_BYTES.
 */
export class Throttle {
  readonly #context: ThrottleContext;
  /** Accounts and the connections of each, in the order of their turns. */
  readonly #waiting = new Map<Budget, Connection[]>();
  /** What is left of LOOK_BYTES; below 0 it is taken from the next interval. */
  #left = LOOK_BYTES;
  #timer: NodeJS.Timeout | undefined;

  constructor(context: ThrottleContext) {
    this.#context = context;
  }

  /** Whether a frame of an account with budget left may be forwarded at once; false: it is not its turn. */
  mayPass(budget: Budget, bytes: number): boolean {
    if (this.#waiting.size > 0 && this.#waiting.has(budget)) return false;
    if (bytes <= LARGE_BYTES) return true;
    if (this.#left <= 0) return false;
    this.#left -= bytes;
    this.#start();
    return true;
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
      this.#start();
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
    this.#left = Math.min(this.#left + LOOK_BYTES, LOOK_BYTES);
    let accounts = this.#waiting.size;
    for (const [budget, queue] of this.#waiting) {
      if (accounts-- === 0 || this.#left <= 0) break;
      this.#serve(budget, queue);
      this.#waiting.delete(budget);
      if (queue.length > 0) this.#waiting.set(budget, queue);
    }
    if (this.#waiting.size === 0 && this.#left === LOOK_BYTES) this.stop();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #start(): void {
    this.#timer ??= setInterval(() => this.look(), LOOK_MS);
  }

  #serve(budget: Budget, queue: Connection[]): void {
    const context = this.#context;
    let turns = Math.ceil((context.turnsPerSecond() * LOOK_MS) / 1000);
    while (queue.length > 0 && turns > 0 && this.#left > 0) {
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
        this.#left -= bytes;
        context.onFrame(connection, frame, bytes);
      }
      // That frame may have ended the connection.
      if (connection.held === undefined) continue;
      if (held.isEmpty && context.hasRoom(budget)) {
        const unread = connection.socket.readableLength;
        this.#left -= unread;
        connection.held = undefined;
        context.onReleased(connection);
        // What it brings now must find the budget not used up by another one.
        if (unread > 0) return;
      } else queue.push(connection);
    }
  }
}
