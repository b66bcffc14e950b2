import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { MAX_PROXY_HEADER_BYTES, parseProxyHeader } from './proxy-protocol.ts';

/** The signature as the specification writes it. */
const SIGNATURE = '0d0a0d0a000d0a515549540a';
const TCP4 = 'c0000201 c6336407 d903 1f90'.replaceAll(' ', '');
const TCP6 = '20010db8000000000000000000000001 20010db8000000000000000000000002 d903 1f90'.replaceAll(
  ' ',
  '',
);
const UNIX = '2f746d702f61'.padEnd(432, '0');

const bytes = (hex: string) => new Uint8Array(Buffer.from(hex, 'hex'));

/** Composed from the field tables of section 2.2 of the specification. */
const VECTORS = [
  ['LOCAL, nothing after it', `${SIGNATURE}20000000`, 16, undefined],
  ['LOCAL with addresses: skipped', `${SIGNATURE}2011000c${TCP4}`, 28, undefined],
  ['LOCAL of a family that is not known: skipped', `${SIGNATURE}20ff0003010203`, 19, undefined],
  ['PROXY, family not known to the sender', `${SIGNATURE}21000000`, 16, undefined],
  ['PROXY, TCP over IPv4', `${SIGNATURE}2111000c${TCP4}`, 28, '192.0.2.1'],
  ['PROXY, TCP over IPv6', `${SIGNATURE}21210024${TCP6}`, 52, '2001:db8:0:0:0:0:0:1'],
  [
    'PROXY, an IPv4 address in IPv6',
    `${SIGNATURE}2121002400000000000000000000ffffc0000201${TCP6.slice(32)}`,
    52,
    '::ffff:192.0.2.1',
  ],
  ['PROXY, a UNIX socket', `${SIGNATURE}213100d8${UNIX}`, 232, undefined],
  ['TLV after the addresses (ALPN, "h2"): skipped', `${SIGNATURE}21110011${TCP4}0100026832`, 33, '192.0.2.1'],
  [
    'the longest',
    `${SIGNATURE}2111${(MAX_PROXY_HEADER_BYTES - 16).toString(16).padStart(4, '0')}${TCP4.padEnd(2 * (MAX_PROXY_HEADER_BYTES - 16), '0')}`,
    MAX_PROXY_HEADER_BYTES,
    '192.0.2.1',
  ],
] as const;

/** Examples and longest lines of section 2.1 of the specification. */
const LINES = [
  ['TCP4', 'PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n', '192.168.0.1'],
  ['TCP4, the longest', 'PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n', '255.255.255.255'],
  [
    'TCP6, the longest',
    `PROXY TCP6 ${'ffff:'.repeat(7)}ffff ${'ffff:'.repeat(7)}ffff 65535 65535\r\n`,
    `${'ffff:'.repeat(7)}ffff`,
  ],
  ['TCP6, compressed', 'PROXY TCP6 2001:db8::1 ::1 1 8900\r\n', '2001:db8::1'],
  ['TCP6, an IPv4 address in it', 'PROXY TCP6 ::ffff:192.0.2.1 ::1 0 8900\r\n', '::ffff:192.0.2.1'],
  ['UNKNOWN, short', 'PROXY UNKNOWN\r\n', undefined],
  [
    'UNKNOWN, the longest line there is',
    `PROXY UNKNOWN ${'ffff:'.repeat(7)}ffff ${'ffff:'.repeat(7)}ffff 65535 65535\r\n`,
    undefined,
  ],
] as const;

