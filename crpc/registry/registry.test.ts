/** The registry contract on every implementation. */
import { randomUUID } from 'node:crypto';
import { afterAll, describe, expect, test } from 'vitest';
import { silentLogger as logger } from '../../common/mod.ts';
import { registryContract } from './registry.contract.ts';
import { openRegistry } from './registry-url.ts';
import { TestEtcd } from '../testing/etcd.ts';

const realm = randomUUID();
registryContract('memory', async () => openRegistry(`memory://${realm}`, { logger }));

let own: Promise<TestEtcd> | undefined;
/** The shared etcd where the environment names one, else one of our own. */
async function etcdUrl(): Promise<string> {
  const shared = process.env['GOCHAT_TEST_ETCD'];
  if (shared !== undefined && shared !== '') return shared.replace(/\/$/, '');
  own ??= TestEtcd.start();
  return `etcd://${(await own).address}`;
}
registryContract('etcd', async () => openRegistry(`${await etcdUrl()}/test-${realm}`, { logger }));

afterAll(async () => {
  await (await own)?.[Symbol.asyncDispose]();
});

describe('openRegistry', () => {
  test.each([
    'redis://127.0.0.1:1',
    'etcd://',
    'etcd://127.0.0.1',
    'etcd://127.0.0.1:1,nonsense',
    'etcd://127.0.0.1:1/a/b',
  ])('%s: CONFIG_INVALID', (url) => {
    expect(() => openRegistry(url, { logger })).toThrow(
      expect.objectContaining({
        code: 'CONFIG_INVALID',
        message: expect.stringContaining('is not a registry'),
      }),
    );
  });

  test('a password: is not in the error', () => {
    expect(() => openRegistry('etcd://user:secret@nonsense', { logger })).toThrow(
      expect.objectContaining({ message: expect.not.stringContaining('secret') }),
    );
  });

  test('memory: registries of different names are separate', async () => {
    await using a = openRegistry(`memory://${randomUUID()}`, { logger });
    await using b = openRegistry(`memory://${randomUUID()}`, { logger });
    await a.publish('key', 'value');
    const value = await new Promise((resolve) => b.follow('key', resolve));
    expect(value).toBeUndefined();
  });
});
