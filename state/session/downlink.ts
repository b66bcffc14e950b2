/** What the parts of a state node may do with the connections of one gateway stream. */
import type { CodeWithDetails, ErrorCode } from '../../common/mod.ts';

/** Answer to one frame that is refused. */
export type Refusal = CodeWithDetails & {
  readonly conn: number;
  readonly ref: number;
  readonly key: bigint;
  readonly retryAfterMs?: number;
  readonly clientMsgId?: string;
};

/** Connections on one stream that are pushed to together. */
export interface Target {
  readonly link: Downlink;
  readonly conns: readonly number[];
  /** Head of a DELIVER to all of them. */
  readonly head: Uint8Array;
  /** More is pushed to the same object as long as these are the connections: it may have a topic. */
  readonly kept: boolean;
  /** The topic that the link gave it last; another target may have it by now. */
  topic: number;
}

/**
 * The way down one gateway stream.
 *
 * None of the calls throws or waits. A message push may be skipped when the worker is behind: its connections are
 * marked and told to resynchronise once it has caught up. Answers are never skipped: a stream that cannot take one is
 * ended, upon which the worker makes all its connections resynchronise.
 */
export interface Downlink {
  /** Name of the gateway and number of its worker, for people. */
  readonly peerName: string;
  /** Number of the stream in the location map. */
  readonly index: number;
  /** Set once the stream has ended: nothing sent to it arrives. */
  readonly ended: boolean;
  /** Returns whether the worker still holds a connection. */
  isAttached(conn: number): boolean;
  /** Newest round of a connection in which a send was refused; see Fences. */
  readonly fences: Map<number, number>;
  /**
   * Pushes a frame to the connections of a target of this link, save one of them. Returns false where it is left out, as
   * the worker is behind: the connections are marked. @param except NO_CONNECTION: to all
   */
  push(target: Target, frame: Uint8Array, except: number): boolean;
  /** Pushes like `push` where the worker keeps up, else leaves it out without a mark. */
  pushEphemeral(target: Target, frame: Uint8Array, except: number): void;
  /** Sends a whole DELIVER record: an answer to one connection. */
  answer(record: Uint8Array): void;
  refuse(refusal: Refusal): void;
  /** Ends a connection with a code. @param reason for people; where the code has none, it is not shown */
  kick(conn: number, code: ErrorCode, reason?: string): void;
  /** Tells the worker to fence these connections and to make them resynchronise. */
  fence(conns: Iterable<number>): void;
}
