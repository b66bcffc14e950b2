/** What a connection watches, see route/watches.ts. */
import { encodeWatch, NO_WATCH, type WatchRecord } from '../../proto/mod.ts';
import type { StateLink } from '../route/state-link.ts';

/** What a connection watches. */
export interface Watched {
  readonly conversations: BigUint64Array;
  readonly users: BigUint64Array;
  readonly idle: boolean;
}

export interface PendingWatch extends Watched {
  readonly number: number;
  readonly ref: number;
  /** Nodes that are told and have not confirmed it. */
  readonly awaited: Set<StateLink>;
  /** The user's node, once it is asked. */
  asked: StateLink | undefined;
}

/** The watch of a connection. */
export interface Watch {
  /** The last one that was accepted, without its users. */
  accepted: Omit<Watched, 'users'>;
  /** Whether all nodes know that one. */
  isTold: boolean;
  /** The user's node that knows its users. */
  home: StateLink | undefined;
  pending: PendingWatch | undefined;
  number: number;
  /** Token bucket: WATCHes that may come, as of a tick. */
  tokens: number;
  refilled: number;
}

/** Returns the record of what a connection watches, for a stream that begins; undefined: nothing. */
export function watchSnapshot(conn: number, watch: Watch | undefined): Uint8Array | undefined {
  if (watch === undefined) return undefined;
  const { conversations, idle } = watch.pending ?? watch.accepted;
  if (conversations.length === 0 && !idle) return undefined;
  return encodeWatch(toWatchRecord(conn, { conversations, idle, number: 0, ref: 0 }));
}

/** Returns the record for nodes that are not the user's. */
export function toWatchRecord(
  conn: number,
  {
    conversations,
    idle,
    number,
    ref,
  }: Omit<Watched, 'users'> & { readonly number: number; readonly ref: number },
): WatchRecord {
  return { conn, number, ref, idle, isHome: false, conversations, users: NO_WATCH };
}
