/**
 * The listening socket of a server, ours instead of grpc-js's: exact errors, peer identities, and connections that can
 * be destroyed.
 */
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { createServer as createTlsServer } from 'node:tls';
import type { TLSSocket } from 'node:tls';
import { CrpcError } from '../errors.ts';
import type { Logger } from '../logger.ts';
import { isAllowedPeer, secureContext } from '../client/credentials.ts';
import type { TlsOptions } from '../client/credentials.ts';

/** Deadline for a closing connection to flush. */
const FLUSH_MS = 200;
const HANDSHAKE_TIMEOUT_MS = 10_000;
/** Shortest interval between logs of accept errors: with EMFILE every peer that tries causes one. ms. */
const LOG_INTERVAL_MS = 1000;

export interface ListenOptions {
  readonly host: string;
  readonly port: number;
  /** Name of the command-line flag that sets the port. */
  readonly flag: string;
}

export interface ListenerOptions {
  /** Receiver of connections, after the TLS handshake if there is one. */
  readonly injector: { injectConnection(connection: Duplex): void };
  readonly tls: TlsOptions | undefined;
  readonly logger: Logger;
}

/**
 * Accepts connections and passes them to grpc-js.
 *
 * TLS is terminated here, so that a peer's identity is checked once per connection and not once per call.
 */
export class Listener {
  readonly #server: Server;
  readonly #logger: Logger;
  readonly #sockets = new Set<Socket>();
  #loggedMs = -Infinity;

  /** @throws CrpcError CONFIG_INVALID for a certificate or key that does not do */
  constructor({ injector, tls, logger }: ListenerOptions) {
    this.#logger = logger;
    this.#server = tls === undefined ? createServer() : createTls(tls, injector, logger);
    this.#server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
      // Once there is an HTTP/2 session, it handles the socket's errors.
      socket.on('error', () => {});
      if (tls === undefined) injector.injectConnection(socket);
    });
  }

  /** Listens and returns the actual port. @throws CrpcError PORT_IN_USE, LISTEN_FAILED */
  async listen({ host, port, flag }: ListenOptions): Promise<number> {
    try {
      this.#server.listen({ host, port, backlog: 4096 });
      await once(this.#server, 'listening');
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      const reason = code ?? message;
      throw new CrpcError(reason === 'EADDRINUSE' ? 'PORT_IN_USE' : 'LISTEN_FAILED', {
        details: { host, port, flag, reason },
        cause: error,
      });
    }
    this.#server.on('error', (error) => this.#onAcceptError(error));
    return (this.#server.address() as AddressInfo).port;
  }

  /** Stops accepting connections. */
  close(): void {
    this.#server.close();
  }

  /** Resolves when the last connection has ended. */
  async emptied(): Promise<void> {
    while (this.#sockets.size > 0)
      await Promise.all(
        [...this.#sockets].map((socket) => new Promise((resolve) => socket.once('close', resolve))),
      );
  }

  /** Ends every connection; destroys those that have not flushed within FLUSH_MS. */
  async destroy(): Promise<void> {
    this.close();
    // HTTP/2 writes below the socket's stream, so only time tells whether the bytes are out.
    const timer = setTimeout(() => {
      for (const socket of this.#sockets) socket.destroy();
    }, FLUSH_MS);
    await Promise.all(
      [...this.#sockets].map((socket) => new Promise((resolve) => socket.once('close', resolve))),
    );
    clearTimeout(timer);
  }

  /** A peer could not be accepted, for example with EMFILE; the server goes on. */
  #onAcceptError({ message: reason }: Error): void {
    if (performance.now() - this.#loggedMs < LOG_INTERVAL_MS) return;
    this.#loggedMs = performance.now();
    this.#logger.warn({ reason }, 'a peer could not be accepted; with EMFILE, raise the limit of open files');
  }
}

function createTls(tls: TlsOptions, injector: ListenerOptions['injector'], logger: Logger): Server {
  const server = createTlsServer({
    ...secureContext(tls),
    requestCert: tls.ca !== undefined,
    rejectUnauthorized: true,
    ALPNProtocols: ['h2'],
    handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
  });
  server.on('secureConnection', (socket: TLSSocket) => {
    socket.on('error', () => {});
    if (isAllowedPeer(tls, socket)) {
      injector.injectConnection(socket);
      return;
    }
    const { subject, subjectaltname } = socket.getPeerCertificate();
    const peer = socket.remoteAddress;
    logger.warn(
      { peer, subject: subject?.CN, names: subjectaltname },
      'refused: not one of the allowed peers',
    );
    socket.destroy();
  });
  server.on('tlsClientError', (error: Error, socket: TLSSocket) => {
    logger.warn({ peer: socket.remoteAddress, reason: error.message }, 'TLS handshake failed');
  });
  return server;
}
