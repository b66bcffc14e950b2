/** Frames of the bare baselines: GoChat's header and minimal payloads. See load/protocol-gochat.h. */

export const HEADER_BYTES = 16;
export const JOIN = 1;
export const JOINED = 2;
export const SEND = 5;
export const SENT = 6;
export const MESSAGE = 8;

/** Splits a connection's bytes into frames; an incomplete one waits for the next chunk. */
export class BareParser {
  #rest: Buffer | undefined;

  push(chunk: Buffer, onFrame: (frame: Buffer) => void): void {
    const bytes = this.#rest === undefined ? chunk : Buffer.concat([this.#rest, chunk]);
    let at = 0;
    while (bytes.length - at >= 4) {
      const end = at + 4 + bytes.readUInt32BE(at);
      if (end > bytes.length) break;
      onFrame(bytes.subarray(at, end));
      at = end;
    }
    this.#rest = at < bytes.length ? bytes.subarray(at) : undefined;
  }
}

/** Builds the JOINED answer to a JOIN. */
export function joined(join: Buffer): Buffer {
  const frame = Buffer.from(join);
  frame[4] = JOINED;
  return frame;
}

/** Builds the SENT answer to a SEND. */
export function sent(send: Buffer, seq: number): Buffer {
  const frame = Buffer.allocUnsafe(HEADER_BYTES + 4);
  send.copy(frame, 0, 0, HEADER_BYTES);
  frame.writeUInt32BE(HEADER_BYTES, 0);
  frame[4] = SENT;
  frame.writeUInt32BE(seq, HEADER_BYTES);
  return frame;
}

/** Builds the MESSAGE that the others get for a SEND. */
export function message(send: Buffer, seq: number): Buffer {
  const frame = Buffer.allocUnsafe(send.length + 4);
  send.copy(frame, 0, 0, HEADER_BYTES);
  frame.writeUInt32BE(send.length, 0);
  frame[4] = MESSAGE;
  frame.writeUInt32BE(seq, HEADER_BYTES);
  send.copy(frame, HEADER_BYTES + 4, HEADER_BYTES);
  return frame;
}
