import { createServer, type AddressInfo } from 'node:net';
import { expect, test } from 'vitest';
import { assertPortFree, canReusePort } from './listen-check.ts';

const HOST = '127.0.0.1';

test.each([true, false])('a port in use (reusePort %s): PORT_IN_USE with the flag', async (reusePort) => {
  const other = createServer();
  await new Promise<void>((resolve) => other.listen({ host: HOST, port: 0, reusePort }, resolve));
  const { port } = other.address() as AddressInfo;
  const failure = await assertPortFree(HOST, port, '--ws-port').catch((error: unknown) => error);
  expect(failure).toMatchObject({ code: 'PORT_IN_USE', details: { host: HOST, port, flag: '--ws-port' } });
  await new Promise((resolve) => other.close(resolve));
  await assertPortFree(HOST, port, '--ws-port');
});

test('port 0: is always free', async () => {
  await assertPortFree(HOST, 0, '--port');
});

test('an address of another machine: LISTEN_FAILED with the reason and the flag', async () => {
  const failure = await assertPortFree('192.0.2.1', 1234, '--port').catch((error: unknown) => error);
  expect(failure).toMatchObject({ code: 'LISTEN_FAILED' });
  expect(String(failure)).toContain('(--port N)');
  expect(String(failure)).toContain('EADDRNOTAVAIL');
});

test('canReusePort: true on Linux, false where listening fails', async () => {
  expect(await canReusePort(HOST)).toBe(process.platform === 'linux');
  expect(await canReusePort('192.0.2.1')).toBe(false);
});
