/** The downlink: the interface of a state node's parts to the connections of one gateway stream. */
import type { CodeWithDetails, ErrorCode } from '../../common/mod.ts';

/** Refusal of one frame. */
export type Refusal = CodeWithDetails & {
  readonly conn: number;
  readonly ref: number;
  readonly key: bigint;
  readonly retryAfterMs?: number;
  readonly clientMsgId?: string;
};

/** Connections of one stream that are pushed to together. */
export interface Target {
  readonly link: Downlink;
  readonly conns: readonly number[];
  /** Head of a DELIVER record to all of them. */
  readonly head: Uint8Array;
  /** Whether the object is reused while its connections stay the same, so that a topic pays off. */
  readonly kept: boolean;
  /** Topic that the link assigned last; it may belong to another target by now. */
  topic: number;
}

/**
 * The downlink of one gateway stream.
 *
 * No call throws or waits. A message push may be skipped while the stream is full: its connections are marked and told
 * to resynchronise later. Answers are never skipped: a stream that cannot take one is ended, and the worker makes all
 * its connections resynchronise.
 */
export interface Downlink {
  /** Gateway name and worker number, for people. */
  readonly peerName: string;
  /** Number of the stream in the location map. */
  readonly index: number;
  /** Whether the stream has ended: nothing sent to it arrives. */
  readonly ended: boolean;
  /** Returns whether the connection is attached. */
  isAttached(conn: number): boolean;
  /** Newest round of a connection in which a send was refused; see Fences. */
  readonly fences: Map<number, number>;
  /**
   * Pushes a frame to the connections of a target of this link, except one. Returns false if it is skipped because the
   * stream is full: the connections are marked.
   *
   * @param except a connection, or NO_CONNECTION
   */
  push(target: Target, frame: Uint8Array, except: number): boolean;
  /** Pushes an ephemeral frame; drops it without a mark if the stream is busy. */
  pushEphemeral(target: Target, frame: Uint8Array, except: number): void;
  /** Sends a complete DELIVER record: an answer to one connection. */
  answer(record: Uint8Array): void;
  refuse(refusal: Refusal): void;
  /** Ends a connection with a code. @param reason for people; shown only with codes that have one */
  kick(conn: number, code: ErrorCode, reason?: string): void;
  /** Tells the worker to fence these connections and make them resynchronise. */
  fence(conns: Iterable<number>): void;
}
