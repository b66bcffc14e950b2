/** PostgreSQL that speaks TLS. */
import { execFileSync } from 'node:child_process';
import { copyFileSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { silentLogger as logger } from '../../../common/mod.ts';
import { Authority } from '../../../crpc/testing/certificates.ts';
import { startServices } from '../../../test/harness/services.ts';
import { execute } from '../../../test/harness/standby.ts';
import { openStore } from '../mod.ts';

test('a given CA: the certificate and its name are checked; without one nothing is encrypted', async () => {
  await using services = await startServices({ only: ['postgres'] });
  using authority = new Authority();
  using otherAuthority = new Authority();
  authority.issue('server', 'DNS:localhost');
  const pid = await services.pid('postgres');
  const { uid, gid } = statSync(`/proc/${pid}`);
  for (const name of ['server.pem', 'server.key']) {
    const path = join(services.dir, name);
    copyFileSync(authority.path(name), path);
    execFileSync('chmod', ['600', path]);
    execFileSync('chown', [`${uid}:${gid}`, path]);
  }
  const password = readFileSync(join(services.dir, 'postgres.superuser.password'), 'utf8').trim();
  const plain = services.urls.postgres;
  const admin = `postgres://postgres:${password}@${new URL(plain).host}/postgres`;
  await execute(admin, `alter system set ssl_cert_file = '${join(services.dir, 'server.pem')}'`);
  await execute(admin, `alter system set ssl_key_file = '${join(services.dir, 'server.key')}'`);
  await execute(admin, 'alter system set ssl = on');
  await execute(admin, 'select pg_reload_conf()');

  const files = (from: Authority) => ({ ca: String(from.ca), cert: undefined, key: undefined });
  const named = plain.replace('127.0.0.1', 'localhost');
  const encrypted = async () => {
    const rows = await execute(
      admin,
      "select distinct ssl from pg_stat_ssl join pg_stat_activity using (pid) where usename = 'gochat'",
    );
    return rows.map(({ ssl }) => ssl);
  };
  {
    await using store = await openStore(named, { logger, tls: files(authority) });
    await store.ping();
    expect(await encrypted()).toEqual([true]);
  }
  const refused = (reason: RegExp) =>
    expect.objectContaining({ code: 'STORE_UNREACHABLE', message: expect.stringMatching(reason) });
  await expect(openStore(named, { logger, tls: files(otherAuthority) })).rejects.toEqual(
    refused(/certificate/),
  );
  await expect(openStore(plain, { logger, tls: files(authority) })).rejects.toEqual(refused(/altnames/));
  await expect(openStore(`${named}?sslmode=verify-full`, { logger })).rejects.toEqual(refused(/certificate/));
  await using lax = await openStore(`${plain}?sslmode=verify-ca&sslrootcert=${authority.path('ca.pem')}`, {
    logger,
  });
  await lax.ping();
  await execute(admin, 'alter system set ssl = off');
  await execute(admin, 'select pg_reload_conf()');
  await expect(openStore(named, { logger, tls: files(authority) })).rejects.toEqual(
    refused(/does not support SSL/),
  );
});
