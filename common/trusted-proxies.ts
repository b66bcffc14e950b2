/** Trusted proxies: whose X-Forwarded-For is believed, and how far. */
import type { IncomingMessage } from 'node:http';
import { isIP } from 'node:net';
import { AddressList, plainAddress } from './address.ts';

const COUNT = /^[1-9]\d?$/;
const BRACKETED = /^\[([^\]]+)\](?::\d{1,5})?$/;
const IPV4_WITH_PORT = /^([\d.]+):\d{1,5}$/;

/**
 * The one rule by which servers take a client's address from X-Forwarded-For.
 *
 * Each proxy appends the address that its request came from, and a client can write whatever it likes in front of that.
 * So the list is read from its end, and an entry counts only where a trusted proxy wrote it: as many entries as there are
 * proxies, or as long as the address before is one of the proxies'. Where a proxy wrote no address ("unknown"), its own
 * address stands for its clients.
 */
export class TrustedProxies {
  readonly #count: number;
  readonly #list: AddressList;

  /**
   * @param text how many proxies each request passes (`1`), or their addresses and networks (`10.0.0.0/8,::1`); empty: none
   * @throws RangeError naming the entry that is neither an address nor a network
   */
  constructor(text: string) {
    this.#count = COUNT.test(text) ? Number(text) : 0;
    this.#list = new AddressList(this.#count > 0 ? '' : text);
  }

  /** Returns whether what connects from this address is a proxy. */
  has(address: string): boolean {
    return this.#count > 0 || this.#list.has(address);
  }

  /** Returns the address that a request came from; empty where its connection has ended. */
  clientOf(request: IncomingMessage): string {
    return this.client(request.socket.remoteAddress ?? '', String(request.headers['x-forwarded-for'] ?? ''));
  }

  /** Returns the client's address. @param peer the other end of the connection @param forwardedFor value of X-Forwarded-For */
  client(peer: string, forwardedFor: string): string {
    let address = plainAddress(peer);
    let rest = forwardedFor;
    for (let hop = 0; hop < this.#count || this.#list.has(address); hop++) {
      const comma = rest.lastIndexOf(',');
      const entry = parseEntry(rest.slice(comma + 1).trim());
      if (entry === undefined) break;
      address = entry;
      if (comma < 0) break;
      rest = rest.slice(0, comma);
    }
    return address;
  }
}

/** Returns the address of an entry, which some proxies write with a port. */
function parseEntry(entry: string): string | undefined {
  const address = BRACKETED.exec(entry)?.[1] ?? IPV4_WITH_PORT.exec(entry)?.[1] ?? entry;
  return isIP(address) === 0 ? undefined : plainAddress(address);
}
