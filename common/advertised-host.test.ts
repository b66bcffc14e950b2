import type { NetworkInterfaceInfo } from 'node:os';
import { expect, test } from 'vitest';
import { advertisedHost } from './advertised-host.ts';

function info(address: string, more: Partial<NetworkInterfaceInfo> = {}): NetworkInterfaceInfo {
  return { address, internal: false, scopeid: 0, ...more } as NetworkInterfaceInfo;
}

const LO = [info('127.0.0.1', { internal: true }), info('::1', { internal: true })];
const ETH = [info('10.0.0.5'), info('fe80::1', { scopeid: 4 }), info('fd00::2')];

test.each([
  ['one address: itself', '192.0.2.1', [LO, ETH], '192.0.2.1'],
  ['::1: itself', '::1', [LO, ETH], '::1'],
  ['a name: itself', 'gw.example', [LO, ETH], 'gw.example'],
  ['all of IPv4: the first that others reach', '0.0.0.0', [LO, ETH], '10.0.0.5'],
  ['all: the first of IPv6 that is not of the link', '::', [LO, ETH], 'fd00::2'],
  ['all, and no IPv6: IPv4, which it takes too', '::', [LO, [info('10.0.0.5')]], '10.0.0.5'],
  ['all of IPv4, and only IPv6: loopback', '0.0.0.0', [LO, [info('fd00::2')]], '127.0.0.1'],
  ['all, and no network: loopback', '::', [LO], '::1'],
])('%s', (_, host, interfaces, expected) => {
  expect(advertisedHost(host, Object.fromEntries(interfaces.entries()))).toBe(expected);
});
