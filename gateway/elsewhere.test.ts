import { expect, test } from 'vitest';
import type { Endpoint } from '../crpc/mod.ts';
import { drawGateway, otherGateways } from './elsewhere.ts';

function endpoint(address: string, load: Endpoint['load'], zone = ''): Endpoint {
  return {
    id: address,
    address,
    weight: 1,
    zone,
    version: '',
    metadata: { ws_port: '8901', ...(zone === 'tls' && { tls: '1' }) },
    load,
  };
}

test('gateways that drain or are full: are not named', () => {
  const found = otherGateways(
    [
      endpoint('a.example:8900', { max_connections: 10, connections: 4 }),
      endpoint('b.example:8900', { max_connections: 10, connections: 10 }),
      endpoint('c.example:8900', { max_connections: 10, connections: 0, draining: 1 }),
      endpoint('[2001:db8::1]:8900', { max_connections: 5 }, 'tls'),
      endpoint('nonsense', { max_connections: 5 }),
    ],
    '',
  );
  expect(found).toEqual([
    { host: 'a.example', port: 8900, wsPort: 8901, tls: false, room: 6 },
    { host: '2001:db8::1', port: 8900, wsPort: 8901, tls: true, room: 5 },
  ]);
});

test('the own zone: is preferred while it has one', () => {
  const load = { max_connections: 10 };
  const all = [
    endpoint('a:1', load, 'north'),
    endpoint('b:1', load, 'south'),
    endpoint('c:1', load, 'north'),
  ];
  expect(otherGateways(all, 'north').map(({ host }) => host)).toEqual(['a', 'c']);
  expect(otherGateways(all, 'west').map(({ host }) => host)).toEqual(['a', 'b', 'c']);
});

test('drawGateway: in proportion to the room; none of none', () => {
  const load = (room: number) => ({ max_connections: room });
  const gateways = otherGateways([endpoint('a:1', load(30)), endpoint('b:1', load(10))], '');
  const drawn = Array.from({ length: 100 }, (_, i) => drawGateway(gateways, () => i / 100)?.host);
  expect(drawn.filter((host) => host === 'a').length).toBe(75);
  expect(drawGateway([])).toBeUndefined();
});
