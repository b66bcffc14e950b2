/** Where clients reach a gateway, as it stands in the registry: the gateway writes it, ipconf and other gateways read it. */

/** What clients connect to for one transport. */
export interface ClientAddress {
  readonly host: string;
  readonly port: number;
  /** Clients must connect with TLS. */
  readonly tls: boolean;
}

export type TransportKind = 'tcp' | 'ws';

/** By transport; undefined: the gateway does not offer it. */
export type ClientAddresses = Readonly<Record<TransportKind, ClientAddress | undefined>>;

/** The part of a registered endpoint that holds them. */
export interface AddressRecord {
  readonly address: string;
  readonly metadata: Readonly<Record<string, string>>;
}

/** What clients are told of a gateway. */
export interface GatewayEndpoint {
  readonly host: string;
  /** TCP; 0: none at this host. */
  readonly port: number;
  /** WebSocket; 0: none at this host. */
  readonly wsPort: number;
  /** Of both. */
  readonly tls: boolean;
}

/** The endpoint's address is that of TCP, or where that is off, of WebSocket; at least one of them is there. */
export function writeClientAddresses({ tcp, ws }: ClientAddresses): AddressRecord {
  const { host, port } = (tcp ?? ws) as ClientAddress;
  return {
    address: joinAddress(host, port),
    metadata: {
      ...(tcp === undefined ? { tcp: 'off' } : tcp.tls && { tls: '1' }),
      ...(ws && { ws_host: ws.host, ws_port: String(ws.port), ws_tls: ws.tls ? '1' : '0' }),
    },
  };
}

/** Reads them; what is of no use to a client counts as not offered. */
export function readClientAddresses({ address, metadata }: AddressRecord): ClientAddresses {
  const [, host = '', port = ''] = /^\[?(.+?)\]?:(\d+)$/.exec(address) ?? [];
  const { tcp, tls, ws_host: wsHost = host, ws_port: wsPort = '', ws_tls: wsTls = tls } = metadata;
  return {
    tcp: tcp === 'off' ? undefined : clientAddress(host, port, tls),
    ws: clientAddress(wsHost, wsPort, wsTls),
  };
}

/**
 * Returns what a client of this transport is told; undefined: the gateway does not offer it. The other transport's port
 * stands beside it where that differs in nothing else.
 */
export function endpointFor(kind: TransportKind, { tcp, ws }: ClientAddresses): GatewayEndpoint | undefined {
  const mine = kind === 'tcp' ? tcp : ws;
  if (mine === undefined) return undefined;
  const { host, tls } = mine;
  const portOf = (other: ClientAddress | undefined) =>
    other?.host === host && other.tls === tls ? other.port : 0;
  return { host, port: portOf(tcp), wsPort: portOf(ws), tls };
}

/** Joins host and port; an IPv6 address gets its brackets. */
export function joinAddress(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

function clientAddress(host: string, port: string, tls: string | undefined): ClientAddress | undefined {
  const number = Number(port);
  const isPort = Number.isInteger(number) && number > 0 && number < 65_536;
  return host !== '' && isPort ? { host, port: number, tls: tls === '1' } : undefined;
}
