/** `/ws`: pipes the upgrade to a gateway, which refuses or accepts it as if the client had come there. */
import type { IncomingMessage } from 'node:http';
import { connect as connectTcp, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { connect as connectTls } from 'node:tls';
import { endWith, GochatError, type Logger, pathOf, type TrustedProxies } from '../common/mod.ts';
import type { Registry, Unwatch } from '../crpc/mod.ts';
import { type ClientAddress, readClientAddresses } from '../proto/mod.ts';

/** Path of the WebSocket. */
export const WEB_SOCKET = '/ws';
/** Registry service of the gateways. */
const GATEWAY_SERVICE = 'gateway';
/** How long a gateway may take to accept the connection, ms. */
const CONNECT_MS = 3_000;
/** Gateways that are tried. */
const ATTEMPTS = 3;
/** Headers that say who the client is; they are written anew. */
const FORWARDED = new Set(['x-forwarded-for', 'forwarded']);

/** The gateway of the same process. */
export interface OwnGateway {
  readonly host: string;
  readonly port: number;
  /** Its certificate in PEM; undefined: no TLS. */
  readonly cert: string | undefined;
}

export interface WebSocketsOptions {
  readonly registry: Registry;
  /** Asked for each connection. @default one of the registry's */
  readonly gateway?: (() => OwnGateway) | undefined;
  readonly proxies: TrustedProxies;
  readonly logger: Logger;
}

/** Returns whether a request is for `upgrade`, and not for the routes. */
export function isWebSocket(request: IncomingMessage): boolean {
  return pathOf(request) === WEB_SOCKET && request.headers.upgrade?.toLowerCase() === 'websocket';
}

export class WebSockets {
  readonly #options: WebSocketsOptions;
  readonly #unwatch: Unwatch | undefined;
  #gateways: readonly ClientAddress[] = [];
  /** Both ends of each pipe. */
  readonly #sockets = new Set<Duplex>();
  #closed = false;

  constructor(options: WebSocketsOptions) {
    this.#options = options;
    if (options.gateway !== undefined) return;
    this.#unwatch = options.registry.watch(GATEWAY_SERVICE, ({ endpoints }) => {
      this.#gateways = endpoints.flatMap((endpoint) => readClientAddresses(endpoint).ws ?? []);
    });
  }

  /** Handles the event of the HTTP server. */
  readonly upgrade = async (request: IncomingMessage, client: Duplex, head: Buffer): Promise<void> => {
    this.#hold(client);
    for (const open of this.#candidates()) {
      const gateway = await this.#connect(open);
      if (client.destroyed || this.#closed) {
        gateway?.destroy();
        break;
      }
      if (gateway === undefined) continue;
      gateway.write(this.#requestOf(request));
      gateway.write(head);
      client.pipe(gateway).pipe(client);
      // One end without the other has no use.
      client.once('close', () => gateway.destroy());
      gateway.once('close', () => client.destroy());
      return;
    }
    if (this.#closed) client.destroy();
    else endWith(client, { error: new GochatError('NO_GATEWAY', { retryAfterMs: 1_000 }) });
  };

  /** Ends all connections; their clients connect again elsewhere. */
  close(): void {
    this.#closed = true;
    this.#unwatch?.();
    for (const socket of this.#sockets) socket.destroy();
  }

  /** Returns ways to open a socket to a gateway, in random order. */
  #candidates(): (() => Socket)[] {
    const { gateway } = this.#options;
    if (gateway !== undefined) return [() => openOwn(gateway())];
    const drawn = [...this.#gateways];
    for (let i = drawn.length - 1; i > 0; i--) {
      const j = Math.floor(Math.random() * (i + 1));
      [drawn[i], drawn[j]] = [drawn[j] as ClientAddress, drawn[i] as ClientAddress];
    }
    return drawn.slice(0, ATTEMPTS).map((address) => () => openListed(address));
  }

  /** Resolves with the socket once it is open; undefined if the gateway cannot be reached. */
  #connect(open: () => Socket): Promise<Socket | undefined> {
    const { logger } = this.#options;
    return new Promise((resolve) => {
      const socket = this.#hold(open());
      const late = setTimeout(() => socket.destroy(new Error('no connection in time')), CONNECT_MS);
      const ready = 'encrypted' in socket ? 'secureConnect' : 'connect';
      socket.once(ready, () => {
        clearTimeout(late);
        resolve(socket);
      });
      socket.once('close', () => {
        clearTimeout(late);
        resolve(undefined);
      });
      socket.once('error', (error) => logger.warn({ err: error }, 'a gateway cannot be reached for /ws'));
    });
  }

  #hold<S extends Duplex>(socket: S): S {
    this.#sockets.add(socket);
    socket.on('error', () => socket.destroy());
    socket.once('close', () => this.#sockets.delete(socket));
    return socket;
  }

  /** Writes the request as it came, with the client's address as the only one in X-Forwarded-For. */
  #requestOf(request: IncomingMessage): string {
    const { method, url, rawHeaders } = request;
    let text = `${method} ${url} HTTP/1.1\r\n`;
    for (let i = 0; i < rawHeaders.length; i += 2)
      if (!FORWARDED.has((rawHeaders[i] as string).toLowerCase()))
        text += `${rawHeaders[i]}: ${rawHeaders[i + 1]}\r\n`;
    return `${text}X-Forwarded-For: ${this.#options.proxies.clientOf(request)}\r\n\r\n`;
  }
}

function openListed({ host, port, tls }: ClientAddress): Socket {
  return tls ? connectTls({ host, port, servername: host }) : connectTcp({ host, port });
}

/** Its certificate names what clients call it, not the address at which this process reaches it. */
function openOwn({ host, port, cert }: OwnGateway): Socket {
  if (cert === undefined) return connectTcp({ host, port });
  return connectTls({
    host,
    port,
    ca: cert,
    allowPartialTrustChain: true,
    checkServerIdentity: () => undefined,
  });
}