const MALFORMED_LINES: readonly (readonly [string, string])[] = [
  ['lower case', 'proxy TCP4 192.0.2.1 192.0.2.2 1 2\r\n'],
  ['HTTP that begins alike', 'PROPFIND / HTTP/1.1\r\n'],
  ['a family that is not known', 'PROXY TCP5 192.0.2.1 192.0.2.2 1 2\r\n'],
  ['datagrams', 'PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n'],
  ['no family', 'PROXY \r\n'],
  ['what begins with UNKNOWN', 'PROXY UNKNOWNS\r\n'],
  ['an IPv6 address in TCP4', 'PROXY TCP4 2001:db8::1 192.0.2.2 1 2\r\n'],
  ['an IPv4 address in TCP6', 'PROXY TCP6 192.0.2.1 2001:db8::2 1 2\r\n'],
  ['an address with a leading zero', 'PROXY TCP4 192.0.2.01 192.0.2.2 1 2\r\n'],
  ['a destination that is no address', 'PROXY TCP4 192.0.2.1 example 1 2\r\n'],
  ['a port with a leading zero', 'PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n'],
  ['a port beyond the last', 'PROXY TCP4 192.0.2.1 192.0.2.2 1 65536\r\n'],
  ['a port less', 'PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n'],
  ['one field more', 'PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n'],
  ['two spaces', 'PROXY TCP4  192.0.2.1 192.0.2.2 1 2\r\n'],
  ['a space at the end', 'PROXY TCP4 192.0.2.1 192.0.2.2 1 2 \r\n'],
  ['a line without CR', 'PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n'],
  ['no end within 107 bytes', `PROXY UNKNOWN ${'x'.repeat(92)}\r\n`],
];

describe('parseProxyHeader', () => {
  test.each(VECTORS)('%s: as the specification says, wherever it is split', (_, hex, size, address) => {
    const header = bytes(hex);
    const whole = { bytes: size, address };
    expect(parseProxyHeader(header)).toEqual(whole);
    for (let cut = 0; cut < header.length; cut++)
      expect(parseProxyHeader(header.subarray(0, cut))).toBe('more');
    expect(parseProxyHeader(Buffer.concat([header, Buffer.from('rest')]))).toEqual(whole);
  });

  test.each(LINES)('version 1, %s: as the specification says, wherever it is split', (_, line, address) => {
    const header = Buffer.from(line);
    const whole = { bytes: header.length, address };
    expect(parseProxyHeader(header)).toEqual(whole);
    for (let cut = 0; cut < header.length; cut++)
      expect(parseProxyHeader(header.subarray(0, cut))).toBe('more');
    expect(parseProxyHeader(Buffer.concat([header, Buffer.from('GET / HTTP/1.1\r\n')]))).toEqual(whole);
  });

  test.each([
    ['a frame of ours', '0000000c030000000000000000000000'],
    ['a TLS handshake', '1603010200010001fc0303'],
    ['version 3', `${SIGNATURE}31110000`],
    ['a command that is not known', `${SIGNATURE}22110000`],
    ['a family that is not known', `${SIGNATURE}21510000`],
    ['datagrams', `${SIGNATURE}2112000c${TCP4}`],
    ['a length below that of its addresses', `${SIGNATURE}2111000b${TCP4}`],
    ['IPv6 with the length of IPv4', `${SIGNATURE}2121000c${TCP4}`],
    ['a length beyond the bound', `${SIGNATURE}21110ff1`],
    ...MALFORMED_LINES.map(([what, line]): [string, string] => [what, Buffer.from(line).toString('hex')]),
  ])('%s: invalid as soon as that can be seen, and from then on', (_, hex) => {
    const header = bytes(hex);
    const results = Array.from({ length: header.length + 1 }, (_, cut) =>
      parseProxyHeader(header.subarray(0, cut)),
    );
    const first = results.indexOf('invalid');
    expect(results.slice(0, first)).toEqual(Array.from({ length: first }, () => 'more'));
    expect(new Set(results.slice(first))).toEqual(new Set(['invalid']));
  });

  test.each([
    ['signature', bytes(SIGNATURE)],
    ['beginning of a line', Buffer.from('PROXY ')],
  ])('property: any bytes behind the %s give a header within the bytes, or none', (_, beginning) => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (tail) => {
        const data = Buffer.concat([beginning, tail]);
        const result = parseProxyHeader(data);
        if (typeof result === 'object') expect(result.bytes).toBeLessThanOrEqual(data.length);
      }),
      { numRuns: 2000 },
    );
  });
});
