/**
 * Hand-written encoders of SENT and of MESSAGE without quotes and the like, which are most. The generated codecs are the
 * reference.
 */
import { Buffer } from 'node:buffer';
import { highOf, lowOf } from '../session/u64.ts';
import { FrameType, HEADER_BYTES, LENGTH_BYTES, LinkKind, writeU32 } from '../../proto/mod.ts';

/** Size of the head of a DELIVER record for one connection. */
const ANSWER_HEAD_BYTES = 8;

const TWO_32 = 0x1_0000_0000;

export interface SentFields {
  readonly conn: number;
  readonly ref: number;
  readonly conversation: bigint;
  readonly clientMsgId: string;
  readonly clientMsgIdBytes: number;
  readonly seq: number;
  readonly id: bigint;
  readonly atMs: number;
  readonly duplicate: boolean;
  /** Seq of the message that the send named otherwise; 0: it did not. */
  readonly target: number;
}

export interface MessageFields {
  readonly conversation: bigint;
  readonly seq: number;
  readonly id: bigint;
  readonly sender: bigint;
  readonly senderName: string;
  readonly clientMsgId: string;
  readonly text: string;
  /** Lengths in bytes of UTF-8. */
  readonly senderNameBytes: number;
  readonly clientMsgIdBytes: number;
  readonly textBytes: number;
  readonly atMs: number;
  /** Number of the kind; 0: a message. */
  readonly kind: number;
  /** Seqs; 0: none. */
  readonly version: number;
  readonly target: number;
  /** Of a retraction; empty: none. */
  readonly reason: string;
  /** Seq of the root of the thread that it is a reply in; 0: none. */
  readonly thread: number;
}

/** Encodes the DELIVER record of a SENT frame for its sender. */
export function encodeSentRecord(sent: SentFields): Uint8Array {
  const idLow = lowOf(sent.id);
  const idHigh = highOf(sent.id);
  const payload =
    stringSize(sent.clientMsgIdBytes) +
    (1 + varintSize(sent.seq)) +
    (1 + varint64Size(idLow, idHigh)) +
    (1 + varintSize(sent.atMs)) +
    (sent.duplicate ? 2 : 0) +
    numberSize(sent.target);
  const record = Buffer.allocUnsafe(ANSWER_HEAD_BYTES + HEADER_BYTES + payload);
  writeU32(record, 0, 1);
  record[0] = LinkKind.DELIVER;
  writeU32(record, 4, sent.conn);
  let at = writeHeader(record, ANSWER_HEAD_BYTES, FrameType.SENT, sent.ref, sent.conversation, payload);
  at = writeString(record, at, 0x0a, sent.clientMsgId, sent.clientMsgIdBytes);
  record[at++] = 0x10;
  at = writeVarint(record, at, sent.seq);
  record[at++] = 0x18;
  at = writeVarint64(record, at, idLow, idHigh);
  record[at++] = 0x20;
  at = writeVarint(record, at, sent.atMs);
  if (sent.duplicate) {
    record[at++] = 0x28;
    record[at++] = 1;
  }
  writeNumber(record, at, 0x30, sent.target);
  return record;
}

/** Encodes a MESSAGE frame. */
export function encodeMessageFrame(message: MessageFields): Uint8Array {
  const idLow = lowOf(message.id);
  const idHigh = highOf(message.id);
  const senderLow = lowOf(message.sender);
  const senderHigh = highOf(message.sender);
  const reasonBytes = message.reason === '' ? 0 : Buffer.byteLength(message.reason);
  const payload =
    1 +
    varintSize(message.seq) +
    (1 + varint64Size(idLow, idHigh)) +
    (1 + varint64Size(senderLow, senderHigh)) +
    stringSize(message.senderNameBytes) +
    stringSize(message.clientMsgIdBytes) +
    stringSize(message.textBytes) +
    (1 + varintSize(message.atMs)) +
    numberSize(message.kind) +
    numberSize(message.version) +
    numberSize(message.target) +
    stringSize(reasonBytes) +
    (message.thread === 0 ? 0 : 2 + varintSize(message.thread));
  const frame = Buffer.allocUnsafe(HEADER_BYTES + payload);
  let at = writeHeader(frame, 0, FrameType.MESSAGE, 0, message.conversation, payload);
  frame[at++] = 0x08;
  at = writeVarint(frame, at, message.seq);
  frame[at++] = 0x10;
  at = writeVarint64(frame, at, idLow, idHigh);
  frame[at++] = 0x18;
  at = writeVarint64(frame, at, senderLow, senderHigh);
  at = writeString(frame, at, 0x22, message.senderName, message.senderNameBytes);
  at = writeString(frame, at, 0x2a, message.clientMsgId, message.clientMsgIdBytes);
  at = writeString(frame, at, 0x32, message.text, message.textBytes);
  frame[at++] = 0x38;
  at = writeVarint(frame, at, message.atMs);
  at = writeNumber(frame, at, 0x40, message.kind);
  at = writeNumber(frame, at, 0x48, message.version);
  at = writeNumber(frame, at, 0x50, message.target);
  at = writeString(frame, at, 0x72, message.reason, reasonBytes);
  if (message.thread !== 0) {
    // Field numbers from 16 on take two bytes.
    frame[at] = 0x88;
    frame[at + 1] = 0x01;
    writeVarint(frame, at + 2, message.thread);
  }
  return frame;
}

