import { describe, expect, test } from 'vitest';
import {
  type ClientAddresses,
  endpointFor,
  joinAddress,
  readClientAddresses,
  writeClientAddresses,
} from './client-addresses.ts';

const TCP = { host: '10.0.0.7', port: 8900, tls: false };
const WS = { ...TCP, port: 8901 };

describe('in the registry', () => {
  test.each<[string, ClientAddresses]>([
    ['both ports of a host', { tcp: TCP, ws: WS }],
    ['hosts and TLS of their own', { tcp: TCP, ws: { host: 'web.example', port: 443, tls: true } }],
    ['TLS on TCP alone', { tcp: { ...TCP, tls: true }, ws: WS }],
    ['IPv6', { tcp: { ...TCP, host: '2001:db8::1' }, ws: { ...WS, host: '2001:db8::2' } }],
    ['no WebSocket', { tcp: TCP, ws: undefined }],
    ['no TCP', { tcp: undefined, ws: { ...WS, tls: true } }],
  ])('%s: read as written', (_, addresses) => {
    expect(readClientAddresses(writeClientAddresses(addresses))).toEqual(addresses);
  });

  test('an endpoint of an earlier version: one host, and TLS on both transports or none', () => {
    const metadata = { ws_port: '8901', tls: '1' };
    expect(readClientAddresses({ address: '10.0.0.7:8900', metadata })).toEqual({
      tcp: { ...TCP, tls: true },
      ws: { ...WS, tls: true },
    });
  });

  test.each(['', 'host', ':8900', 'host:', 'host:0', 'host:65536', 'host:-1', 'host:1.5', 'host:x'])(
    'an unusable address (%j): not offered',
    (address) =>
      expect(readClientAddresses({ address, metadata: {} })).toEqual({ tcp: undefined, ws: undefined }),
  );
});

describe('endpointFor', () => {
  test('one host, the same TLS: both ports for either transport', () => {
    const both = { host: '10.0.0.7', port: 8900, wsPort: 8901, tls: false };
    expect(endpointFor('tcp', { tcp: TCP, ws: WS })).toEqual(both);
    expect(endpointFor('ws', { tcp: TCP, ws: WS })).toEqual(both);
  });

  test.each([
    ['another host', { host: 'web.example' }],
    ['TLS in front of WebSocket', { tls: true }],
  ])('%s: each transport is told its own', (_, change) => {
    const addresses = { tcp: TCP, ws: { ...WS, ...change } };
    expect(endpointFor('tcp', addresses)).toEqual({ host: '10.0.0.7', port: 8900, wsPort: 0, tls: false });
    const { host, tls } = addresses.ws;
    expect(endpointFor('ws', addresses)).toEqual({ host, port: 0, wsPort: 8901, tls });
  });

  test('a transport that is off: undefined', () => {
    expect(endpointFor('tcp', { tcp: undefined, ws: WS })).toBeUndefined();
    expect(endpointFor('ws', { tcp: TCP, ws: undefined })).toBeUndefined();
  });
});

test('joinAddress: brackets for IPv6', () => {
  expect(joinAddress('::1', 8900)).toBe('[::1]:8900');
  expect(joinAddress('gw.example', 8900)).toBe('gw.example:8900');
});
