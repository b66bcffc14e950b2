import { describe, expect, test } from 'vitest';
import type { Endpoint } from '../crpc/mod.ts';
import { DEFAULT_MAX_CONNECTIONS, readAddress, readLoad } from './gateway-report.ts';

const endpoint = (change: Partial<Endpoint> = {}): Endpoint => ({
  id: 'g1-x',
  address: '10.0.0.1:8900',
  weight: 1,
  zone: 'a',
  version: '1',
  metadata: { name: 'g1', ws_port: '8901' },
  load: {},
  ...change,
});

describe('readAddress', () => {
  test('a gateway: its name, address, both ports and zone', () => {
    expect(readAddress(endpoint())).toEqual({
      id: 'g1-x',
      name: 'g1',
      address: '10.0.0.1:8900',
      tcp: { host: '10.0.0.1', port: 8900, tls: false },
      ws: { host: '10.0.0.1', port: 8901, tls: false },
      zone: 'a',
      version: '1',
      epoch: 0,
    });
  });

  test.each([
    ['1700000000000', 1_700_000_000_000],
    ['x', 0],
    ['-1', 0],
  ])('epoch %j: %i', (epoch, expected) => {
    expect(readAddress(endpoint({ metadata: { epoch } }))?.epoch).toBe(expected);
  });

  test('IPv6: without the brackets', () => {
    expect(readAddress(endpoint({ address: '[::1]:8900' }))).toMatchObject({
      tcp: { host: '::1', port: 8900 },
    });
  });

  test('no name and no WebSocket port: the id as name, and no WebSocket', () => {
    expect(readAddress(endpoint({ metadata: {} }))).toMatchObject({ name: 'g1-x', ws: undefined });
  });

  test.each(['', 'host', ':8900', 'host:', 'host:0', 'host:65536', 'host:-1', 'host:1.5', 'host:x'])(
    'an unusable address (%j): undefined',
    (address) => expect(readAddress(endpoint({ address, metadata: {} }))).toBeUndefined(),
  );
});

describe('readLoad', () => {
  test('nothing reported: idle, with the default capacity', () => {
    expect(readLoad(endpoint())).toEqual({
      connections: 0,
      maxConnections: DEFAULT_MAX_CONNECTIONS,
      accepted: undefined,
      tick: undefined,
      used: {},
      draining: false,
      ready: true,
      weight: 1,
    });
  });

  test('all reported: each dimension as a share of its capacity', () => {
    const load = readLoad(
      endpoint({
        weight: 2,
        load: {
          connections: 10,
          max_connections: 100,
          accepted: 12,
          tick: 3,
          bytes_out_per_s: 50,
          max_bytes_out_per_s: 200,
          frames_per_s: 9,
          memory_bytes: 1,
          max_memory_bytes: 2,
          cpu: 0.75,
          loop_delay_ms: 10,
          draining: 1,
          ready: 0,
        },
      }),
    );
    // frames_per_s has no capacity, so it does not count.
    expect(load).toEqual({
      connections: 10,
      maxConnections: 100,
      accepted: 12,
      tick: 3,
      used: { bytes: 0.25, memory: 0.5, cpu: 0.75, loop_delay: 0.1 },
      draining: true,
      ready: false,
      weight: 2,
    });
  });

  test('nonsensical figures: ignored', () => {
    const load = readLoad(
      endpoint({
        weight: -1,
        load: { connections: Number.NaN, max_connections: 0, cpu: -1, tick: Infinity },
      }),
    );
    expect(load).toMatchObject({
      connections: 0,
      maxConnections: DEFAULT_MAX_CONNECTIONS,
      tick: undefined,
      used: {},
      weight: 1,
    });
  });
});