/** Encodes the DELIVER record of a frame for one connection. */
export function encodeAnswerRecord(conn: number, frame: Uint8Array): Uint8Array {
  const record = Buffer.allocUnsafe(ANSWER_HEAD_BYTES + frame.length);
  writeU32(record, 0, 1);
  record[0] = LinkKind.DELIVER;
  writeU32(record, 4, conn);
  record.set(frame, ANSWER_HEAD_BYTES);
  return record;
}

function writeHeader(
  into: Buffer,
  start: number,
  type: number,
  ref: number,
  key: bigint,
  payload: number,
): number {
  writeU32(into, start, HEADER_BYTES - LENGTH_BYTES + payload);
  into[start + 4] = type;
  into[start + 5] = 0;
  into[start + 6] = ref >>> 8;
  into[start + 7] = ref;
  writeU32(into, start + 8, highOf(key));
  writeU32(into, start + 12, lowOf(key));
  return start + HEADER_BYTES;
}

function stringSize(bytes: number): number {
  return bytes === 0 ? 0 : 1 + varintSize(bytes) + bytes;
}

function writeString(into: Buffer, start: number, tag: number, text: string, bytes: number): number {
  if (bytes === 0) return start;
  into[start] = tag;
  const at = writeVarint(into, start + 1, bytes);
  // As many bytes as characters: all of them are ASCII, and that is written faster.
  into.write(text, at, bytes, text.length === bytes ? 'latin1' : 'utf8');
  return at + bytes;
}

/** Bytes of a field with a whole number up to 2^53; 0 is left out. */
function numberSize(value: number): number {
  return value === 0 ? 0 : 1 + varintSize(value);
}

function writeNumber(into: Buffer, start: number, tag: number, value: number): number {
  if (value === 0) return start;
  into[start] = tag;
  return writeVarint(into, start + 1, value);
}

/** Bytes of a varint of a whole number up to 2^53. */
function varintSize(value: number): number {
  if (value < TWO_32) return varint64Size(value, 0);
  return varint64Size(value >>> 0, Math.floor(value / TWO_32));
}

function varint64Size(lowHalf: number, highHalf: number): number {
  if (highHalf === 0) {
    if (lowHalf < 0x80) return 1;
    if (lowHalf < 0x4000) return 2;
    if (lowHalf < 0x200000) return 3;
    return lowHalf < 0x10000000 ? 4 : 5;
  }
  // The fifth group of seven bits, 28 to 34, straddles the halves.
  const rest = highHalf >>> 3;
  if (rest === 0) return 5;
  if (rest < 0x80) return 6;
  if (rest < 0x4000) return 7;
  if (rest < 0x200000) return 8;
  return rest < 0x10000000 ? 9 : 10;
}

function writeVarint(into: Buffer, start: number, value: number): number {
  if (value < 0x80) {
    into[start] = value;
    return start + 1;
  }
  return writeVarint64(into, start, value >>> 0, value < TWO_32 ? 0 : Math.floor(value / TWO_32));
}

function writeVarint64(into: Buffer, start: number, lowHalf: number, highHalf: number): number {
  let at = start;
  let rest = lowHalf >>> 0;
  let upper = highHalf >>> 0;
  while (upper !== 0 || rest > 0x7f) {
    into[at++] = (rest & 0x7f) | 0x80;
    rest = ((rest >>> 7) | (upper << 25)) >>> 0;
    upper >>>= 7;
  }
  into[at++] = rest;
  return at;
}
