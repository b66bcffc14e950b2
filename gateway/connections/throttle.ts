/** Connections whose account has sent too much: they are not read, and what came of them already waits for its turn. */
import { type Connection, Phase } from './connection.ts';
import { HeldFrames } from './held-frames.ts';
import type { Budget } from './send-budget.ts';

/** Turns come in small portions: what waits is not to arrive at state all at once whenever the budgets are filled. */
const LOOK_MS = 20;

export interface ThrottleContext {
  /** Turns of an account a second. */
  turnsPerSecond(): number;
  /** A connection is held back from now on. */
  onHeld(connection: Connection): void;
  /** Whether the account has something left. */
  hasRoom(budget: Budget): boolean;
  /** Whether the account owes less than a second's worth. */
  owesLittle(budget: Budget): boolean;
  /** Whether the way up is full: nothing may be passed on. */
  isCongested(): boolean;
  /** The turn of a frame has come; it is to be charged. @param bytes what it came as */
  onFrame(connection: Connection, frame: Uint8Array, bytes: number): void;
  /** The turn of a login has come; it is to be charged. */
  onLogin(connection: Connection): void;
  /** Nothing of it waits any more: it is to be read again. */
  onReleased(connection: Connection): void;
}

/**
 * Holds back what is over the budget of its account instead of refusing it. A refusal costs more than the frame, and it
 * would be sent again; a client that is not read stops by itself once its socket is full.
 *
 * The frames of a connection keep their order. Its own socket holds the rest, so that a connection has no more here than
 * one read brings. Connections of one account take turns, frame by frame: one that floods does not silence the others.
 */
export class Throttle {
  readonly #context: ThrottleContext;
  /** In the order of their turns. */
  readonly #waiting = new Map<Budget, Connection[]>();
  #timer: NodeJS.Timeout | undefined;

  constructor(context: ThrottleContext) {
    this.#context = context;
  }

  /** Holds a connection back: its frame, its login where it is not live, or just what it sends from now on. */
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

  /** The client has ended its half: what is held of it goes on at once, as far as its account may owe it. */
  onEnd(connection: Connection): void {
    // A goodbye among the frames ends the connection.
    while (connection.held?.isEmpty === false && this.#context.owesLittle(connection.budget as Budget)) {
      const { frame, bytes } = connection.held.shift();
      this.#context.onFrame(connection, frame, bytes);
    }
  }

  /** Gives turns to those whose accounts have something again; the timer does it. */
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
        // It has ended.
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
      // It may have ended with that frame.
      if (connection.held === undefined) continue;
      if (held.isEmpty && context.hasRoom(budget)) {
        connection.held = undefined;
        context.onReleased(connection);
      } else queue.push(connection);
    }
  }
}
