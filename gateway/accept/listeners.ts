/** The two ports of a worker: TCP and WebSocket. */
import {
  acceptErrorLog,
  AddressList,
  type ListenOptions,
  type Logger,
  TrustedProxies,
} from '../../common/mod.ts';
import type { Acceptor } from './acceptor.ts';
import type { TlsMaterial } from './tls-material.ts';
import { type GatewayLimits, MAX_REFUSED } from '../limits.ts';
import { WsListener } from './listener-ws.ts';
import type { TransportEvents } from '../wire/transport.ts';
import { TcpTransport } from '../wire/transport-tcp.ts';

export class Listeners {
  readonly #limits: GatewayLimits;
  readonly #each: { readonly tcp: Acceptor; readonly ws: Acceptor };

  /** @param tls undefined: no TLS */
  constructor(events: TransportEvents, limits: GatewayLimits, tls: TlsMaterial | undefined, logger: Logger) {
    this.#limits = limits;
    const log = acceptErrorLog(logger);
    const all: TransportEvents = {
      ...events,
      onAcceptError: (error) => {
        log(error);
        events.onAcceptError(error);
      },
    };
    const port = {
      tls,
      tlsTimeoutMs: limits.tlsTimeoutMs,
      proxies: new AddressList(limits.proxyProtocol),
      timeoutMs: limits.helloTimeoutMs,
      maxSockets: maxSockets(limits),
    };
    this.#each = {
      tcp: new TcpTransport(all, port).acceptor,
      ws: new WsListener(all, limits.maxFrameBytes, {
        ...port,
        trusted: new TrustedProxies(limits.trustProxy),
        logger,
      }).acceptor,
    };
  }

  /** Listens for one kind of client and returns the port. Rejects with the system's error. */
  listen(kind: 'tcp' | 'ws', options: Omit<ListenOptions, 'backlog'>): Promise<number> {
    return this.#each[kind].listen({ ...options, backlog: this.#limits.backlog });
  }

  /** Stops accepting, until `listen`: clients find the port closed and go to another gateway. */
  close(): void {
    this.#each.tcp.close();
    this.#each.ws.close();
  }

  /** Uses another certificate for new handshakes. @throws Error when it is invalid; the old one stays in use */
  setTls(material: TlsMaterial): void {
    this.#each.tcp.setTls(material);
    this.#each.ws.setTls(material);
  }

  /** Applies changed limits. */
  onLimits(): void {
    this.#each.tcp.setMaxSockets(maxSockets(this.#limits));
    this.#each.ws.setMaxSockets(maxSockets(this.#limits));
  }
}

function maxSockets({ maxConnections }: GatewayLimits): number {
  return maxConnections + MAX_REFUSED;
}
