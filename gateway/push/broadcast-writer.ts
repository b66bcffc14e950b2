/** One buffer to many sockets: a room's fan-out, in one call where there is one (common/internals/write-many.ts). */
import type { Duplex } from 'node:stream';
import type { WriteMany } from '../../common/mod.ts';
import { isLeftToReader } from '../wire/socket-ends.ts';

/** Sockets written to in one call; it stops the thread for some 5 ms. */
const MAX_SOCKETS = 1024;

/** Gathers the sockets that get the same buffer, one after the other. */
export class BroadcastWriter {
  readonly #writeMany: WriteMany | undefined;
  readonly #sockets: Duplex[] = [];
  readonly #descriptors = new Int32Array(MAX_SOCKETS);
  readonly #taken = new Int32Array(MAX_SOCKETS);
  #bytes: Buffer = NOTHING;

  /** @param writeMany undefined: sockets are written to one by one */
  constructor(writeMany?: WriteMany) {
    this.#writeMany = writeMany;
  }

  /**
   * Writes to a socket, now or with `flush`: until then nothing else may be written to it.
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
      // The rest waits in the socket as ever, and what is wrong with it shows there.
      if (count >= 0 || !isLeftToReader(socket, -count)) socket.write(bytes.subarray(Math.max(0, count)));
    }
    sockets.length = 0;
  }
}

const NOTHING = Buffer.alloc(0);
