/** Opening ports: errors of listening reject, later ones are logged and the server goes on. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server } from 'node:net';
import { afterEach, expect, test, vi } from 'vitest';
import { TestClock } from '../test/harness/test-clock.ts';
import { acceptErrorLog, listen, listenAt } from './listen.ts';
import { silentLogger } from './logger.ts';

const host = '127.0.0.1';
const emfile = Object.assign(new Error('accept EMFILE'), { code: 'EMFILE' });
const servers: Server[] = [];

function newServer(): Server {
  const server = createServer((socket) => socket.end());
  servers.push(server);
  return server;
}

afterEach(() => {
  vi.restoreAllMocks();
  for (const server of servers.splice(0)) server.close();
});

test('an accept error: a warning, and the next client is accepted', async () => {
  const warn = vi.spyOn(silentLogger, 'warn');
  const server = newServer();
  await listenAt(server, { host, port: 0, flag: '--port' }, silentLogger);
  server.emit('error', emfile);
  expect(warn.mock.calls).toEqual([[{ err: emfile }, expect.stringContaining('could not be accepted')]]);
  await once(connect((server.address() as AddressInfo).port, host).resume(), 'close');
});

test('many accept errors: one warning a second', async () => {
  using clock = new TestClock();
  const warn = vi.spyOn(silentLogger, 'warn');
  const log = acceptErrorLog(silentLogger);
  for (let i = 0; i < 100; i++) log(emfile);
  expect(warn).toHaveBeenCalledTimes(1);
  await clock.advance(1000);
  log(emfile);
  expect(warn).toHaveBeenCalledTimes(2);
});

test('a server that listens again: a port in use rejects, and accept errors are handled once', async () => {
  const onAcceptError = vi.fn<(error: Error) => void>();
  const [server, other] = [newServer(), newServer()];
  const taken = await listen(other, { host, port: 0 }, onAcceptError);
  await listen(server, { host, port: 0 }, onAcceptError);
  server.close();
  await expect(listen(server, { host, port: taken }, onAcceptError)).rejects.toMatchObject({
    code: 'EADDRINUSE',
  });
  expect(onAcceptError).not.toHaveBeenCalled();
  await listen(server, { host, port: 0 }, onAcceptError);
  server.emit('error', emfile);
  expect(onAcceptError.mock.calls).toEqual([[emfile]]);
});
