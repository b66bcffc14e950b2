import { expect, test } from 'vitest';
import type { Endpoint } from '../../crpc/mod.ts';
import { drawGateway, alternateGateways } from './redirect.ts';

const HERE = 'here:8900';

function endpoint(address: string, load: Endpoint['load'], zone = '', weight = 1): Endpoint {
  return {
    id: address,
    address,
    weight,
    zone,
    version: '',
    metadata: { ws_port: '8901', ...(zone === 'tls' && { tls: '1' }) },
    load,
  };
}

const at = (host: string, tls: boolean) => ({
  tcp: { host, port: 8900, tls },
  ws: { host, port: 8901, tls },
});

/** The gateway itself, with so many clients. */
const here = (connections: number) => endpoint(HERE, { max_connections: 1000, connections });

/** Redirects for clients of the zone, with their shares. */
const shares = (endpoints: readonly Endpoint[], zone = '') =>
  Object.fromEntries(alternateGateways(endpoints, HERE, zone).map(({ tcp, share }) => [tcp?.host, share]));

test('gateways that are draining, full or not ready, and the gateway itself: are not named', () => {
  const found = alternateGateways(
    [
      here(4),
      endpoint('a.example:8900', { max_connections: 10, connections: 4 }),
      endpoint('b.example:8900', { max_connections: 10, connections: 10 }),
      endpoint('c.example:8900', { max_connections: 10, connections: 0, draining: 1 }),
      endpoint('d.example:8900', { max_connections: 10, ready: 0 }),
      endpoint('[2001:db8::1]:8900', { max_connections: 2 }, 'tls'),
    ],
    HERE,
    '',
  );
  expect(found).toEqual([
    { ...at('a.example', false), share: 0.75 },
    { ...at('2001:db8::1', true), share: 0.25 },
  ]);
});

test('a malformed address, or no other gateway: none is named', () => {
  expect(alternateGateways([endpoint('nonsense', { max_connections: 5 })], HERE, '')).toEqual([]);
  expect(alternateGateways([], HERE, '')).toEqual([]);
});

test('its own zone: gets all clients while it has room, and no more', () => {
  const others = [
    endpoint('a:1', { max_connections: 30 }, 'north'),
    endpoint('b:1', { max_connections: 600 }, 'south'),
    endpoint('c:1', { max_connections: 10 }, 'north'),
  ];
  expect(shares([here(40), ...others], 'north')).toEqual({ a: 0.75, c: 0.25 });
  expect(shares([here(80), ...others], 'north')).toEqual({ a: 0.375, c: 0.125, b: 0.5 });
  expect(shares([here(64), ...others], 'west')).toEqual({
    a: 30 / 640,
    b: 600 / 640,
    c: 10 / 640,
  });
});

test('room for few of the clients: the others get no redirect', () => {
  expect(shares([here(1000), endpoint('a:1', { max_connections: 10 }, 'north')], 'north')).toEqual({
    a: 0.01,
  });
});

test('weights: twice the weight gets twice as many, but no gateway more than it has room for', () => {
  const others = [
    endpoint('a:1', { max_connections: 100 }, '', 2),
    endpoint('b:1', { max_connections: 100 }),
    endpoint('c:1', { max_connections: 100, connections: 100 }),
  ];
  expect(shares([here(10), ...others])).toEqual({ a: 2 / 3, b: 1 / 3 });
  expect(shares([here(200), ...others])).toEqual({ a: 0.5, b: 1 / 3 });
});

test('drawGateway: in proportion to the shares; none beyond them', () => {
  const others = [endpoint('a:1', { max_connections: 30 }), endpoint('b:1', { max_connections: 10 })];
  const gateways = alternateGateways([here(80), ...others], HERE, '');
  const drawn = Array.from({ length: 80 }, (_, i) => drawGateway(gateways, 'tcp', () => i / 80)?.host);
  expect(['a', 'b', undefined].map((host) => drawn.filter((one) => one === host).length)).toEqual([
    30, 10, 40,
  ]);
  expect(drawGateway([], 'tcp')).toBeUndefined();
});

test('drawGateway: each transport gets its own address; a gateway that does not offer it is not named', () => {
  const tcp = { host: 'gw.example', port: 8900, tls: false };
  const ws = { host: 'web.example', port: 443, tls: true };
  const both = [{ tcp, ws, share: 1 }];
  expect(drawGateway(both, 'tcp')).toEqual({ host: 'gw.example', port: 8900, wsPort: 0, tls: false });
  expect(drawGateway(both, 'ws')).toEqual({ host: 'web.example', port: 0, wsPort: 443, tls: true });
  expect(drawGateway([{ tcp: undefined, ws, share: 1 }], 'tcp')).toBeUndefined();
});
