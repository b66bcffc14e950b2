/** One direction of a proxied connection: bytes on their way from one socket to the other. */
import type { Socket } from 'node:net';
import type { Random } from './random.ts';

/** Faults on the bytes; none where unset. */
export interface FlowFault {
  readonly latencyMs?: number;
  /** Most added latency of each piece; pieces never overtake. */
  readonly jitterMs?: number;
  readonly bytesPerSecond?: number;
  /** Largest piece; each leaves in its own write. */
  readonly sliceBytes?: number;
  /**
   * Nothing passes, not even the end or a reset. It passes when the fault ends, as TCP resends what a network has lost:
   * a stream never has a hole.
   */
  readonly hold?: boolean;
}

/** Beyond it the source is not read. */
const MAX_QUEUED_BYTES = 256 * 1024;

interface Piece {
  readonly bytes: Buffer;
  /** Monotonic time at which it may leave, ms. */
  readonly due: number;
}

export class Flow {
  readonly #source: Socket;
  readonly #sink: Socket;
  readonly #random: Random;
  #fault: FlowFault = {};
  #queue: Piece[] = [];
  #queuedBytes = 0;
  #lastDue = 0;
  #timer: NodeJS.Timeout | undefined;
  #sourceEnded = false;
  #sinkEnded = false;
  #blocked = false;
  /** The source was reset; tells the sink. */
  #passReset: (() => void) | undefined;

  constructor(source: Socket, sink: Socket, random: Random) {
    this.#source = source;
    this.#sink = sink;
    this.#random = random;
    source.on('data', (bytes: Buffer) => this.#take(bytes));
    source.on('end', () => {
      this.#sourceEnded = true;
      this.#pump();
    });
    sink.on('drain', () => {
      this.#blocked = false;
      this.#pump();
    });
  }

  set fault(fault: FlowFault) {
    this.#fault = fault;
    // Bytes delayed by an ended fault leave now; held ones get the new delay.
    this.#lastDue = 0;
    this.#queue = this.#queue.map(({ bytes }) => ({ bytes, due: this.#due(bytes.length) }));
    this.#pump();
  }

  /** Sends FIN; waiting and later bytes are dropped. */
  end(): void {
    this.#sinkEnded = true;
    this.#queue = [];
    this.#queuedBytes = 0;
    this.#sink.end();
    this.#source.resume();
  }

  /** The source was reset: calls `pass` when that gets through, at once unless the flow is held. */
  reset(pass: () => void): void {
    this.#passReset = pass;
    this.#pump();
  }

  stop(): void {
    this.#passReset = undefined;
    clearTimeout(this.#timer);
    this.#queue = [];
  }

  #take(bytes: Buffer): void {
    if (this.#sinkEnded) return;
    const slice = this.#fault.sliceBytes ?? bytes.length;
    for (let at = 0; at < bytes.length; at += slice) {
      const piece = bytes.subarray(at, at + slice);
      this.#queue.push({ bytes: piece, due: this.#due(piece.length) });
    }
    this.#queuedBytes += bytes.length;
    if (this.#queuedBytes > MAX_QUEUED_BYTES) this.#source.pause();
    this.#pump();
  }

  #due(length: number): number {
    const { latencyMs = 0, jitterMs = 0, bytesPerSecond, sliceBytes } = this.#fault;
    const arrival = performance.now() + latencyMs + this.#random.next() * jitterMs;
    // Slices that leave together would be joined on their way.
    const spacing =
      (bytesPerSecond === undefined ? 0 : (length * 1000) / bytesPerSecond) + (sliceBytes ? 0.2 : 0);
    this.#lastDue = Math.max(this.#lastDue, arrival) + spacing;
    return this.#lastDue;
  }

  #pump(): void {
    if (this.#fault.hold === true) return;
    this.#passReset?.();
    if (this.#blocked || this.#sinkEnded) return;
    const now = performance.now();
    let sent = 0;
    for (const { bytes, due } of this.#queue) {
      if (due > now || this.#blocked) break;
      sent++;
      this.#queuedBytes -= bytes.length;
      this.#blocked = !this.#sink.write(bytes);
    }
    if (sent > 0) this.#queue.splice(0, sent);
    const next = this.#queue[0];
    if (next !== undefined) {
      clearTimeout(this.#timer);
      if (!this.#blocked) this.#timer = setTimeout(() => this.#pump(), Math.max(0, next.due - now));
    } else if (this.#sourceEnded) {
      this.#sinkEnded = true;
      this.#sink.end();
    }
    if (this.#queuedBytes <= MAX_QUEUED_BYTES) this.#source.resume();
  }
}
