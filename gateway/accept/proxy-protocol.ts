/**
 * PROXY protocol, versions 1 and 2: the header by which a load balancer names the client of a connection.
 * https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt sections 2.1 and 2.2
 *
 * Version 1 is a line, version 2 is binary:
 *
 *     PROXY TCP4 192.0.2.1 198.51.100.7 55555 8900\r\n
 *
 *     0           12            13       14       16
 *     | signature | version,cmd | family | length | addresses, extensions (TLV) …
 */
import { isIPv4, isIPv6 } from 'node:net';

const LINE_START = Buffer.from('PROXY ');
/** Longest line of version 1, its CRLF included. */
const MAX_LINE_BYTES = 107;
const LF = 0x0a;
/** Source, destination and their ports, or UNKNOWN with anything after it. */
const LINE = /^PROXY (?:(TCP4|TCP6) (\S+) (\S+) (\d{1,5}) (\d{1,5})|UNKNOWN(?: .*)?)\r\n$/;

const SIGNATURE = Uint8Array.of(0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a);
const HEAD_BYTES = 16;
/** Longest header accepted: up to 216 bytes of addresses; the rest are extensions, which are skipped. */
export const MAX_PROXY_HEADER_BYTES = 4096;

const LOCAL = 0x20;
const PROXY = 0x21;
/** Family bytes and the sizes of their addresses. Only IPv4 and IPv6 addresses are read. */
const UNSPECIFIED = 0x00;
const TCP4 = 0x11;
const TCP6 = 0x21;
const ADDRESS_BYTES: ReadonlyMap<number, number> = new Map([
  [UNSPECIFIED, 0],
  [TCP4, 12],
  [TCP6, 36],
  // Stream on a UNIX socket.
  [0x31, 216],
]);

/** A complete header. */
export interface ProxyHeader {
  readonly bytes: number;
  /** The client's address; undefined for the balancer's own connections (health checks) or if it does not know. */
  readonly address: string | undefined;
}

/** Reads a header of either version from the beginning of a stream; 'more': valid so far, 'invalid': not a header. */
export function parseProxyHeader(bytes: Uint8Array): ProxyHeader | 'more' | 'invalid' {
  return bytes[0] === LINE_START[0] ? parseLine(bytes) : parseBinary(bytes);
}

function parseLine(bytes: Uint8Array): ProxyHeader | 'more' | 'invalid' {
  if (!beginsWith(bytes, LINE_START)) return 'invalid';
  const end = bytes.subarray(0, MAX_LINE_BYTES).indexOf(LF) + 1;
  if (end === 0) return bytes.length < MAX_LINE_BYTES ? 'more' : 'invalid';
  const [line, family, source = '', target = '', ...ports] =
    LINE.exec(Buffer.from(bytes.subarray(0, end)).toString('latin1')) ?? [];
  if (line === undefined) return 'invalid';
  if (family === undefined) return { bytes: end, address: undefined };
  const isAddress = family === 'TCP4' ? isIPv4 : isIPv6;
  const isPort = (port: string | undefined) => port === String(Number(port)) && Number(port) < 65_536;
  return isAddress(source) && isAddress(target) && ports.every(isPort)
    ? { bytes: end, address: source }
    : 'invalid';
}

/** Whether the bytes that are there are those of the beginning. */
function beginsWith(bytes: Uint8Array, beginning: Uint8Array): boolean {
  return beginning.subarray(0, bytes.length).every((byte, i) => byte === bytes[i]);
}

function parseBinary(bytes: Uint8Array): ProxyHeader | 'more' | 'invalid' {
  if (!beginsWith(bytes, SIGNATURE)) return 'invalid';
  const command = bytes[12];
  if (command !== undefined && command !== LOCAL && command !== PROXY) return 'invalid';
  if (bytes.length < HEAD_BYTES) return 'more';
  const family = bytes[13] as number;
  const length = ((bytes[14] as number) << 8) | (bytes[15] as number);
  const size = HEAD_BYTES + length;
  const needed = ADDRESS_BYTES.get(family);
  if (size > MAX_PROXY_HEADER_BYTES) return 'invalid';
  // Whatever LOCAL brings along is to be skipped.
  if (command === PROXY && (needed === undefined || length < needed)) return 'invalid';
  if (bytes.length < size) return 'more';
  return { bytes: size, address: command === PROXY ? readSource(bytes, family) : undefined };
}

function readSource(bytes: Uint8Array, family: number): string | undefined {
  if (family === TCP4) return bytes.subarray(HEAD_BYTES, HEAD_BYTES + 4).join('.');
  if (family !== TCP6) return undefined;
  const hextets: string[] = [];
  for (let at = HEAD_BYTES; at < HEAD_BYTES + 16; at += 2)
    hextets.push((((bytes[at] as number) << 8) | (bytes[at + 1] as number)).toString(16));
  const address = hextets.join(':');
  // An IPv4 client behind a balancer on IPv6 counts under its own address.
  return address.startsWith('0:0:0:0:0:ffff:')
    ? `::ffff:${bytes.subarray(HEAD_BYTES + 12, HEAD_BYTES + 16).join('.')}`
    : address;
}
