/** WATCH of clients: tells every state node what its connections watch, then asks the user's node for the state of it. */
import type { CodeWithDetails } from '../../common/mod.ts';
import {
  client,
  encodeWatch,
  frameRef,
  MAX_WATCHED_CONVERSATIONS,
  MAX_WATCHED_USERS,
  NO_WATCH,
} from '../../proto/mod.ts';
import { SendResult } from '../../crpc/mod.ts';
import type { Connection } from '../connections/connection.ts';
import { type PendingWatch, toWatchRecord, type Watch, type Watched } from '../connections/watch.ts';
import { WATCH_BURST, WATCHES_PER_SECOND, WHEEL_TICK_MS } from '../limits.ts';
import { decodePayload } from '../wire/payload.ts';
import type { StateLink } from './state-link.ts';
import type { Uplink } from './uplink.ts';

const RETRY_MS = 1000 / WATCHES_PER_SECOND;

export interface WatchesContext {
  readonly uplink: Pick<Uplink, 'nodeOfUser' | 'tellWatch'>;
  /** The coarse clock, in units of WHEEL_TICK_MS. */
  readonly tick: () => number;
  refuse(connection: Connection, ref: number, said: CodeWithDetails, retryAfterMs?: number): void;
}

/**
 * All nodes know a watch before its state is read: a change is in that state, or is pushed by a node that knows the watch
 * already. A connection has one WATCH under way at a time.
 */
export class Watches {
  readonly #context: WatchesContext;
  /** Connections with a WATCH under way. */
  readonly #pending = new Set<Connection>();

  constructor(context: WatchesContext) {
    this.#context = context;
  }

  /** A client's WATCH. */
  onWatch(connection: Connection, frame: Uint8Array): void {
    const ref = frameRef(frame);
    const payload = decodePayload(client.Watch, frame);
    const refuse = (said: CodeWithDetails, retryAfterMs?: number) =>
      this.#context.refuse(connection, ref, said, retryAfterMs);
    if (payload === undefined) return refuse({ code: 'FRAME_INVALID' });
    const { conversations, users, idle } = payload;
    if (conversations.length > MAX_WATCHED_CONVERSATIONS || users.length > MAX_WATCHED_USERS)
      return refuse({
        code: 'WATCH_TOO_LARGE',
        details: { conversations: MAX_WATCHED_CONVERSATIONS, users: MAX_WATCHED_USERS },
      });
    const watch = (connection.watch ??= newWatch(this.#context.tick()));
    if (watch.pending !== undefined || !this.#takeToken(watch))
      return refuse({ code: 'RATE_LIMITED' }, RETRY_MS);
    const home = this.#context.uplink.nodeOfUser(connection.user);
    if (home === undefined) return refuse({ code: 'STATE_UNAVAILABLE' });
    if (!home.knowsWatch) return refuse({ code: 'FRAME_UNKNOWN', details: { type: frame[4] as number } });
    const pending: PendingWatch = {
      conversations: distinct(conversations),
      users: distinct(users),
      idle,
      ref,
      number: ++watch.number,
      awaited: new Set(),
      asked: undefined,
    };
    watch.pending = pending;
    this.#pending.add(connection);
    if (!watch.isTold || watch.home !== home || !isSame(watch.accepted, pending)) {
      watch.isTold = false;
      const record = encodeWatch(toWatchRecord(connection.conn, pending));
      for (const link of this.#context.uplink.tellWatch(record, home)) pending.awaited.add(link);
    }
    this.#proceed(connection, pending);
  }

  /** A node knows a watch. */
  onWatching(link: StateLink, connection: Connection | undefined, number: number): void {
    const pending = connection?.watch?.pending;
    if (connection === undefined || pending?.number !== number) return;
    pending.awaited.delete(link);
    this.#proceed(connection, pending);
  }

  /** The user's node has answered the client. */
  onResult(connection: Connection | undefined, number: number, accepted: boolean): void {
    const watch = connection?.watch;
    const pending = watch?.pending;
    if (connection === undefined || watch === undefined || pending?.number !== number) return;
    watch.pending = undefined;
    this.#pending.delete(connection);
    if (accepted) {
      const { conversations, idle } = pending;
      watch.accepted = { conversations, idle };
      watch.isTold = true;
      watch.home = pending.asked;
    } else if (!watch.isTold) {
      // The nodes that were told go back to what is accepted. The user's node has not changed anything.
      const record = encodeWatch(toWatchRecord(connection.conn, { ...watch.accepted, number: 0, ref: 0 }));
      this.#context.uplink.tellWatch(record, pending.asked);
      watch.isTold = true;
    }
  }

  /** A node's stream has ended: it confirms nothing, and answers nobody. */
  onLinkEnded(link: StateLink): void {
    for (const connection of this.#pending) {
      const pending = connection.watch?.pending;
      if (pending === undefined) continue;
      if (pending.asked === link) this.#drop(connection);
      else if (pending.awaited.delete(link)) this.#proceed(connection, pending);
    }
  }

  onGone(connection: Connection): void {
    this.#pending.delete(connection);
  }

  /** Asks the user's node once all others know the watch. */
  #proceed(connection: Connection, pending: PendingWatch): void {
    if (pending.awaited.size > 0 || pending.asked !== undefined) return;
    const home = this.#context.uplink.nodeOfUser(connection.user);
    const record = { ...toWatchRecord(connection.conn, pending), isHome: true, users: pending.users };
    if (home?.knowsWatch === true && home.send(encodeWatch(record)) !== SendResult.CLOSED) {
      pending.asked = home;
      return;
    }
    this.#drop(connection);
    this.#context.refuse(connection, pending.ref, { code: 'OVERLOADED' }, RETRY_MS);
  }

  /** Its client gets RESYNC, or a refusal, and sends WATCH again. */
  #drop(connection: Connection): void {
    this.#pending.delete(connection);
    if (connection.watch !== undefined) connection.watch.pending = undefined;
  }

  #takeToken(watch: Watch): boolean {
    const tick = this.#context.tick();
    const refill = ((tick - watch.refilled) * WHEEL_TICK_MS * WATCHES_PER_SECOND) / 1000;
    watch.tokens = Math.min(WATCH_BURST, watch.tokens + refill);
    watch.refilled = tick;
    if (watch.tokens < 1) return false;
    watch.tokens--;
    return true;
  }
}

function newWatch(tick: number): Watch {
  return {
    accepted: { conversations: NO_WATCH, idle: false },
    isTold: true,
    home: undefined,
    pending: undefined,
    number: 0,
    tokens: WATCH_BURST,
    refilled: tick,
  };
}

function distinct(ids: readonly bigint[]): BigUint64Array {
  return BigUint64Array.from(new Set(ids)).sort();
}

function isSame(a: Omit<Watched, 'users'>, b: Omit<Watched, 'users'>): boolean {
  return (
    a.idle === b.idle &&
    a.conversations.length === b.conversations.length &&
    a.conversations.every((id, at) => id === b.conversations[at])
  );
}
