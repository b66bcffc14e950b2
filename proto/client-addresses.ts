/** The client addresses in a gateway's registry entry: the gateway writes them, ipconf and other gateways read them. */

/** The address for one transport. */
export interface ClientAddress {
  readonly host: string;
  readonly port: number;
  /** Whether clients must use TLS. */
  readonly tls: boolean;
}

export type TransportKind = 'tcp' | 'ws';

/** By transport; undefined: the gateway does not offer it. */
export type ClientAddresses = Readonly<Record<TransportKind, ClientAddress | undefined>>;

/** The part of a registered endpoint that contains them. */
export interface AddressRecord {
  readonly address: string;
  readonly metadata: Readonly<Record<string, string>>;
}

/** A gateway as clients are told of it. */
export interface GatewayEndpoint {
  readonly host: string;
  /** TCP port; 0: none on this host. */
  readonly port: number;
  /** WebSocket port; 0: none on this host. */
  readonly wsPort: number;
  /** Whether both ports use TLS. */
  readonly tls: boolean;
}

/** Encodes client addresses. The endpoint's address is that of TCP or, if TCP is off, of WebSocket; one must be given. */
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

/** Decodes client addresses; an unusable one counts as not offered. */
export function readClientAddresses({ address, metadata }: AddressRecord): ClientAddresses {
  const [, host = '', port = ''] = /^\[?(.+?)\]?:(\d+)$/.exec(address) ?? [];
  const { tcp, tls, ws_host: wsHost = host, ws_port: wsPort = '', ws_tls: wsTls = tls } = metadata;
  return {
    tcp: tcp === 'off' ? undefined : clientAddress(host, port, tls),
    ws: clientAddress(wsHost, wsPort, wsTls),
  };
}

/**
 * Returns the endpoint for a client of this transport; undefined if the gateway does not offer it. It includes the other
 * transport's port if host and TLS are the same.
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
