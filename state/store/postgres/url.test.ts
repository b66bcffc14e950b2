import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { parsePostgresUrl } from './url.ts';

test.each([
  ['postgres://ann:se%40cret@db/chat', { user: 'ann', password: 'se@cret', database: 'chat' }],
  ['postgresql://ann@db', { user: 'ann', password: undefined, database: undefined }],
  ['postgres://db/chat', { user: undefined, hosts: [{ host: 'db', port: 5432 }] }],
  ['postgres:///chat', { hosts: [{ host: 'localhost', port: 5432 }] }],
  [
    'postgres://u:a:b@[::1]:1,h2:2,h3/c',
    {
      password: 'a:b',
      hosts: [
        { host: '::1', port: 1 },
        { host: 'h2', port: 2 },
        { host: 'h3', port: 5432 },
      ],
    },
  ],
  ['postgres://u@%2Fvar%2Frun%2Fpostgresql/c', { hosts: [{ host: '/var/run/postgresql', port: 5432 }] }],
  ['postgres://h/c?target_session_attrs=read-write', { ssl: false }],
  ['postgres://h/c?sslmode=disable', { ssl: false }],
])('%s', (url, parts) => {
  expect(parsePostgresUrl(url)).toMatchObject(parts);
});

test.each([
  ['postgres:', 'is not a URL'],
  ['postgres://h:0/c', 'h:0 is not HOST'],
  ['postgres://h:x/c', 'h:x is not HOST'],
  ['postgres://h/c%', 'begins no escape'],
  ['postgres://h/c?host=/tmp', 'parameter host is not understood; sslmode, sslrootcert'],
  ['postgres://h/c?sslmode=prefer', 'sslmode is prefer'],
  ['postgres://h/c?sslmode=verify-ca', 'needs the authority'],
  ['postgres://h/c?sslrootcert=/nowhere.pem', 'cannot read /nowhere.pem'],
  ['postgres://h/c?target_session_attrs=any', 'target_session_attrs is any'],
])('%s: refused', (url, reason) => {
  expect(() => parsePostgresUrl(url)).toThrow(reason);
});

test('TLS: the certificate and the name are checked unless the URL says otherwise', () => {
  const dir = mkdtempSync(join(tmpdir(), 'gochat-url-'));
  onTestFinished(() => rmSync(dir, { recursive: true }));
  const path = join(dir, 'ca.pem');
  writeFileSync(path, 'PEM');
  const files = { ca: 'PEM', cert: undefined, key: undefined };
  const checks = (url: string, given = {}) => {
    const { ssl } = parsePostgresUrl(url, { ...files, ca: undefined, ...given });
    if (ssl === false) return 'nothing';
    if (ssl.rejectUnauthorized === false) return 'encrypted';
    return `${ssl.ca === 'PEM' ? 'own' : 'known'} authority${ssl.checkServerIdentity ? '' : ' and name'}`;
  };
  expect(checks('postgres://h/c')).toBe('nothing');
  expect(checks('postgres://h/c', files)).toBe('own authority and name');
  expect(checks(`postgres://h/c?sslrootcert=${path}`)).toBe('own authority and name');
  expect(checks('postgres://h/c?sslmode=verify-full')).toBe('known authority and name');
  expect(checks('postgres://h/c?sslmode=require')).toBe('known authority and name');
  expect(checks('postgres://h/c?sslmode=verify-ca', files)).toBe('own authority');
  expect(checks('postgres://h/c?sslmode=no-verify')).toBe('encrypted');
  expect(() => checks('postgres://h/c?sslmode=no-verify', files)).toThrow('checks no certificate');
  expect(() => checks('postgres://h/c?sslmode=disable', files)).toThrow('sslmode=disable');
  expect(() => checks(`postgres://h/c?sslrootcert=${path}`, files)).toThrow('store_ca');
  expect(() => checks('postgres://h/c', { cert: 'PEM' })).toThrow('go together');
});
