/** Hand-written codec of a batch: the protobuf message `Batch { repeated bytes record = 1; bool end = 2; }`. */

/** Tag of field 1, wire type 2 (length-delimited). */
const RECORD_TAG = 0x0a;
/** Tag of field 2, wire type 0 (varint). */
const END_TAG = 0x10;
const MIN_BUFFER_BYTES = 4096;
/** Size below which a byte loop is faster than TypedArray.set. */
const SET_FROM_BYTES = 24;

/**
 * The last batch of an orderly client: `end = true`. Node's HTTP/2 reports a broken connection to a server with the
 * same event as a half-close, so the difference must be explicit.
 */
export const END_BATCH = Buffer.from([END_TAG, 1]);

/** Returns whether a batch is END_BATCH. */
export function isEndBatch(batch: Buffer): boolean {
  return batch.length === 2 && batch[0] === END_TAG && batch[1] === 1;
}

/** Returns the size of a record of this length in a batch. */
export function recordBytes(length: number): number {
  return 1 + varintBytes(length) + length;
}

function varintBytes(value: number): number {
  if (value < 0x80) return 1;
  if (value < 0x4000) return 2;
  if (value < 0x200000) return 3;
  return value < 0x10000000 ? 4 : 5;
}

/**
 * Gathers records into one buffer.
 *
 * A buffer returned by `recycle`, after the transport has copied it, is reused, so that a steady stream of batches
 * allocates nothing.
 */
export class BatchWriter {
  readonly #maxBytes: number;
  readonly #maxRecords: number;
  #buffer: Buffer = Buffer.alloc(0);
  #at = 0;
  #records = 0;
  #spare: Buffer | undefined;
  #usualBytes = MIN_BUFFER_BYTES;

  /** @param maxBytes Largest batch of more than one record; @param maxRecords most records of a batch. */
  constructor(maxBytes: number, maxRecords = Infinity) {
    this.#maxBytes = maxBytes;
    this.#maxRecords = maxRecords;
  }

  /** Records gathered so far. */
  get records(): number {
    return this.#records;
  }

  /** Bytes gathered so far. */
  get bytes(): number {
    return this.#at;
  }

  /** Appends a record, or returns false when the batch must be taken first. */
  append(record: Uint8Array, tail: Uint8Array | undefined): boolean {
    const length = tail === undefined ? record.length : record.length + tail.length;
    const end = this.#at + recordBytes(length);
    if ((end > this.#maxBytes && this.#at > 0) || this.#records === this.#maxRecords) return false;
    if (end > this.#buffer.length) this.#grow(end);
    const buffer = this.#buffer;
    let at = this.#at;
    buffer[at++] = RECORD_TAG;
    let rest = length;
    while (rest > 0x7f) {
      buffer[at++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    buffer[at++] = rest;
    at = put(buffer, at, record);
    if (tail !== undefined) put(buffer, at, tail);
    this.#at = end;
    this.#records++;
    return true;
  }

  /** Returns the batch and starts a new one. */
  take(): Buffer {
    const batch = this.#at === this.#buffer.length ? this.#buffer : this.#buffer.subarray(0, this.#at);
    this.#usualBytes = Math.min(
      this.#maxBytes,
      Math.max(MIN_BUFFER_BYTES, 2 ** Math.ceil(Math.log2(this.#at))),
    );
    this.#buffer = EMPTY;
    this.#at = 0;
    this.#records = 0;
    return batch;
  }

  /** Returns a batch for reuse; nothing may read its bytes any more. */
  recycle(batch: Buffer): void {
    if (batch.buffer.byteLength >= this.#usualBytes) this.#spare = Buffer.from(batch.buffer);
  }

  #grow(needed: number): void {
    if (this.#at === 0 && this.#spare !== undefined && this.#spare.length >= needed) {
      this.#buffer = this.#spare;
      this.#spare = undefined;
      return;
    }
    let size = Math.max(this.#usualBytes, this.#buffer.length * 2);
    while (size < needed) size *= 2;
    // Unpooled: a slab of the pool would be shared, so it could not be reused.
    const grown = Buffer.allocUnsafeSlow(size);
    grown.set(this.#buffer.subarray(0, this.#at), 0);
    this.#buffer = grown;
  }
}

const EMPTY = Buffer.alloc(0);

function put(into: Buffer, at: number, bytes: Uint8Array): number {
  const length = bytes.length;
  if (length < SET_FROM_BYTES) for (let i = 0; i < length; i++) into[at + i] = bytes[i] as number;
  else into.set(bytes, at);
  return at + length;
}

/**
 * Returns the records of a batch as views of it, or undefined if it is malformed. Other fields are skipped, so that
 * later versions may add some.
 */
export function decodeBatch(batch: Buffer): Uint8Array[] | undefined {
  const records: Uint8Array[] = [];
  const { buffer, byteOffset, length: end } = batch;
  let at = 0;
  while (at < end) {
    const tag = batch[at++] as number;
    if (tag !== RECORD_TAG) {
      at = skipField(batch, at, tag);
      if (at < 0) return undefined;
      continue;
    }
    let length = 0;
    let shift = 0;
    for (;;) {
      const byte = batch[at++];
      if (byte === undefined || shift > 28) return undefined;
      length += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) break;
      shift += 7;
    }
    if (length > end - at) return undefined;
    records.push(new Uint8Array(buffer, byteOffset + at, length));
    at += length;
  }
  return records;
}

/** Returns the offset after an unknown field (one-byte tags only), or -1. */
function skipField(batch: Buffer, at: number, tag: number): number {
  if (tag > 0x7f || tag >> 3 === 0) return -1;
  const wireType = tag & 7;
  if (wireType === 1) return at + 8 <= batch.length ? at + 8 : -1;
  if (wireType === 5) return at + 4 <= batch.length ? at + 4 : -1;
  if (wireType !== 0 && wireType !== 2) return -1;
  let value = 0;
  for (let shift = 0; shift < 70; shift += 7) {
    const byte = batch[at++];
    if (byte === undefined) return -1;
    value += (byte & 0x7f) * 2 ** shift;
    if (byte < 0x80) {
      if (wireType === 0) return at;
      return value <= batch.length - at ? at + value : -1;
    }
  }
  return -1;
}
