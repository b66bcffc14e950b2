/** The registry over TLS to a real etcd that asks for certificates. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { silentLogger as logger } from '../../common/mod.ts';
import { openRegistry } from './registry-url.ts';
import { Authority } from '../testing/certificates.ts';
import { TestEtcd } from '../testing/etcd.ts';

const authority = new Authority();
const otherAuthority = new Authority();
authority.issue('etcd', 'DNS:localhost');
const mine = authority.issue('gochat');
const { ca } = authority;
let etcd: TestEtcd;

beforeAll(async () => {
  etcd = await TestEtcd.start({
    ca: authority.path('ca.pem'),
    cert: authority.path('etcd.pem'),
    key: authority.path('etcd.key'),
  });
});
afterAll(async () => {
  await etcd[Symbol.asyncDispose]();
  authority[Symbol.dispose]();
  otherAuthority[Symbol.dispose]();
});

/** @param hosts before the real one */
const url = (...hosts: string[]) => `etcds://${[...hosts, `localhost:${etcd.port}`].join(',')}/tls`;
const endpoint = {
  id: 'a',
  address: '127.0.0.1:1',
  weight: 1,
  zone: '',
  version: '',
  metadata: {},
  load: {},
};

describe('etcds://', () => {
  test('with our client certificate: registers, lists, watches, leases', async () => {
    await using registry = openRegistry(url(), { logger, tls: { ca, ...mine } });
    await using _ = await registry.register('service', endpoint);
    expect((await registry.list('service')).map(({ id }) => id)).toEqual(['a']);
    const seen = await new Promise<string[]>((resolve) => {
      registry.watch('service', ({ endpoints }) => resolve(endpoints.map(({ id }) => id)));
    });
    expect(seen).toEqual(['a']);
    await using number = await registry.leaseId('node', 3);
    expect(number.isHeld).toBe(true);
  });

  test('several hosts: each certificate is checked against all of them, not only the first', async () => {
    await using registry = openRegistry(url('127.0.0.1:1'), { logger, tls: { ca, ...mine } });
    await registry.publish('key', 'value');
  });

  test.each([
    ['another authority', () => ({ ca: otherAuthority.ca, ...mine }), url, /certificate/],
    ['no certificate of our own', () => ({ ca }), url, /certificate|dropped|ECONNRESET/],
    [
      'a name that is not in the certificate',
      () => ({ ca, ...mine }),
      () => `etcds://127.0.0.1:${etcd.port}`,
      /127\.0\.0\.1 is not in the cert/,
    ],
    ['plain text', () => ({}), () => url().replace('etcds', 'etcd'), /etcd:\/\/localhost/],
  ])('%s: REGISTRY_UNREACHABLE that says so', async (_, tls, address, words) => {
    await using registry = openRegistry(address(), { logger, tls: tls() });
    const failure = registry.list('service');
    await expect(failure).rejects.toMatchObject({ code: 'REGISTRY_UNREACHABLE' });
    await expect(failure).rejects.toThrow(words);
  });
});
