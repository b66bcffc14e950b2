/** The listening socket of a server, in our hands instead of grpc-js's: exact errors, and connections that can be cut. */
import { createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { GochatError } from '../common/mod.ts';

/** How long a closing connection may take to flush. */
const FLUSH_MS = 200;

export interface ListenOptions {
  readonly host: string;
  readonly port: number;
  /** Name of the command-line flag that sets the port. */
  readonly flag: string;
}

/** Accepts connections and hands them to grpc-js. */
export class Listener {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  constructor(injector: { injectConnection(connection: Duplex): void }) {
    this.#server = createServer((socket) => {
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
      // The HTTP/2 session has the socket's errors; without one nobody has.
      socket.on('error', () => {});
      injector.injectConnection(socket);
    });
  }

  /** Returns the port really taken. @throws GochatError PORT_IN_USE, CONFIG_INVALID */
  async listen({ host, port, flag }: ListenOptions): Promise<number> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', (error: NodeJS.ErrnoException) => {
        if (error.code === 'EADDRINUSE')
          reject(new GochatError('PORT_IN_USE', { cause: error, details: { host, port, flag } }));
        else {
          const what = `Cannot listen on ${host}:${port}: ${error.message}.`;
          reject(new GochatError('CONFIG_INVALID', { cause: error, details: { what } }));
        }
      });
      this.#server.listen({ host, port, backlog: 4096 }, resolve);
    });
    return (this.#server.address() as AddressInfo).port;
  }

  /** Accepts no more connections. */
  close(): void {
    this.#server.close();
  }

  /** Ends every connection; those that have not flushed within FLUSH_MS are cut. */
  async destroy(): Promise<void> {
    this.close();
    // HTTP/2 writes below the socket's stream, so only time tells whether what was written is out.
    const timer = setTimeout(() => {
      for (const socket of this.#sockets) socket.destroy();
    }, FLUSH_MS);
    await Promise.all(
      [...this.#sockets].map((socket) => new Promise((resolve) => socket.once('close', resolve))),
    );
    clearTimeout(timer);
  }
}
