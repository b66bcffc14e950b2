import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { TrustedProxies } from './trusted-proxies.ts';

const CLIENT = '203.0.113.9';
const SPOOFED = '6.6.6.6';

describe('TrustedProxies', () => {
  test.each([
    // trusted, peer, X-Forwarded-For, client
    ['', '198.51.100.1', SPOOFED, '198.51.100.1'],
    ['', '::ffff:198.51.100.1', '', '198.51.100.1'],
    // Networks: the last entry that no proxy of ours stands for.
    ['10.0.0.0/8', '198.51.100.1', SPOOFED, '198.51.100.1'],
    ['10.0.0.0/8', '10.0.0.1', CLIENT, CLIENT],
    ['10.0.0.0/8', '::ffff:10.0.0.1', CLIENT, CLIENT],
    ['10.0.0.0/8', '10.0.0.1', `${SPOOFED}, ${CLIENT}`, CLIENT],
    ['10.0.0.0/8', '10.0.0.1', `${SPOOFED},${CLIENT},10.0.0.2 , 10.0.0.3`, CLIENT],
    ['10.0.0.0/8', '10.0.0.1', '10.0.0.7, 10.0.0.2', '10.0.0.7'],
    ['10.0.0.0/8', '10.0.0.1', '', '10.0.0.1'],
    ['10.0.0.0/8, fd00::/8', 'fd00::1', '2001:db8::5, 10.0.0.1', '2001:db8::5'],
    // A count: as many entries, whatever they are.
    ['1', '198.51.100.1', CLIENT, CLIENT],
    ['1', '198.51.100.1', `${SPOOFED}, ${CLIENT}`, CLIENT],
    ['2', '198.51.100.1', `${SPOOFED}, ${CLIENT}, 198.51.100.2`, CLIENT],
    ['2', '198.51.100.1', CLIENT, CLIENT],
    ['1', '198.51.100.1', '', '198.51.100.1'],
    // With a port, in brackets, in other spellings.
    ['1', '10.0.0.1', `${CLIENT}:50123`, CLIENT],
    ['1', '10.0.0.1', '[2001:db8::5]:443', '2001:db8::5'],
    ['1', '10.0.0.1', '[2001:db8::5]', '2001:db8::5'],
    ['1', '10.0.0.1', '2001:DB8::5', '2001:DB8::5'],
    ['1', '10.0.0.1', `::ffff:${CLIENT}`, CLIENT],
    ['10.0.0.0/8', '10.0.0.1', `${CLIENT}, [::ffff:10.0.0.2]:80`, CLIENT],
    // What is no address: the proxy that wrote it stands for its clients.
    ['1', '10.0.0.1', 'unknown', '10.0.0.1'],
    ['1', '10.0.0.1', `${SPOOFED}, unknown`, '10.0.0.1'],
    ['1', '10.0.0.1', `${SPOOFED}, _hidden`, '10.0.0.1'],
    ['1', '10.0.0.1', `${SPOOFED},`, '10.0.0.1'],
    ['1', '10.0.0.1', `${SPOOFED}, 1.2.3`, '10.0.0.1'],
    ['1', '10.0.0.1', `${SPOOFED}, 1.2.3.4:99999999`, '10.0.0.1'],
    ['1', '10.0.0.1', `${SPOOFED}, [1.2.3.4`, '10.0.0.1'],
    ['10.0.0.0/8', '10.0.0.1', `${SPOOFED}, unknown, 10.0.0.2`, '10.0.0.2'],
    ['1', '', CLIENT, CLIENT],
    ['10.0.0.0/8', '', CLIENT, ''],
  ])('trusted %j, peer %j, header %j: %j', (trusted, peer, header, client) => {
    expect(new TrustedProxies(trusted).client(peer, header)).toBe(client);
  });

  test("what a client writes before the proxy's entry: changes nothing", () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 200 }), fc.constantFrom('1', '10.0.0.0/8'), (written, trusted) => {
        expect(new TrustedProxies(trusted).client('10.0.0.1', `${written}, ${CLIENT}`)).toBe(CLIENT);
      }),
    );
  });

  test('very many entries: read as far as they are trusted', () => {
    const header = `${'10.0.0.9, '.repeat(100_000)}${CLIENT}, 10.0.0.2`;
    expect(new TrustedProxies('10.0.0.0/8').client('10.0.0.1', header)).toBe(CLIENT);
  });

  test('has: a proxy by its address; with a count, every peer', () => {
    expect(new TrustedProxies('').has('10.0.0.1')).toBe(false);
    expect(new TrustedProxies('10.0.0.0/8').has('::ffff:10.0.0.1')).toBe(true);
    expect(new TrustedProxies('10.0.0.0/8').has('11.0.0.1')).toBe(false);
    expect(new TrustedProxies('1').has('11.0.0.1')).toBe(true);
  });

  test.each(['true', '0', '100', '1,2', 'nginx', '10.0.0.0/8/8'])('%s: refused', (text) => {
    expect(() => new TrustedProxies(text)).toThrow(RangeError);
  });
});
