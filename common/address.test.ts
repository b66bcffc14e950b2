import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { AddressList, addressKey } from './address.ts';

describe('addressKey', () => {
  test.each([
    ['192.0.2.7', '192.0.2.7'],
    ['::ffff:192.0.2.7', '192.0.2.7'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:db8:1:2::9', '2001:db8:1:2::/64'],
    ['2001:DB8:01:02::', '2001:db8:1:2::/64'],
    ['2001:db8::1', '2001:db8:0:0::/64'],
    ['::1', '0:0:0:0::/64'],
    ['fe80::1%eth0', 'fe80:0:0:0::/64'],
    ['::1.2.3.4', '0:0:0:0::/64'],
    ['', ''],
  ])('%s: %s', (address, key) => {
    expect(addressKey(address)).toBe(key);
  });

  test('any IPv6 address: one key for its whole /64, however it is written', () => {
    const hextet = fc.integer({ min: 0, max: 0xffff });
    fc.assert(
      fc.property(fc.array(hextet, { minLength: 8, maxLength: 8 }), hextet, (parts, other) => {
        const written = parts.map((part) => part.toString(16)).join(':');
        const padded = parts.map((part) => part.toString(16).padStart(4, '0').toUpperCase()).join(':');
        const sibling = [...parts.slice(0, 7), other].map((part) => part.toString(16)).join(':');
        expect(addressKey(padded)).toBe(addressKey(written));
        expect(addressKey(sibling)).toBe(addressKey(written));
      }),
    );
  });
});

describe('AddressList', () => {
  test('addresses and networks of both families: contain what lies in them', () => {
    const list = new AddressList('127.0.0.0/8, ::1,10.1.2.3,2001:db8::/32');
    for (const inside of ['127.9.9.9', '::1', '10.1.2.3', '::ffff:10.1.2.3', '2001:db8:5::5'])
      expect([inside, list.has(inside)]).toEqual([inside, true]);
    for (const outside of ['128.0.0.1', '::2', '10.1.2.4', '2001:db9::', '', 'nonsense'])
      expect([outside, list.has(outside)]).toEqual([outside, false]);
  });

  test('an empty list: contains nothing', () => {
    expect(new AddressList(' ').has('127.0.0.1')).toBe(false);
  });

  test.each(['10.0.0.0/33', '10.0.0/8', 'host', '::1/129', '10.0.0.0/8/8', '10.0.0.0/x'])(
    '%s: refused, and named',
    (entry) => {
      expect(() => new AddressList(`127.0.0.1,${entry}`)).toThrow(entry);
    },
  );
});
