/** Common part of both sides of a batch stream: the bounded queue, the flush per tick, and the reading of batches. */
import { CrpcError } from '../errors.ts';
import type { CodedError } from '../errors.ts';
import { BatchWriter, decodeBatch, recordBytes } from './batch-codec.ts';
import { agree, type AgreedProtocol, type BatchProtocol, UNANNOUNCED } from './batch-protocol.ts';
import { SendResult } from './batch-stream.ts';
import type { BatchStream, BatchStreamHandler, BatchStreamOptions, StreamEnd } from './batch-stream.ts';
import { crpcMetrics } from '../metrics.ts';

export const DEFAULT_MAX_MESSAGE_BYTES = 8 * 1024 * 1024;
const DEFAULT_MAX_BATCH_BYTES = 1024 * 1024;
const DEFAULT_MAX_BATCH_RECORDS = 8192;
const DEFAULT_MAX_QUEUE_BYTES = 16 * 1024 * 1024;
const DEFAULT_MAX_QUEUE_RECORDS = 262_144;
const DEFAULT_HIGH_WATER_BYTES = 4 * 1024 * 1024;
const DEFAULT_LOW_WATER_BYTES = 1024 * 1024;
/** Bytes passed to gRPC and not yet written; beyond it a tick's records join the next batch. */
const MAX_IN_FLIGHT_BYTES = 512 * 1024;
/** Wait of a non-urgent record for others to leave with. */
const SOON_MS = 50;
/** Size of the tag and length of a record. */
const RECORD_HEAD_BYTES = 6;

const SENT = { direction: 'sent' };
const RECEIVED = { direction: 'received' };

/** A full batch that waits for the transport. */
interface FullBatch {
  readonly bytes: Buffer;
  readonly records: number;
}

/** The gRPC call under a pipe, client or server. */
export interface PipeTransport {
  write(batch: Buffer, done: (error?: Error | null) => void): unknown;
  pause(): unknown;
  resume(): unknown;
  /** Ends our half after what was written. */
  finish(draining: boolean): void;
}

/** A batch stream over a gRPC call. The side-specific part calls `opened`, `receive` and `ended`. */
export class BatchPipe implements BatchStream {
  readonly peer: string;
  readonly maxRecordBytes: number;
  /** Versions and capabilities of this side. */
  readonly offer: BatchProtocol;
  readonly #transport: PipeTransport;
  readonly #writer: BatchWriter;
  readonly #metrics = crpcMetrics();
  readonly #maxQueueBytes: number;
  readonly #maxQueueRecords: number;
  readonly #highWaterBytes: number;
  readonly #lowWaterBytes: number;
  #handler: BatchStreamHandler | undefined;
  #protocol: AgreedProtocol | undefined;
  #state: 'opening' | 'open' | 'closing' | 'ended' = 'opening';
  #full: FullBatch[] = [];
  #fullBytes = 0;
  /** Accepted records that the transport has not written yet. */
  #queuedRecords = 0;
  #inFlightBytes = 0;
  #scheduled = false;
  #soon: NodeJS.Timeout | undefined;
  #pressed = false;

