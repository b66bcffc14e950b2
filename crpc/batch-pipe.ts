/** What both sides of a batch stream share: the bounded queue, the flush per tick, and the reading of batches. */
import { GochatError } from '../common/mod.ts';
import { BatchWriter, decodeBatch, recordBytes } from './batch-codec.ts';
import { SendResult } from './batch-stream.ts';
import type { BatchStream, BatchStreamHandler, BatchStreamOptions, StreamEnd } from './batch-stream.ts';

export const DEFAULT_MAX_MESSAGE_BYTES = 8 * 1024 * 1024;
const DEFAULT_MAX_BATCH_BYTES = 1024 * 1024;
const DEFAULT_MAX_QUEUE_BYTES = 16 * 1024 * 1024;
const DEFAULT_HIGH_WATER_BYTES = 4 * 1024 * 1024;
const DEFAULT_LOW_WATER_BYTES = 1024 * 1024;
/** Bytes handed to gRPC and not yet written by it; beyond it a tick's records wait and join the next batch. */
const MAX_IN_FLIGHT_BYTES = 512 * 1024;
/** Tag and length in front of a record. */
const RECORD_HEAD_BYTES = 6;

/** The gRPC call under a pipe, client or server. */
export interface PipeTransport {
  write(batch: Buffer, done: (error?: Error | null) => void): unknown;
  pause(): unknown;
  resume(): unknown;
  /** Ends our half behind what was written. */
  finish(draining: boolean): void;
}

/** A batch stream over a gRPC call; the side-specific part calls `opened`, `receive` and `ended`. */
export class BatchPipe implements BatchStream {
  readonly peer: string;
  readonly maxRecordBytes: number;
  readonly #transport: PipeTransport;
  readonly #writer: BatchWriter;
  readonly #maxQueueBytes: number;
  readonly #highWaterBytes: number;
  readonly #lowWaterBytes: number;
  #handler: BatchStreamHandler | undefined;
  #state: 'opening' | 'open' | 'closing' | 'ended' = 'opening';
  /** Batches that are full and wait for the transport. */
  #full: Buffer[] = [];
  #fullBytes = 0;
  #inFlightBytes = 0;
  #scheduled = false;
  #pressed = false;

  constructor(peer: string, transport: PipeTransport, options: BatchStreamOptions) {
    this.peer = peer;
    this.#transport = transport;
    const maxMessageBytes = options.maxMessageBytes ?? DEFAULT_MAX_MESSAGE_BYTES;
    this.maxRecordBytes = maxMessageBytes - RECORD_HEAD_BYTES;
    this.#writer = new BatchWriter(
      Math.min(maxMessageBytes, options.maxBatchBytes ?? DEFAULT_MAX_BATCH_BYTES),
    );
    this.#maxQueueBytes = options.maxQueueBytes ?? DEFAULT_MAX_QUEUE_BYTES;
    this.#highWaterBytes = Math.min(this.#maxQueueBytes, options.highWaterBytes ?? DEFAULT_HIGH_WATER_BYTES);
    this.#lowWaterBytes = Math.min(this.#highWaterBytes, options.lowWaterBytes ?? DEFAULT_LOW_WATER_BYTES);
  }

  get queuedBytes(): number {
    return this.#fullBytes + this.#inFlightBytes + this.#writer.bytes;
  }

  get isOpen(): boolean {
    return this.#state === 'open';
  }

  get isClosing(): boolean {
    return this.#state === 'closing';
  }

  send(record: Uint8Array, tail?: Uint8Array): SendResult {
    if (this.#state !== 'open') return SendResult.CLOSED;
    const length = tail === undefined ? record.length : record.length + tail.length;
    if (length > this.maxRecordBytes) return SendResult.CLOSED;
    if (this.queuedBytes + recordBytes(length) > this.#maxQueueBytes) {
      this.#pressed = true;
      return SendResult.CLOSED;
    }
    if (!this.#writer.append(record, tail)) {
      this.#seal();
      this.#writer.append(record, tail);
    }
    if (!this.#scheduled) {
      this.#scheduled = true;
      setImmediate(this.#flush);
    }
    if (this.queuedBytes <= this.#highWaterBytes) return SendResult.SUCCESS;
    this.#pressed = true;
    return SendResult.BACKPRESSURE;
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

  /** Closes and tells the peer that this is because of a drain. */
  closeDraining(): void {
    this.#close(true);
  }

  /** The call is established; `handler` hears from it. */
  opened(handler: BatchStreamHandler): void {
    this.#handler = handler;
    this.#state = 'open';
  }

  /** Hands a batch from the peer to the handler; returns an error where the stream cannot go on. */
  receive(batch: Buffer): GochatError | undefined {
    if (this.#state === 'ended') return undefined;
    const records = decodeBatch(batch);
    if (records === undefined) return new GochatError('FRAME_INVALID');
    if (records.length === 0) return undefined;
    try {
      this.#handler?.onRecords(records);
      return undefined;
    } catch (error) {
      return GochatError.from(error);
    }
  }

  /** Returns whether this call ended the stream; the handler has been told then. */
  ended(end: StreamEnd, handler: BatchStreamHandler, cause?: GochatError): boolean {
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
    if (this.#writer.bytes === 0) return;
    const batch = this.#writer.take();
    this.#full.push(batch);
    this.#fullBytes += batch.length;
  }

  readonly #flush = (): void => {
    this.#scheduled = false;
    if (this.#state === 'open') this.#pump();
  };

  #pump(): void {
    while (this.#inFlightBytes < MAX_IN_FLIGHT_BYTES) {
      if (this.#full.length === 0) this.#seal();
      const batch = this.#full.shift();
      if (batch === undefined) return;
      this.#fullBytes -= batch.length;
      this.#write(batch);
    }
  }

  #write(batch: Buffer): void {
    this.#inFlightBytes += batch.length;
    this.#transport.write(batch, (error) => {
      this.#inFlightBytes -= batch.length;
      // A failed write is followed by the end of the call, which carries the reason.
      if (error || this.#state !== 'open') return;
      this.#writer.recycle(batch);
      this.#pump();
      if (this.#pressed && this.queuedBytes <= this.#lowWaterBytes) {
        this.#pressed = false;
        this.#handler?.onDrain?.();
      }
    });
  }
}
