/** The batch stream: ordered records over one bidi gRPC stream, coalesced per event-loop tick. */

/** What became of a record handed to `send`. */
export const SendResult = {
  /** Taken; it will be written with this tick's batch. */
  SUCCESS: 0,
  /** Taken, but the peer is behind: stop until onDrain. */
  BACKPRESSURE: 1,
  /** Not taken: the stream is not open, or its queue is full. */
  CLOSED: 2,
} as const;
export type SendResult = (typeof SendResult)[keyof typeof SendResult];

/** Why a stream ended. */
export type StreamEnd =
  /** The peer ended it in good order. */
  | 'peer-closed'
  /** The peer announced that it drains. */
  | 'peer-draining'
  /** The connection broke or the peer does not answer keepalives. */
  | 'lost'
  /** We closed it. */
  | 'closed';

/** One open stream; both sides hold one. */
export interface BatchStream {
  /** gRPC metadata of the peer's call (server side), for identification. */
  readonly peer: string;
  /**
   * Appends one record (its bytes are `record` and then `tail`, without a copy until the flush).
   * The caller must not change the bytes afterwards.
   */
  send(record: Uint8Array, tail?: Uint8Array): SendResult;
  /** Bytes queued and not yet taken by the transport. */
  readonly queuedBytes: number;
  /** Stops reading from the peer (and so, by flow control, its writing) until resume. */
  pause(): void;
  resume(): void;
  /** Flushes and ends the stream. */
  close(): void;
}

/** What a stream tells its user. Records of a batch are views on one buffer that is never reused. */
export interface BatchStreamHandler {
  /** The records of one batch, in order. */
  onRecords(records: readonly Uint8Array[]): void;
  /** The queue has room again after BACKPRESSURE. */
  onDrain?(): void;
  /** The stream ended; records sent and not yet answered may or may not have arrived. Called exactly once. */
  onEnd(end: StreamEnd): void;
}
