/** The address that others reach a server at. */
import { isIPv6 } from 'node:net';
import { networkInterfaces } from 'node:os';

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
