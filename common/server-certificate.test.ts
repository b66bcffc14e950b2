import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { afterAll, afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Authority } from '../crpc/testing/certificates.ts';
import { within } from '../test/harness/eventually.ts';
import { createHttpServer } from './http-server.ts';
import { silentLogger } from './logger.ts';
import { ServerCertificate } from './server-certificate.ts';

const authority = new Authority();
for (const name of ['first', 'second']) authority.issue(name, 'IP:127.0.0.1');
afterAll(() => authority[Symbol.dispose]());

let folder: string;
let logged: string[];
const logger = Object.create(silentLogger) as typeof silentLogger;
for (const level of ['warn', 'error'] as const)
  logger[level] = (_: unknown, text = '') => void logged.push(`${level}: ${text}`);

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'gochat-certificate-'));
  logged = [];
});
afterEach(() => {
  vi.useRealTimers();
  rmSync(folder, { recursive: true });
});

function files(name = 'first'): { cert: string; key: string } {
  const [cert, key] = [join(folder, 'server.pem'), join(folder, 'server.key')];
  copyFileSync(authority.path(`${name}.pem`), cert);
  copyFileSync(authority.path(`${name}.key`), key);
  return { cert, key };
}

test('a certificate of an authority that is neither in the file nor trusted: a warning', () => {
  using _ = new ServerCertificate(files(), logger);
  expect(logged).toEqual([
    expect.stringMatching(/^warn: the issuer of the certificate of CN=first does not follow/),
  ]);
});

test('a whole chain: no warning; in the wrong order: one', () => {
  const { cert, key } = files();
  const write = (...names: string[]) =>
    writeFileSync(cert, Buffer.concat(names.map((name) => authority.read(`${name}.pem`))));
  write('first', 'ca');
  using certificate = new ServerCertificate({ cert, key }, logger);
  expect(logged).toEqual([]);
  write('first', 'second', 'ca');
  certificate.reload();
  expect(logged).toHaveLength(1);
});

test('a certificate of one day: a warning in its last quarter, an error after its end, each again after half a day', () => {
  const now = Date.now();
  const { cert, key } = files();
  writeFileSync(cert, Buffer.concat([authority.read('first.pem'), authority.read('ca.pem')]));
  vi.useFakeTimers({ now });
  using _ = new ServerCertificate({ cert, key }, logger);
  vi.advanceTimersByTime(12 * 3_600_000);
  expect(logged).toEqual([]);
  vi.setSystemTime(now + 19 * 3_600_000);
  vi.advanceTimersByTime(12 * 3_600_000);
  expect(logged).toEqual([
    expect.stringMatching(/^error: the certificate of CN=first expired on 20.*refuse it$/),
  ]);
  logged = [];
  vi.setSystemTime(now + 7 * 3_600_000);
  vi.advanceTimersByTime(12 * 3_600_000);
  expect(logged).toEqual([expect.stringMatching(/^warn: the certificate of CN=first expires on 20.*HUP/)]);
});

test('other files after a reload: new handshakes see them; invalid ones: the old pair stays', async () => {
  using certificate = new ServerCertificate(files(), silentLogger);
  const server = createHttpServer({}, certificate, (_request, response) => response.end('hello'));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const shown = async () => {
    const socket = connect({ port, host: '127.0.0.1', ca: authority.ca });
    await once(socket, 'secureConnect');
    const { CN } = socket.getPeerCertificate().subject;
    socket.destroy();
    return CN;
  };
  expect(await shown()).toBe('first');
  const { cert } = files('second');
  certificate.reload();
  expect(await shown()).toBe('second');
  copyFileSync(authority.path('first.pem'), cert);
  expect(() => certificate.reload()).toThrow(/do not do: .*mismatch/);
  expect(await shown()).toBe('second');
  server.close();
  await once(server, 'close');
});

test('a handshake that is under way when the server closes: ends, and so does the close', async () => {
  using certificate = new ServerCertificate(files(), silentLogger);
  const server = createHttpServer({}, certificate, (_request, response) => response.end('hello'));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const socket = connect({ port, host: '127.0.0.1', ca: authority.ca }).on('error', () => undefined);
  await once(server, 'connection');
  server.close();
  server.closeAllConnections();
  await within('the close of the server', once(server, 'close'));
  socket.destroy();
});

test('plain HTTP on a TLS port: the connection ends', async () => {
  using certificate = new ServerCertificate(files(), silentLogger);
  const server = createHttpServer({}, certificate, (_request, response) => response.end('hello'));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  await expect(fetch(`http://127.0.0.1:${port}/`)).rejects.toThrow();
  server.close();
  await once(server, 'close');
});
