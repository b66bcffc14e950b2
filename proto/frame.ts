/**
 * The frame on the wire between client and gateway: a 16-byte header, then a protobuf payload. Pure and
 * browser-safe; docs/protocol.md specifies it.
 *
 *     0       4      5       6     8                16
 *     | length | type | flags | ref | key            | payload …
 *      u32      u8     u8      u16   u64               all big-endian; length counts what follows it
 */

import { readU32 } from './bytes.ts';

export const LENGTH_BYTES = 4;
export const HEADER_BYTES = 16;
/** Offset of the key in a frame. */
export const KEY_AT = 8;
/** Value of the length field of a frame without payload: the smallest one that is valid. */
export const MIN_FRAME_BYTES = HEADER_BYTES - LENGTH_BYTES;
export const PROTOCOL_VERSION = 2;

/** Frame types, with their numbers on the wire. */
export const FrameType = {
  HELLO: 1,
  WELCOME: 2,
  PING: 3,
  PONG: 4,
  SEND: 5,
  SENT: 6,
  NACK: 7,
  MESSAGE: 8,
  RECEIPTS: 9,
  REQUEST: 10,
  RESPONSE: 11,
  RESYNC: 12,
  RESYNCED: 13,
  CLOSE: 14,
  TYPING: 15,
  MEMBERS_CHANGED: 16,
  AUTH: 17,
  AUTHED: 18,
  WATCH: 19,
  WATCHED: 20,
  // Kept for REACTED: 21.
  READ: 22,
  PRESENCE: 23,
  SELF: 24,
} as const;
export type FrameType = (typeof FrameType)[keyof typeof FrameType];

/** Returns whether frames of a type may be dropped at any time: they are not in the log. */
export function isEphemeral(type: number | undefined): boolean {
  return type === FrameType.TYPING;
}

export interface FrameHeader {
  readonly type: number;
  readonly flags: number;
  readonly ref: number;
  readonly key: bigint;
}

/** Faults of a byte stream, after which it cannot be parsed further. */
export type FrameFault = 'FRAME_TOO_LARGE' | 'FRAME_TOO_SHORT';

const NO_PAYLOAD = new Uint8Array(0);

/** Encodes a frame; `key` is unsigned 64-bit, `ref` unsigned 16-bit. The caller owns the result. */
export function encodeFrame(
  type: FrameType,
  ref: number,
  key: bigint,
  payload: Uint8Array = NO_PAYLOAD,
): Uint8Array {
  const frame = new Uint8Array(HEADER_BYTES + payload.length);
  const view = new DataView(frame.buffer);
  view.setUint32(0, MIN_FRAME_BYTES + payload.length);
  frame[4] = type;
  view.setUint16(6, ref);
  view.setBigUint64(8, key);
  frame.set(payload, HEADER_BYTES);
  return frame;
}

/** Decodes the header of a complete frame. */
export function decodeHeader(frame: Uint8Array): FrameHeader {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  return {
    type: view.getUint8(4),
    flags: view.getUint8(5),
    ref: view.getUint16(6),
    key: view.getBigUint64(8),
  };
}

/** Returns the type of a complete frame. */
export function frameType(frame: Uint8Array): number {
  return frame[4] as number;
}

/** Returns the ref of a complete frame. */
export function frameRef(frame: Uint8Array): number {
  return ((frame[6] as number) << 8) | (frame[7] as number);
}

/** Returns the payload of a complete frame, a view of the same bytes. */
export function framePayload(frame: Uint8Array): Uint8Array {
  return frame.subarray(HEADER_BYTES);
}

/**
 * Splits a byte stream into frames.
 *
 * Frames that lie within a chunk are views of it, without a copy. Only a frame that spans chunks is gathered, in a buffer
 * that grows with the bytes received (at most to twice their size), so a header that announces much costs nothing. One
 * parser serves one connection.
 */
export class FrameParser {
  /** Largest accepted length field; may be changed between pushes. */
  maxFrameBytes: number;
  #gathered: Uint8Array<ArrayBuffer> | undefined;
  #size = 0;

  constructor(maxFrameBytes: number) {
    this.maxFrameBytes = maxFrameBytes;
  }

  /** Bytes received of an unfinished frame. */
  get pendingBytes(): number {
    return this.#size;
  }

  /** Memory of the unfinished frame, bytes. */
  get heldBytes(): number {
    return this.#gathered?.length ?? 0;
  }

  /**
   * Parses the next chunk and calls `onFrame` for each complete frame, in order.
   *
   * A frame is valid until the caller reuses the chunk's memory. When `onFrame` returns false the rest of the chunk is
   * dropped (the connection is closing). A fault is final: close the connection.
   */
  push(chunk: Uint8Array, onFrame: (frame: Uint8Array) => boolean | undefined): FrameFault | undefined {
    let offset = 0;
    if (this.#gathered !== undefined) {
      while (offset < chunk.length) {
        // First the length field, then the rest of the frame.
        const target = this.#size < LENGTH_BYTES ? LENGTH_BYTES : readU32(this.#gathered, 0) + LENGTH_BYTES;
        const take = Math.min(target - this.#size, chunk.length - offset);
        this.#gather(chunk.subarray(offset, offset + take), target);
        offset += take;
        if (this.#size < target) return undefined;
        if (target === LENGTH_BYTES) {
          const fault = this.#check(readU32(this.#gathered, 0));
          if (fault) return fault;
          continue;
        }
        const frame = this.#gathered.subarray(0, this.#size);
        this.#gathered = undefined;
        this.#size = 0;
        if (onFrame(frame) === false) return undefined;
        break;
      }
      if (this.#gathered !== undefined) return undefined;
    }
    while (chunk.length - offset >= LENGTH_BYTES) {
      const length = readU32(chunk, offset);
      const fault = this.#check(length);
      if (fault) return fault;
      const end = offset + LENGTH_BYTES + length;
      if (end > chunk.length) break;
      const frame = chunk.subarray(offset, end);
      offset = end;
      if (onFrame(frame) === false) return undefined;
    }
    if (offset < chunk.length) {
      const rest = chunk.subarray(offset);
      this.#gather(rest, rest.length);
    }
    return undefined;
  }

  /** Drops an unfinished frame and frees its memory at once. */
  drop(): void {
    this.#gathered?.buffer.transfer(0);
    this.#gathered = undefined;
    this.#size = 0;
  }

  #check(length: number): FrameFault | undefined {
    if (length > this.maxFrameBytes) return 'FRAME_TOO_LARGE';
    if (length < MIN_FRAME_BYTES) return 'FRAME_TOO_SHORT';
    return undefined;
  }

  #gather(bytes: Uint8Array, target: number): void {
    const size = this.#size + bytes.length;
    const held = this.#gathered;
    if (held === undefined || held.length < size) {
      const capacity = Math.max(size, Math.min(target, size * 2));
      // `transfer` frees the smaller buffer at once, not at the next collection.
      this.#gathered = new Uint8Array(held?.buffer.transfer(capacity) ?? new ArrayBuffer(capacity));
    }
    (this.#gathered as Uint8Array).set(bytes, this.#size);
    this.#size = size;
  }
}
