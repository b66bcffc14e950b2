/** Hot state over TLS to a real Redis that asks for certificates. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { silentLogger as logger } from '../../common/mod.ts';
import { Authority } from '../../crpc/testing/certificates.ts';
import { RedisProcess } from '../testing/redis-process.ts';
import { newUser, session } from './hot-state.contract.ts';
import { openHotState } from './mod.ts';

const authority = new Authority();
const otherAuthority = new Authority();
authority.issue('redis', 'IP:127.0.0.1');
const mine = authority.issue('gochat');
const tls = { ca: authority.ca.toString(), cert: mine.cert.toString(), key: mine.key.toString() };
let redis: RedisProcess;
let url: string;

beforeAll(async () => {
  redis = await RedisProcess.start(
    [
      'port 0',
      'tls-port PORT',
      `tls-cert-file ${authority.path('redis.pem')}`,
      `tls-key-file ${authority.path('redis.key')}`,
      `tls-ca-cert-file ${authority.path('ca.pem')}`,
      'user ann on >sesame ~* +@all',
    ],
    { tls },
  );
  url = `rediss://ann:sesame@127.0.0.1:${redis.port}/3`;
});
afterAll(async () => {
  await redis[Symbol.asyncDispose]();
  authority[Symbol.dispose]();
  otherAuthority[Symbol.dispose]();
});

describe('rediss://', () => {
  test('with our certificate, a user and a database: works', async () => {
    await using hot = await openHotState(url, { logger, tls });
    const user = newUser();
    await hot.claim(user, 'phone', session(1), undefined);
    await redis.admin.select(3);
    expect(await redis.admin.exists(`gochat:session:{${user}:phone}`)).toBe(1);
  });

  test.each([
    ['another authority', () => ({ ...tls, ca: otherAuthority.ca.toString() }), /certificate/],
    ['the authorities of Node.js', () => ({ cert: tls.cert, key: tls.key }), /certificate/],
    ['no certificate of our own', () => ({ ca: tls.ca }), /certificate|closed|ECONNRESET/],
  ])('%s: HOT_UNREACHABLE that says so', async (_, files, words) => {
    const failure = openHotState(url, { logger, tls: files() });
    await expect(failure).rejects.toMatchObject({ code: 'HOT_UNREACHABLE' });
    await expect(failure).rejects.toThrow(words);
  });
});
