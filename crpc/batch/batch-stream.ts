/** The batch stream: ordered records over one bidi gRPC stream, coalesced per event-loop tick. */
import type { CodedError } from '../errors.ts';
import type { AgreedProtocol, BatchProtocol } from './batch-protocol.ts';

/** Result of `send`. */
export const SendResult = {
  /** Taken; it will be written with this tick's batch. */
  SUCCESS: 0,
  /** Taken, but the peer is behind: stop until onDrain. */
  BACKPRESSURE: 1,
  /** Not taken: the stream is not open, its queue is full, or the record is larger than `maxRecordBytes`. */
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
  /** Server side: the name that the client gave (metadata `crpc-peer`), else its address; client side: the target. */
  readonly peer: string;
  /** The agreed protocol; on the client's side from `onOpen` on. */
  readonly protocol: AgreedProtocol;
  /** Largest record that can be sent. */
  readonly maxRecordBytes: number;
  /**
   * Appends one record: the bytes of `record` and then of `tail`.
   * The caller must not change the bytes before the next tick.
   */
  send(record: Uint8Array, tail?: Uint8Array): SendResult;
  /** Like `send`, for what is in no hurry: it leaves with the next record that is, or within some 50 ms. */
  sendSoon(record: Uint8Array): SendResult;
  /** Bytes queued and not yet taken by the transport. */
  readonly queuedBytes: number;
  /** Stops reading from the peer (and so, by flow control, its writing) until resume. */
  pause(): void;
  resume(): void;
  /** Flushes and ends the stream. */
  close(): void;
}

/** Callbacks of a stream. The records of a batch are views of one buffer that is never reused. */
export interface BatchStreamHandler {
  /** The records of one batch, in order. */
  onRecords(records: readonly Uint8Array[]): void;
  /** The queue has room again after BACKPRESSURE. */
  onDrain?(): void;
  /**
   * The stream ended; records sent and not yet answered may or may not have arrived. Called exactly once.
   * The cause of a 'lost' stream is given where it is known; a 'closed' one has a cause when its last records may not
   * have got through.
   */
  onEnd(end: StreamEnd, cause?: CodedError): void;
}

/** The protocol and the bounds of a stream. */
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
  /** Most bytes queued; beyond it records are not taken. @default 16 MiB */
  readonly maxQueueBytes?: number;
  /**
   * Most records queued; beyond it records are not taken. BACKPRESSURE comes from a quarter of it on, onDrain below a
   * sixteenth. @default 262_144
   */
  readonly maxQueueRecords?: number;
  /** `send` answers BACKPRESSURE from here on. @default 4 MiB */
  readonly highWaterBytes?: number;
  /** `onDrain` comes when no more than this is queued. @default 1 MiB */
  readonly lowWaterBytes?: number;
  /** gRPC's limit for one message, the same on both sides. @default 8 MiB */
  readonly maxMessageBytes?: number;
}
