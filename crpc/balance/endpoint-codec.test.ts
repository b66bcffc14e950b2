import { describe, expect, test } from 'vitest';
import { decodeEndpoint, encodeEndpoint } from './endpoint-codec.ts';

const endpoint = {
  id: 'a',
  address: '10.0.0.1:8900',
  weight: 2,
  zone: 'z',
  version: '1',
  metadata: { name: 'g' },
  load: { connections: 7 },
};

describe('an endpoint in etcd', () => {
  test('round trip: the same endpoint, with its lease', () => {
    expect(decodeEndpoint(encodeEndpoint(endpoint), 0n)).toEqual({ endpoint, leaving: false });
    expect(decodeEndpoint(encodeEndpoint({ ...endpoint, lease: 'x' }, true), 255n)).toEqual({
      endpoint: { ...endpoint, lease: 'ff' },
      leaving: true,
    });
  });

  test('missing fields have their defaults; unknown fields are ignored', () => {
    expect(decodeEndpoint('{"id":"a","address":"b:1","colour":"red"}', 0n)).toEqual({
      endpoint: { id: 'a', address: 'b:1', weight: 1, zone: '', version: '', metadata: {}, load: {} },
      leaving: false,
    });
  });

  test.each([
    ['not JSON', '{'],
    ['null', 'null'],
    ['a list', '[]'],
    ['no id', '{"address":"b:1"}'],
    ['an empty id', '{"id":"","address":"b:1"}'],
    ['no address', '{"id":"a"}'],
    ['an address that is a number', '{"id":"a","address":1}'],
    ['a weight of 0', '{"id":"a","address":"b:1","weight":0}'],
    ['an endless weight', '{"id":"a","address":"b:1","weight":1e999}'],
    ['a weight that is null', '{"id":"a","address":"b:1","weight":null}'],
    ['a zone that is a number', '{"id":"a","address":"b:1","zone":1}'],
    ['a version that is a list', '{"id":"a","address":"b:1","version":[]}'],
    ['metadata that is not text', '{"id":"a","address":"b:1","metadata":{"name":1}}'],
    ['metadata that is a list', '{"id":"a","address":"b:1","metadata":[]}'],
    ['load that is text', '{"id":"a","address":"b:1","load":{"cpu":"1"}}'],
    ['leaving that is text', '{"id":"a","address":"b:1","leaving":"no"}'],
  ])('%s: not an endpoint', (_what, text) => {
    expect(decodeEndpoint(text, 0n)).toBeUndefined();
  });
});