  constructor(peer: string, transport: PipeTransport, options: BatchStreamOptions) {
    this.peer = peer;
    this.offer = options.protocol ?? UNANNOUNCED;
    this.#transport = transport;
    const maxMessageBytes = options.maxMessageBytes ?? DEFAULT_MAX_MESSAGE_BYTES;
    this.maxRecordBytes = maxMessageBytes - RECORD_HEAD_BYTES;
    this.#writer = new BatchWriter(
      Math.min(maxMessageBytes, options.maxBatchBytes ?? DEFAULT_MAX_BATCH_BYTES),
      options.maxBatchRecords ?? DEFAULT_MAX_BATCH_RECORDS,
    );
    this.#maxQueueRecords = options.maxQueueRecords ?? DEFAULT_MAX_QUEUE_RECORDS;
    this.#maxQueueBytes = options.maxQueueBytes ?? DEFAULT_MAX_QUEUE_BYTES;
    this.#highWaterBytes = Math.min(this.#maxQueueBytes, options.highWaterBytes ?? DEFAULT_HIGH_WATER_BYTES);
    this.#lowWaterBytes = Math.min(this.#highWaterBytes, options.lowWaterBytes ?? DEFAULT_LOW_WATER_BYTES);
  }

  get queuedBytes(): number {
    return this.#fullBytes + this.#inFlightBytes + this.#writer.bytes;
  }

  get protocol(): AgreedProtocol {
    if (this.#protocol === undefined) throw new Error('the stream has not opened');
    return this.#protocol;
  }

  get isOpen(): boolean {
    return this.#state === 'open';
  }

  get isClosing(): boolean {
    return this.#state === 'closing';
  }

  send(record: Uint8Array, tail?: Uint8Array): SendResult {
    const result = this.#append(record, tail);
    if (result !== SendResult.CLOSED && !this.#scheduled) {
      this.#scheduled = true;
      setImmediate(this.#flush);
    }
    return result;
  }

  sendSoon(record: Uint8Array): SendResult {
    const result = this.#append(record, undefined);
    if (result !== SendResult.CLOSED && !this.#scheduled) this.#soon ??= setTimeout(this.#flush, SOON_MS);
    return result;
  }

  pause(): void {
    this.#transport.pause();
  }

  resume(): void {
    this.#transport.resume();
  }

  close(): void {
    this.#close(false);
  }

  /** Closes the stream because of a drain, which the peer is told. */
  closeDraining(): void {
    this.#close(true);
  }

  #append(record: Uint8Array, tail: Uint8Array | undefined): SendResult {
    if (this.#state !== 'open') return SendResult.CLOSED;
    const length = tail === undefined ? record.length : record.length + tail.length;
    if (length > this.maxRecordBytes) return SendResult.CLOSED;
    if (
      this.queuedBytes + recordBytes(length) > this.#maxQueueBytes ||
      this.#queuedRecords === this.#maxQueueRecords
    ) {
      this.#pressed = true;
      return SendResult.CLOSED;
    }
    if (!this.#writer.append(record, tail)) {
      this.#seal();
      this.#writer.append(record, tail);
    }
    this.#queuedRecords++;
    if (this.queuedBytes <= this.#highWaterBytes && this.#queuedRecords <= this.#maxQueueRecords / 4)
      return SendResult.SUCCESS;
    this.#pressed = true;
    return SendResult.BACKPRESSURE;
  }

  /** Negotiates the protocol. Returns false if there is no common version. */
  negotiate(theirs: BatchProtocol): boolean {
    this.#protocol = agree(this.offer, theirs);
    return this.#protocol !== undefined;
  }

  /** The call is established; starts calling `handler`. */
  opened(handler: BatchStreamHandler): void {
    this.#handler = handler;
    this.#state = 'open';
  }

  /** Delivers a batch from the peer. Returns an error if the stream cannot go on. */
  receive(batch: Buffer): CodedError | undefined {
    if (this.#state === 'ended') return undefined;
    const records = decodeBatch(batch);
    if (records === undefined) return new CrpcError('FRAME_INVALID');
    if (records.length === 0) return undefined;
    this.#metrics.batchRecords.record(records.length, RECEIVED);
    this.#metrics.batchBytes.record(batch.length, RECEIVED);
    try {
      this.#handler?.onRecords(records);
      return undefined;
    } catch (error) {
      return CrpcError.from(error);
    }
  }

  /** Reports the end of the stream to the handler, once. Returns whether this call did. */
  ended(end: StreamEnd, handler: BatchStreamHandler, cause?: CodedError): boolean {
    if (this.#state === 'ended') return false;
    this.#state = 'ended';
    this.#full = [];
    this.#fullBytes = 0;
    handler.onEnd(end, cause);
    return true;
  }

  #close(draining: boolean): void {
    if (this.#state === 'closing' || this.#state === 'ended') return;
    this.#state = 'closing';
    this.#seal();
    for (const batch of this.#full) this.#write(batch);
    this.#full = [];
    this.#fullBytes = 0;
    this.#transport.finish(draining);
  }

  #seal(): void {
    const { records } = this.#writer;
    if (records === 0) return;
    const bytes = this.#writer.take();
    this.#full.push({ bytes, records });
    this.#fullBytes += bytes.length;
  }

  readonly #flush = (): void => {
    this.#scheduled = false;
    clearTimeout(this.#soon);
    this.#soon = undefined;
    if (this.#state === 'open') this.#pump();
  };

  #pump(): void {
    while (this.#inFlightBytes < MAX_IN_FLIGHT_BYTES) {
      if (this.#full.length === 0) this.#seal();
      const batch = this.#full.shift();
      if (batch === undefined) return;
      this.#fullBytes -= batch.bytes.length;
      this.#write(batch);
    }
  }

  #write({ bytes, records }: FullBatch): void {
    this.#inFlightBytes += bytes.length;
    this.#metrics.batchRecords.record(records, SENT);
    this.#metrics.batchBytes.record(bytes.length, SENT);
    this.#transport.write(bytes, (error) => {
      this.#inFlightBytes -= bytes.length;
      this.#queuedRecords -= records;
      // A failed write is followed by the end of the call, which has the reason.
      if (error || this.#state !== 'open') return;
      this.#writer.recycle(bytes);
      this.#pump();
      if (!this.#pressed || this.queuedBytes > this.#lowWaterBytes) return;
      if (this.#queuedRecords > this.#maxQueueRecords / 16) return;
      this.#pressed = false;
      this.#handler?.onDrain?.();
    });
  }
}
