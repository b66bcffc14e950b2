/** The batch stream: ordered records over one bidi gRPC stream, coalesced per event-loop tick. */
import type { CodedError } from '../errors.ts';
import type { AgreedProtocol, BatchProtocol } from './batch-protocol.ts';

/** Result of `send`. */
export const SendResult = {
  /** Accepted; it is written with this tick's batch. */
  SUCCESS: 0,
  /** Accepted, but the peer is slow: stop until onDrain. */
  BACKPRESSURE: 1,
  /** Not accepted: the stream is not open, its queue is full, or the record is larger than `maxRecordBytes`. */
  CLOSED: 2,
} as const;
export type SendResult = (typeof SendResult)[keyof typeof SendResult];

/** Why a stream ended. */
export type StreamEnd =
  /** The peer has closed it. */
  | 'peer-closed'
  /** The peer is draining. */
  | 'peer-draining'
  /** The connection broke, or the peer does not answer keepalives. */
  | 'lost'
  /** This side has closed it. */
  | 'closed';

/** An open stream; each side has one. */
export interface BatchStream {
  /** Server side: the name that the client gave (metadata `crpc-peer`), else its address; client side: the target. */
  readonly peer: string;
  /** The agreed protocol; on the client's side from `onOpen` on. */
  readonly protocol: AgreedProtocol;
  /** Largest record that can be sent. */
  readonly maxRecordBytes: number;
  /**
   * Appends one record: the bytes of `record` followed by `tail`. The caller must not change the bytes before the next
   * tick.
   */
  send(record: Uint8Array, tail?: Uint8Array): SendResult;
  /** The same as `send` for a non-urgent record, which leaves with the next urgent one or within some 50 ms. */
  sendSoon(record: Uint8Array): SendResult;
  /** Queued bytes that the transport has not accepted yet. */
  readonly queuedBytes: number;
  /** Stops reading from the peer (and so, by flow control, its writing) until `resume`. */
  pause(): void;
  resume(): void;
  /** Flushes and ends the stream. */
  close(): void;
}

/** Callbacks of a stream. The records of a batch are views of one buffer that is never reused. */
export interface BatchStreamHandler {
  /** The records of one batch, in order. */
  onRecords(records: readonly Uint8Array[]): void;
  /** The queue has room again, after BACKPRESSURE. */
  onDrain?(): void;
  /**
   * The stream has ended; unanswered records may or may not have arrived. Called exactly once. A 'lost' stream has a
   * cause if it is known; a 'closed' one has a cause if its last records may not have arrived.
   */
  onEnd(end: StreamEnd, cause?: CodedError): void;
}

/** Protocol and bounds of a stream. */
export interface BatchStreamOptions {
  /**
   * Versions and capabilities of this side.
   *
   * @default version 1 without capabilities, like a peer that announces nothing
   */
  readonly protocol?: BatchProtocol;
  /** Largest gRPC message of more than one record. @default 1 MiB */
  readonly maxBatchBytes?: number;
  /** Most records of a batch. @default 8192 */
  readonly maxBatchRecords?: number;
  /** Most queued bytes; beyond it records are not accepted. @default 16 MiB */
  readonly maxQueueBytes?: number;
  /**
   * Most queued records; beyond it records are not accepted. BACKPRESSURE starts at a quarter of it, onDrain comes
   * below a sixteenth.
   *
   * @default 262_144
   */
  readonly maxQueueRecords?: number;
  /** Queued bytes from which `send` returns BACKPRESSURE. @default 4 MiB */
  readonly highWaterBytes?: number;
  /** Queued bytes at which `onDrain` is called. @default 1 MiB */
  readonly lowWaterBytes?: number;
  /** gRPC's limit for one message, the same on both sides. @default 8 MiB */
  readonly maxMessageBytes?: number;
}
