/** Hand-written parser of the SEND payload: one per message, so without an object, an exception or a copy. */
import { Buffer, isUtf8 } from 'node:buffer';

export const MAX_CLIENT_MSG_ID_BYTES = 64;

/** Tags of `message Send`: field number and wire type 2. */
const TAG_CLIENT_MSG_ID = 0x0a;
const TAG_TEXT = 0x12;

/** The possible faults of a Send. */
export type SendFault =
  | 'ARGUMENT_INVALID'
  | 'CLIENT_MSG_ID_INVALID'
  | 'FRAME_INVALID'
  | 'TEXT_EMPTY'
  | 'TEXT_TOO_LONG';

/** Parses and validates Send payloads. The fields hold the last one. */
export class SendParser {
  clientMsgId = '';
  text = '';
  /** Lengths in bytes of UTF-8. */
  clientMsgIdBytes = 0;
  textBytes = 0;
  readonly #maxTextBytes: number;
  #bytes: Buffer = Buffer.alloc(0);
  #at = 0;
  #end = 0;

  constructor(maxTextBytes: number) {
    this.#maxTextBytes = maxTextBytes;
  }

  /**
   * Parses the payload at `at`. Returns its fault, if any.
   *
   * `clientMsgId` is also set if the text is refused, so that the refusal can name it.
   */
  parse(frame: Uint8Array, at: number): SendFault | undefined {
    const bytes = Buffer.from(frame.buffer, frame.byteOffset, frame.length);
    this.#bytes = bytes;
    this.#at = at;
    this.#end = frame.length;
    this.clientMsgId = '';
    this.text = '';
    let idAt = 0;
    let idLength = 0;
    let textAt = 0;
    let textLength = 0;
    while (this.#at < this.#end) {
      const tag = this.#varint();
      if (tag === TAG_CLIENT_MSG_ID || tag === TAG_TEXT) {
        const length = this.#varint();
        if (length < 0 || length > this.#end - this.#at) return 'FRAME_INVALID';
        if (tag === TAG_TEXT) {
          textAt = this.#at;
          textLength = length;
        } else {
          idAt = this.#at;
          idLength = length;
        }
        this.#at += length;
      } else if (!this.#skip(tag)) {
        return 'FRAME_INVALID';
      }
    }
    if (idLength < 1 || idLength > MAX_CLIENT_MSG_ID_BYTES) return 'CLIENT_MSG_ID_INVALID';
    const clientMsgId = bytes.toString('utf8', idAt, idAt + idLength);
    const badId = this.#check(clientMsgId, idAt, idLength);
    if (badId !== undefined) return badId;
    this.clientMsgId = clientMsgId;
    this.clientMsgIdBytes = idLength;
    if (textLength === 0) return 'TEXT_EMPTY';
    if (textLength > this.#maxTextBytes) return 'TEXT_TOO_LONG';
    this.text = bytes.toString('utf8', textAt, textAt + textLength);
    this.textBytes = textLength;
    return this.#check(this.text, textAt, textLength);
  }

  /**
   * Validates a text. U+0000 is valid UTF-8, but PostgreSQL cannot store it: one such text would fail a whole batch.
   */
  #check(text: string, at: number, length: number): 'ARGUMENT_INVALID' | 'FRAME_INVALID' | undefined {
    if (text.includes('\0')) return 'ARGUMENT_INVALID';
    // Invalid UTF-8 is decoded to U+FFFD, so only a text that contains it needs the second check.
    if (text.includes('\ufffd') && !isUtf8(this.#bytes.subarray(at, at + length))) return 'FRAME_INVALID';
    return undefined;
  }

  /** Reads a varint of at most 32 bits; -1 if there is none. */
  #varint(): number {
    let value = 0;
    for (let shift = 0; shift < 35 && this.#at < this.#end; shift += 7) {
      const byte = this.#bytes[this.#at++] as number;
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value <= 0xffffffff ? value : -1;
    }
    return -1;
  }

  /** Skips an unknown field; groups were never used here. */
  #skip(tag: number): boolean {
    if (tag < 8) return false;
    switch (tag & 7) {
      case 0:
        for (let n = 0; n < 10 && this.#at < this.#end; n++) {
          if ((this.#bytes[this.#at++] as number) < 0x80) return true;
        }
        return false;
      case 1:
        this.#at += 8;
        break;
      case 2: {
        const length = this.#varint();
        if (length < 0) return false;
        this.#at += length;
        break;
      }
      case 5:
        this.#at += 4;
        break;
      default:
        return false;
    }
    return this.#at <= this.#end;
  }
}
