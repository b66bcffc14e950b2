/** Writer of one buffer to many sockets, in one call if the native function is there (common/internals/write-many.ts). */
import type { Duplex } from 'node:stream';
import type { WriteMany } from '../../common/mod.ts';
import { isLeftToReader } from '../wire/socket-ends.ts';

/** Most sockets per call; a full call blocks the thread for some 5 ms. */
const MAX_SOCKETS = 1024;

/** Gathers consecutive sockets that get the same buffer. */
export class BroadcastWriter {
  readonly #writeMany: WriteMany | undefined;
  readonly #sockets: Duplex[] = [];
  readonly #descriptors = new Int32Array(MAX_SOCKETS);
  readonly #taken = new Int32Array(MAX_SOCKETS);
  #bytes: Buffer = NOTHING;

  /** @param writeMany undefined: sockets are written one by one */
  constructor(writeMany?: WriteMany) {
    this.#writeMany = writeMany;
  }

  /**
   * Writes to a socket, now or at `flush`; until then nothing else may be written to it.
   *
   * @param descriptor descriptorOf the socket
   */
  write(socket: Duplex, descriptor: number, bytes: Buffer): void {
    if (this.#writeMany === undefined || descriptor < 0 || socket.destroyed || socket.writableLength > 0) {
      socket.write(bytes);
      return;
    }
    if (bytes !== this.#bytes || this.#sockets.length === MAX_SOCKETS) {
      this.flush();
      this.#bytes = bytes;
    }
    this.#descriptors[this.#sockets.length] = descriptor;
    this.#sockets.push(socket);
  }

  /** Writes what has been gathered. */
  flush(): void {
    const sockets = this.#sockets;
    if (sockets.length === 0) return;
    const bytes = this.#bytes;
    this.#bytes = NOTHING;
    const taken = this.#taken;
    this.#writeMany?.(this.#descriptors, sockets.length, bytes, taken);
    for (let i = 0; i < sockets.length; i++) {
      const count = taken[i] as number;
      if (count >= bytes.length) continue;
      const socket = sockets[i] as Duplex;
      // The socket queues the rest and reports its own errors.
      if (count >= 0 || !isLeftToReader(socket, -count)) socket.write(bytes.subarray(Math.max(0, count)));
    }
    sockets.length = 0;
  }
}

const NOTHING = Buffer.alloc(0);
