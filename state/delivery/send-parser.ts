/** Hand-written parser of the SEND payload: a plain text, one per message, without an object, an exception or a copy. */
import { Buffer, isUtf8 } from 'node:buffer';
import { BinaryReader } from '@bufbuild/protobuf/wire';
import type { CodeWithDetails, UserId } from '../../common/mod.ts';
import { client } from '../../proto/mod.ts';
import type { DraftEntry, SenderRange } from '../store/store.ts';

export const MAX_CLIENT_MSG_ID_BYTES = 64;
/** Longest reason of a RETRACT, bytes of UTF-8. */
export const MAX_REASON_BYTES = 300;

/** Tags of `message Send`: field number and wire type 2. */
const TAG_CLIENT_MSG_ID = 0x0a;
const TAG_TEXT = 0x12;
/** Wire type 0. */
const TAG_KIND = 0x18;
const TAG_TARGET = 0x20;
const TAG_THREAD = 0x48;
/** Field numbers: up to `thread`, and up to the last one that is kept for what is not served yet. */
const LAST_FIELD = 9;
const LAST_KEPT_FIELD = 12;
/** Sets of fields, a bit each: those that are numbers, and those that are kept. */
const NUMBERS = (1 << (TAG_KIND >>> 3)) | (1 << (TAG_TARGET >>> 3)) | (1 << (TAG_THREAD >>> 3));
const KEPT_FIELDS = (2 << LAST_KEPT_FIELD) - (2 << LAST_FIELD);
/** Throws at what is no UTF-8. */
const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const MAX_ID = 2n ** 63n - 1n;
const MAX_SEQ = BigInt(Number.MAX_SAFE_INTEGER);

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
  /** What it is beyond a plain message; undefined: nothing. */
  entry: DraftEntry | undefined;
  /** What is not valid, with ARGUMENT_INVALID. */
  what = '';
  /** Lengths in bytes of UTF-8. */
  clientMsgIdBytes = 0;
  textBytes = 0;
  readonly #maxTextBytes: number;
  #bytes: Buffer = Buffer.alloc(0);
  #at = 0;
  #end = 0;

  /** @param maxTextBytes longest text, bytes of UTF-8 */
  constructor(maxTextBytes: number) {
    this.#maxTextBytes = maxTextBytes;
  }

  /**
   * Parses the payload at `at`. Returns its fault, if any.
   *
   * `clientMsgId` is also set if something else is refused, so that the refusal can name it.
   */
  parse(frame: Uint8Array, at: number): SendFault | undefined {
    const bytes = Buffer.from(frame.buffer, frame.byteOffset, frame.length);
    this.#bytes = bytes;
    this.#at = at;
    this.#end = frame.length;
    this.clientMsgId = '';
    this.text = '';
    this.textBytes = 0;
    this.entry = undefined;
    let idAt = 0;
    let idLength = 0;
    let textAt = 0;
    let textLength = 0;
    // A bit for each beyond those of a plain message.
    let fields = 0;
    // Of an entry that has no more than these.
    let kind = 0;
    let target = 0;
    let thread = 0;
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
      } else {
        const valueAt = this.#at;
        if (!this.#skip(tag)) return 'FRAME_INVALID';
        if (tag === TAG_KIND) kind = this.#numberAt(valueAt);
        else if (tag === TAG_TARGET) target = this.#numberAt(valueAt);
        else if (tag === TAG_THREAD) thread = this.#numberAt(valueAt);
        const field = tag >>> 3;
        if (field <= LAST_KEPT_FIELD) fields |= 1 << field;
      }
    }
    if (idLength < 1 || idLength > MAX_CLIENT_MSG_ID_BYTES) return 'CLIENT_MSG_ID_INVALID';
    const clientMsgId = bytes.toString('utf8', idAt, idAt + idLength);
    const badId = this.#check(clientMsgId, idAt, idLength);
    if (badId !== undefined) return badId;
    this.clientMsgId = clientMsgId;
    this.clientMsgIdBytes = idLength;
    if (textLength > this.#maxTextBytes) return 'TEXT_TOO_LONG';
    if ((fields & KEPT_FIELDS) !== 0) return this.#invalid('A field of SEND that is kept for later versions');
    if (fields !== 0) {
      const isShort = (fields & ~NUMBERS) === 0 && this.#isNumbers(kind, target, thread);
      const fault = isShort ? undefined : this.#parseEntry(at);
      if (fault !== undefined) return fault;
    }
    if (textLength === 0) return this.#takesText() ? 'TEXT_EMPTY' : undefined;
    if (!this.#takesText()) return this.#invalid('A text in an entry that has none');
    this.text = bytes.toString('utf8', textAt, textAt + textLength);
    this.textBytes = textLength;
    return this.#check(this.text, textAt, textLength);
  }

  #takesText(): boolean {
    return this.entry === undefined || this.entry.kind === 'message' || this.entry.kind === 'edit';
  }

  /** Takes an entry that has only a kind and the seq of its target, or of its thread, as most have. Returns whether it is one. */
  #isNumbers(kind: number, target: number, thread: number): boolean {
    const name = KINDS[kind];
    if (name === undefined) return false;
    if (name === 'message' ? thread <= 0 || target !== 0 : target <= 0 || thread !== 0) return false;
    this.entry = { kind: name, target, thread, targetClientMsgId: '', range: undefined, reason: '' };
    return true;
  }

  /** Reads the fields beyond those of a plain message by the generated codec. */
  #parseEntry(at: number): SendFault | undefined {
    let send: client.Send;
    try {
      send = client.Send.decode(new BinaryReader(this.#bytes.subarray(at), (bytes) => UTF8.decode(bytes)));
    } catch {
      return 'FRAME_INVALID';
    }
    const { kind, target, targetClientMsgId, replyTo, thread, reason, range } = send;
    const name = KINDS[kind];
    if (name === undefined) return this.#invalid('The kind of the entry');
    const wrong = faultOf(name, send);
    if (wrong !== undefined) return this.#invalid(wrong);
    if (target > MAX_SEQ || replyTo > MAX_SEQ || thread > MAX_SEQ)
      return this.#invalid('The seq of the target');
    if (Buffer.byteLength(targetClientMsgId) > MAX_CLIENT_MSG_ID_BYTES || targetClientMsgId.includes('\0'))
      return this.#invalid('target_client_msg_id');
    if (Buffer.byteLength(reason) > MAX_REASON_BYTES || reason.includes('\0'))
      return this.#invalid(
        `A reason that is longer than ${MAX_REASON_BYTES} bytes or has the character U+0000`,
      );
    const senderRange = range && toRange(range);
    if (range !== undefined && senderRange === undefined) return this.#invalid('The range');
    if (name === 'message' && replyTo === 0n && thread === 0n) return undefined;
    this.entry = {
      kind: name,
      target: Number(name === 'message' ? replyTo : target),
      thread: Number(thread),
      targetClientMsgId,
      range: senderRange,
      reason,
    };
    return undefined;
  }

  #invalid(what: string): 'ARGUMENT_INVALID' {
    this.what = what;
    return 'ARGUMENT_INVALID';
  }

  /**
   * Validates a text. U+0000 is valid UTF-8, but PostgreSQL cannot store it: one such text would fail a whole batch.
   */
  #check(text: string, at: number, length: number): 'ARGUMENT_INVALID' | 'FRAME_INVALID' | undefined {
    if (text.includes('\0')) return this.#invalid('A text or client_msg_id with the character U+0000');
    // Invalid UTF-8 is decoded to U+FFFD, so only a text that contains it needs the second check.
    if (text.includes('\ufffd') && !isUtf8(this.#bytes.subarray(at, at + length))) return 'FRAME_INVALID';
    return undefined;
  }

  /** Returns the varint at a place that was passed; -1 if it has more than 32 bits. */
  #numberAt(at: number): number {
    const end = this.#at;
    this.#at = at;
    const value = this.#varint();
    this.#at = end;
    return value;
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

  /** Skips a field; groups were never used here. */
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

/** Returns the refusal of a fault. @param what of the parser @param maxTextBytes longest text */
export function sendRefusal(code: SendFault, what: string, maxTextBytes: number): CodeWithDetails {
  if (code === 'TEXT_TOO_LONG') return { code, details: { max: maxTextBytes } };
  return code === 'ARGUMENT_INVALID' ? { code, details: { what } } : { code };
}

/** The kinds that clients send. */
const KINDS: { readonly [kind: number]: DraftEntry['kind'] | undefined } = {
  [client.EntryKind.ENTRY_KIND_MESSAGE]: 'message',
  [client.EntryKind.ENTRY_KIND_EDIT]: 'edit',
  [client.EntryKind.ENTRY_KIND_RETRACT]: 'retract',
  [client.EntryKind.ENTRY_KIND_PIN]: 'pin',
  [client.EntryKind.ENTRY_KIND_UNPIN]: 'unpin',
};

/** The ways in which an entry of a kind may name its target. */
const TARGETS: Readonly<Record<DraftEntry['kind'], readonly ('seq' | 'clientMsgId' | 'range')[]>> = {
  message: [],
  edit: ['seq', 'clientMsgId'],
  retract: ['seq', 'clientMsgId', 'range'],
  pin: ['seq'],
  unpin: ['seq'],
};

/** Returns what an entry of this kind has or lacks against the rules; undefined if it is right. */
function faultOf(
  kind: DraftEntry['kind'],
  { target, targetClientMsgId, replyTo, thread, reason, range }: client.Send,
): string | undefined {
  const given = [
    target > 0n && ('seq' as const),
    targetClientMsgId !== '' && ('clientMsgId' as const),
    range !== undefined && ('range' as const),
  ].filter((each) => each !== false);
  const allowed = TARGETS[kind];
  if (given.length !== Math.min(1, allowed.length) || given.some((each) => !allowed.includes(each)))
    return `The target of an entry of the kind ${kind.toUpperCase()}`;
  if (replyTo > 0n && kind !== 'message') return 'reply_to in an entry other than a MESSAGE';
  if (thread > 0n && kind !== 'message') return 'thread in an entry other than a MESSAGE';
  if (thread > 0n && replyTo > 0n) return 'thread together with reply_to';
  if (reason !== '' && kind !== 'retract') return 'A reason in an entry other than a RETRACT';
  return undefined;
}

/** Converts a range; undefined if it is none. */
function toRange({ sender, fromSeq, toSeq }: client.SenderRange): SenderRange | undefined {
  if (sender === 0n || sender > MAX_ID || fromSeq === 0n || fromSeq > toSeq || toSeq > MAX_SEQ)
    return undefined;
  return { sender: sender as UserId, fromSeq: Number(fromSeq), toSeq: Number(toSeq) };
}
