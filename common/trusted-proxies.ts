/** Trusted proxies, whose X-Forwarded-For headers are believed. */
import type { IncomingMessage } from 'node:http';
import { isIP } from 'node:net';
import { AddressList, plainAddress } from './address.ts';

const COUNT = /^[1-9]\d?$/;
const BRACKETED = /^\[([^\]]+)\](?::\d{1,5})?$/;
const IPV4_WITH_PORT = /^([\d.]+):\d{1,5}$/;

/**
 * The rule by which all servers take a client's address from X-Forwarded-For.
 *
 * Each proxy appends the address that its request came from, and a client can write anything in front of that. So the list
 * is read from its end, and only entries that a trusted proxy wrote count: as many as there are proxies, or as long as the
 * previous address is a proxy's. If a proxy wrote no address ("unknown"), its own address is used for its clients.
 */
export class TrustedProxies {
  readonly #count: number;
  readonly #list: AddressList;

  /**
   * @param text number of proxies that each request passes (`1`), or their addresses and networks (`10.0.0.0/8,::1`);
   *   empty: none
   * @throws RangeError naming the entry that is neither an address nor a network
   */
  constructor(text: string) {
    this.#count = COUNT.test(text) ? Number(text) : 0;
    this.#list = new AddressList(this.#count > 0 ? '' : text);
  }

  /** Returns whether the address is that of a proxy. */
  has(address: string): boolean {
    return this.#count > 0 || this.#list.has(address);
  }

  /** Returns the client's address of a request; empty if its connection has ended. */
  clientOf(request: IncomingMessage): string {
    return this.client(request.socket.remoteAddress ?? '', String(request.headers['x-forwarded-for'] ?? ''));
  }

  /** Returns the client's address. @param peer remote address of the connection @param forwardedFor value of X-Forwarded-For */
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

/** Returns the address of an entry, without the port that some proxies add. */
function parseEntry(entry: string): string | undefined {
  const address = BRACKETED.exec(entry)?.[1] ?? IPV4_WITH_PORT.exec(entry)?.[1] ?? entry;
  return isIP(address) === 0 ? undefined : plainAddress(address);
}
