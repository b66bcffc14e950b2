/** The latest message hops of a worker, for `gochat ctl trace`. Message texts are not kept. */
import type { ErrorCode } from '../../common/mod.ts';
import {
  FrameType,
  frameRef,
  frameType,
  HEADER_BYTES,
  KEY_AT,
  type link as wire,
  readU32,
} from '../../proto/mod.ts';
import type { Connection } from '../connections/connection.ts';

/** Hops kept; the oldest are overwritten. A power of two. */
const SIZE = 16_384;
/** Offset of the bytes of the first field, a string shorter than 128 bytes. */
const FIRST_AT = HEADER_BYTES + 2;
const FIRST_TAG = 0x0a;
const MAX_FINGERPRINTED_BYTES = 64;

const HOPS = ['received', 'refused', 'refused-by-state', 'acknowledged', 'pushed'] as const;
const [RECEIVED, REFUSED, NACKED, ACKNOWLEDGED, PUSHED] = [0, 1, 2, 3, 4];

/**
 * A ring of columns: a frame costs a few stores and no object.
 *
 * A message has an id only after the commit. The attempts to send it are found by what they share with its SENT: the
 * conversation, the user, and a hash of client_msg_id.
 */
export class TraceRing {
  readonly #atMs = new Float64Array(SIZE);
  readonly #kinds = new Uint8Array(SIZE);
  readonly #keys = new Uint32Array(SIZE * 2);
  readonly #ids = new Uint32Array(SIZE * 2);
  readonly #fingerprints = new Uint32Array(SIZE);
  readonly #users: bigint[] = Array.from({ length: SIZE }, () => 0n);
  readonly #conns = new Uint32Array(SIZE);
  readonly #refs = new Uint16Array(SIZE);
  readonly #sockets = new Int32Array(SIZE);
  readonly #slow = new Int32Array(SIZE);
  readonly #gone = new Int32Array(SIZE);
  /** Address of the state node, or the refusal's code. */
  readonly #notes: string[] = Array.from({ length: SIZE }, () => '');
  /** Number of hops ever added. */
  #count = 0;
  #idHigh = 0;
  #idLow = 0;
  /** Time of this tick; 0 until it is read. Reading the clock costs more than the rest of a hop. */
  #nowMs = 0;

  /** A SEND was forwarded to the state node at an address. */
  received(connection: Connection, frame: Uint8Array, address: string): void {
    this.#send(RECEIVED, connection, frame, address);
  }

  /** A SEND was refused here. */
  refused(connection: Connection, frame: Uint8Array, code: ErrorCode): void {
    this.#send(REFUSED, connection, frame, code);
  }

  /**
   * A frame from state is delivered to sockets. Only MESSAGE, SENT and NACK are traced. Returns the hop's number for
   * `slow` and `gone`, or -1.
   *
   * @param only the connection that it is for, where it is for one
   */
  delivered(frame: Buffer, only: Connection | undefined, sockets: number): number {
    const type = frameType(frame);
    if (type === FrameType.MESSAGE) {
      const at = this.#add(PUSHED, frame, '');
      this.#readId(frame, HEADER_BYTES);
      return this.#finish(at, 0, undefined, sockets);
    }
    if (type === FrameType.SENT) {
      const at = this.#add(ACKNOWLEDGED, frame, '');
      this.#readId(frame, FIRST_AT + (frame[FIRST_AT - 1] as number));
      return this.#finish(at, fingerprintOf(frame), only, sockets);
    }
    if (type !== FrameType.NACK) return -1;
    const code = frame.toString('latin1', FIRST_AT, FIRST_AT + (frame[FIRST_AT - 1] as number));
    const at = this.#add(NACKED, frame, code);
    this.#idHigh = this.#idLow = 0;
    return this.#finish(at, 0, only, sockets);
  }

  /** One of the connections of a hop missed the frame because it is slow. */
  slow(number: number): void {
    this.#missed(number, this.#slow);
  }

  /** One of the connections of a hop is closed. */
  gone(number: number): void {
    this.#missed(number, this.#gone);
  }

