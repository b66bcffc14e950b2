/** A queue of frames in one buffer: a Buffer per frame would take several times the memory of a small frame. */
import { LENGTH_BYTES, readU32, writeU32 } from '../../proto/mod.ts';

/** In front of each frame: its size on the wire. */
const COUNT_BYTES = 4;
const MIN_BYTES = 1024;

/** A queue of frames. Memory that it has returned is never overwritten. */
export class HeldFrames {
  #bytes: Buffer = Buffer.alloc(0);
  #from = 0;
  #to = 0;

  get isEmpty(): boolean {
    return this.#from === this.#to;
  }

  /** Copies a frame into the queue. @param bytes its size on the wire */
  push(frame: Uint8Array, bytes: number): void {
    const size = COUNT_BYTES + frame.length;
    if (this.#to + size > this.#bytes.length) this.#grow(size);
    writeU32(this.#bytes, this.#to, bytes);
    this.#bytes.set(frame, this.#to + COUNT_BYTES);
    this.#to += size;
  }

  /** Removes the oldest frame; there must be one. */
  shift(): { frame: Uint8Array; bytes: number } {
    const bytes = readU32(this.#bytes, this.#from);
    const at = this.#from + COUNT_BYTES;
    this.#from = at + LENGTH_BYTES + readU32(this.#bytes, at);
    return { frame: this.#bytes.subarray(at, this.#from), bytes };
  }

  #grow(size: number): void {
    const waiting = this.#to - this.#from;
    const grown = Buffer.allocUnsafeSlow(Math.max(MIN_BYTES, waiting * 2 + size));
    this.#bytes.copy(grown, 0, this.#from, this.#to);
    this.#bytes = grown;
    this.#from = 0;
    this.#to = waiting;
  }
}
