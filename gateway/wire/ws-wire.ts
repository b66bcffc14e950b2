/** Encoding of frames in WebSocket messages; one for each subprotocol. */
import type { CodeWithDetails } from '../../common/mod.ts';
import type { FrameHeader } from '../../proto/mod.ts';
import type { Downlink } from '../push/downlink.ts';

export interface WsWire {
  /** Encodes a tick's frames. @param owned the bytes will be queued, so they must not keep other memory alive */
  pack(frames: Downlink, owned: boolean): Buffer;
  /** Decodes a client's message into a frame, or returns what is wrong. @param max largest frame accepted, bytes */
  read(message: Buffer, isBinary: boolean, max: number): Uint8Array | WireFault;
}

/** Why a message is not a frame. */
export type WireFault = CodeWithDetails & {
  /** Identifies the refused frame, as far as it could be parsed. */
  readonly refused?: Pick<FrameHeader, 'ref' | 'key'> & { readonly clientMsgId: string };
};

/** First byte of an unfragmented message, RFC 6455 section 5.2. */
export const TEXT_FIN = 0x81;
export const BINARY_FIN = 0x82;

/** Returns the size of a server's message head, which has no mask. */
export function headBytes(length: number): number {
  return length < 126 ? 2 : length < 65_536 ? 4 : 10;
}

/** Writes the head of a message of `length` bytes at `at` and returns the offset after it. */
export function writeHead(into: Buffer, at: number, fin: number, length: number): number {
  into[at] = fin;
  if (length < 126) {
    into[at + 1] = length;
    return at + 2;
  }
  if (length < 65_536) {
    into[at + 1] = 126;
    into.writeUInt16BE(length, at + 2);
    return at + 4;
  }
  into[at + 1] = 127;
  into.writeUInt32BE(0, at + 2);
  into.writeUInt32BE(length, at + 6);
  return at + 10;
}
