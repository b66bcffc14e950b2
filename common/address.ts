/** IP addresses: their canonical form, the key that limits per address use, and lists of networks. */
import { BlockList, isIP, isIPv4, isIPv6 } from 'node:net';

const MAPPED_IPV4 = /^::ffff:(\d{1,3}(?:\.\d{1,3}){3})$/i;
const HEXTETS = 8;
const PREFIX_HEXTETS = 4;

/**
 * Returns the key that an address is counted under: the address itself, or its /64 for IPv6, as each subscriber has a
 * whole /64 (RFC 6177). An IPv4-mapped IPv6 address (::ffff:1.2.3.4) counts as the IPv4 address.
 */
export function addressKey(address: string): string {
  if (!address.includes(':')) return address;
  const plain = plainAddress(address);
  if (!isIPv6(plain)) return plain;
  const [head = '', tail] = plain.split('%', 1)[0]?.split('::') ?? [];
  const left = head === '' ? [] : head.split(':');
  const right = tail === undefined || tail === '' ? [] : tail.split(':');
  // An IPv4 address at the end stands for two hextets, which are never part of the prefix.
  const gap = HEXTETS - left.length - right.length - (plain.includes('.') ? 1 : 0);
  const all = tail === undefined ? left : [...left, ...Array.from({ length: gap }, () => '0'), ...right];
  const prefix = all.slice(0, PREFIX_HEXTETS).map((hextet) => Number.parseInt(hextet, 16).toString(16));
  return `${prefix.join(':')}::/64`;
}

/** A list of addresses and networks, for example `127.0.0.0/8,::1`. */
export class AddressList {
  readonly #list = new BlockList();
  readonly #isEmpty: boolean;

  /** @throws RangeError naming the entry that is neither an address nor a network */
  constructor(text: string) {
    const entries = text
      .split(',')
      .map((entry) => entry.trim())
      .filter((entry) => entry !== '');
    this.#isEmpty = entries.length === 0;
    for (const entry of entries) this.#add(entry);
  }

  has(address: string): boolean {
    if (this.#isEmpty) return false;
    const plain = plainAddress(address);
    const family = isIP(plain);
    return family !== 0 && this.#list.check(plain, family === 4 ? 'ipv4' : 'ipv6');
  }

  #add(entry: string): void {
    const [address = '', bits, more] = entry.split('/');
    const family = isIP(address) === 4 ? 'ipv4' : 'ipv6';
    const most = family === 'ipv4' ? 32 : 128;
    const prefix = bits === undefined ? most : Number(bits);
    const isPrefix = bits === undefined || (/^\d{1,3}$/.test(bits) && prefix <= most);
    if (isIP(address) === 0 || !isPrefix || more !== undefined)
      throw new RangeError(`${entry} is neither an address nor a network such as 10.0.0.0/8`);
    this.#list.addSubnet(address, prefix, family);
  }
}

/** Returns the IPv4 address of an IPv4-mapped IPv6 address (::ffff:1.2.3.4), and any other address unchanged. */
export function plainAddress(address: string): string {
  const mapped = MAPPED_IPV4.exec(address)?.[1];
  return mapped !== undefined && isIPv4(mapped) ? mapped : address;
}

/** Joins host and port; an IPv6 address gets its brackets. */
export function joinAddress(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