  /** Returns the hops of a message, or of the attempts that may have become it. */
  find({ message, conversation, sender, fingerprint }: wire.Trace): wire.TraceHop[] {
    const found: wire.TraceHop[] = [];
    const [idHigh, idLow] = [Number(message >> 32n), Number(message & 0xffff_ffffn)];
    const [keyHigh, keyLow] = [Number(conversation >> 32n), Number(conversation & 0xffff_ffffn)];
    /** Attempts by connection and ref, by which a NACK identifies its message. */
    const attempts = new Set<string>();
    for (let number = Math.max(0, this.#count - SIZE); number < this.#count; number++) {
      const at = number & (SIZE - 1);
      const kind = this.#kinds[at] as number;
      const attempt = `${this.#conns[at]} ${this.#refs[at]}`;
      const isIt =
        kind >= ACKNOWLEDGED
          ? message !== 0n && this.#ids[at * 2] === idHigh && this.#ids[at * 2 + 1] === idLow
          : this.#keys[at * 2] === keyHigh &&
            this.#keys[at * 2 + 1] === keyLow &&
            (kind === NACKED
              ? attempts.has(attempt)
              : this.#users[at] === sender && this.#fingerprints[at] === fingerprint);
      if (!isIt || (conversation === 0n && kind < ACKNOWLEDGED)) continue;
      if (kind < NACKED) attempts.add(attempt);
      found.push(this.#read(at, kind));
    }
    return found;
  }

  #send(kind: number, connection: Connection, frame: Uint8Array, note: string): void {
    const at = this.#add(kind, frame, note);
    this.#idHigh = this.#idLow = 0;
    this.#finish(at, fingerprintOf(frame), connection, 0);
  }

  readonly #onTickEnd = (): void => {
    this.#nowMs = 0;
  };

  #missed(number: number, counts: Int32Array): void {
    if (number < 0 || number < this.#count - SIZE) return;
    const at = number & (SIZE - 1);
    this.#sockets[at] = (this.#sockets[at] as number) - 1;
    counts[at] = (counts[at] as number) + 1;
  }

  #add(kind: number, frame: Uint8Array, note: string): number {
    const at = this.#count & (SIZE - 1);
    if (this.#nowMs === 0) {
      this.#nowMs = performance.now();
      setImmediate(this.#onTickEnd);
    }
    this.#atMs[at] = this.#nowMs;
    this.#kinds[at] = kind;
    this.#keys[at * 2] = readU32(frame, KEY_AT);
    this.#keys[at * 2 + 1] = readU32(frame, KEY_AT + 4);
    this.#refs[at] = frameRef(frame);
    this.#notes[at] = note;
    return at;
  }

  #finish(at: number, fingerprint: number, connection: Connection | undefined, sockets: number): number {
    this.#ids[at * 2] = this.#idHigh;
    this.#ids[at * 2 + 1] = this.#idLow;
    this.#fingerprints[at] = fingerprint;
    this.#users[at] = connection === undefined ? 0n : connection.user;
    this.#conns[at] = connection === undefined ? 0 : connection.conn;
    this.#sockets[at] = sockets;
    this.#slow[at] = 0;
    this.#gone[at] = 0;
    return this.#count++;
  }

  /** Reads the id, the second of two varint fields; the first, seq, begins at `at`. */
  #readId(frame: Uint8Array, at: number): void {
    at++;
    while ((frame[at++] as number) >= 0x80);
    at++;
    let [low, high] = [0, 0];
    for (let shift = 0; shift < 64; shift += 7) {
      const byte = frame[at++] as number;
      const bits = byte & 0x7f;
      if (shift < 28) low |= bits << shift;
      else if (shift === 28) {
        low |= bits << 28;
        high = bits >>> 4;
      } else high |= bits << (shift - 32);
      if (byte < 0x80) break;
    }
    this.#idLow = low >>> 0;
    this.#idHigh = high >>> 0;
  }

  #read(at: number, kind: number): wire.TraceHop {
    const note = this.#notes[at] as string;
    return {
      atMs: performance.timeOrigin + (this.#atMs[at] as number),
      what: HOPS[kind] as string,
      conn: this.#conns[at] as number,
      ref: this.#refs[at] as number,
      state: kind === RECEIVED ? note : '',
      code: kind === REFUSED || kind === NACKED ? note : '',
      sockets: this.#sockets[at] as number,
      slow: this.#slow[at] as number,
      gone: this.#gone[at] as number,
      conversation: (BigInt(this.#keys[at * 2] as number) << 32n) | BigInt(this.#keys[at * 2 + 1] as number),
      sender: this.#users[at] as bigint,
      fingerprint: this.#fingerprints[at] as number,
    };
  }
}

/** Hashes the first field of SEND and SENT, client_msg_id (FNV-1a). */
function fingerprintOf(frame: Uint8Array): number {
  if (frame[HEADER_BYTES] !== FIRST_TAG) return 0;
  const length = Math.min(frame[FIRST_AT - 1] as number, MAX_FINGERPRINTED_BYTES);
  const end = Math.min(FIRST_AT + length, frame.length);
  let hash = 0x811c9dc5;
  for (let at = FIRST_AT; at < end; at++) hash = Math.imul(hash ^ (frame[at] as number), 0x01000193);
  return hash >>> 0;
}
