/** The address under which clients are told to come. */
import { isIPv6 } from 'node:net';
import { networkInterfaces } from 'node:os';

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

/** Joins host and port; an IPv6 address gets its brackets. */
export function joinAddress(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
