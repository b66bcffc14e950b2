/** The addresses that a gateway advertises to clients. */
import { isIPv6 } from 'node:net';
import { networkInterfaces } from 'node:os';
import type { ClientAddress } from '../../proto/mod.ts';
import type { Port } from '../supervisor/control.ts';

/** The wildcard addresses. */
const ANY = new Set(['0.0.0.0', '::']);

/**
 * Returns the host to register for a listener on `host`: `host` itself or, for a wildcard address, the machine's first
 * address that others can reach, of the same family if there is one.
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
  // A socket on :: accepts IPv4 as well; one on 0.0.0.0 does not accept IPv6.
  const found = addresses.find(isSameFamily) ?? (host === '::' ? addresses[0] : undefined);
  return found ?? (host === '::' ? '::1' : '127.0.0.1');
}

/** An operator's settings of how clients reach a port; undefined: as it listens. */
export interface Advertised {
  /** A name or an address. */
  readonly host?: string | undefined;
  readonly port?: number | undefined;
  /** Whether clients must use TLS, wherever it is terminated. */
  readonly tls?: boolean | undefined;
}

/** Returns the address at which clients reach a port; undefined if the port is off. */
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
