/** The address under which clients are told to come. */
import { isIPv6 } from 'node:net';
import { networkInterfaces } from 'node:os';
import type { ClientAddress } from '../../proto/mod.ts';
import type { Port } from '../supervisor/control.ts';

/** What a socket listens on to take connections to any address of the machine. */
const ANY = new Set(['0.0.0.0', '::']);

/**
 * Returns the host that stands in the registry for a listener on `host`: itself, or, where it listens on all addresses,
 * the machine's first one that others can reach, of the same family if there is one.
 *
 * @param interfaces as os.networkInterfaces() returns them
 */
export function advertisedHost(host: string, interfaces = networkInterfaces()): string {
  if (!ANY.has(host)) return host;
  const addresses = Object.values(interfaces)
    .flatMap((found) => found ?? [])
    .filter(({ internal, scopeid }) => !internal && !scopeid)
    .map(({ address }) => address);
  const isSameFamily = (address: string) => isIPv6(address) === isIPv6(host);
  // A socket on :: takes IPv4 as well; one on 0.0.0.0 does not take IPv6.
  const found = addresses.find(isSameFamily) ?? (host === '::' ? addresses[0] : undefined);
  return found ?? (host === '::' ? '::1' : '127.0.0.1');
}

/** What an operator says of how clients reach a port; undefined: as it listens. */
export interface Advertised {
  /** A name or an address. */
  readonly host?: string | undefined;
  readonly port?: number | undefined;
  /** Clients must connect with TLS, whoever ends it. */
  readonly tls?: boolean | undefined;
}

/** Returns where clients reach a port that listens so; undefined: it is off. */
export function clientAddress(
  listens: { readonly host: string; readonly port: Port; readonly tls: boolean },
  { host, port, tls }: Advertised,
): ClientAddress | undefined {
  if (listens.port === 'off') return undefined;
  return {
    host: host ?? advertisedHost(listens.host),
    port: port ?? listens.port,
    tls: tls ?? listens.tls,
  };
}
