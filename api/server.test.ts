import { connect, Server } from 'node:net';
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { silentLogger } from '../common/mod.ts';
import { ApiServer } from './server.ts';
import { startApi, type TestApi } from './testing/test-api.ts';
import { within } from '../test/harness/eventually.ts';

let api: TestApi;
beforeEach(async () => {
  api = await startApi();
});
afterEach(() => api[Symbol.asyncDispose]());

test('more connections than allowed: closed on accept', async () => {
  await using small = await startApi({ maxConnections: 1 });
  const dial = async () => {
    const { hostname, port } = new URL(small.url);
    const socket = connect(Number(port), hostname).on('error', () => undefined);
    await new Promise((resolve) => socket.once('connect', resolve));
    return socket;
  };
  const held = await dial();
  held.write('GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n');
  await new Promise((resolve) => held.once('data', resolve));
  const more = await dial();
  more.resume();
  await within('the end of one too many', new Promise((resolve) => more.once('close', resolve)));
  // One that is merely slow to ask would be answered.
  expect(more.bytesRead).toBe(0);
  expect(held.destroyed).toBe(false);
  held.destroy();
});

describe('bad input', () => {
  test('an unknown path: 404 ROUTE_NOT_FOUND that names it without its query', async () => {
    const answer = await api.get('/nothing?secret=1');
    expect(answer.status).toBe(404);
    expect(answer.body.code).toBe('ROUTE_NOT_FOUND');
    expect(answer.body.message).toContain('GET /nothing.');
  });

  test.each([
    ['DELETE', '/rooms', 'GET, HEAD, OPTIONS, POST'],
    ['POST', '/rooms/7', 'DELETE, GET, HEAD, OPTIONS'],
    ['GET', '/rooms/7/members/bob', 'DELETE, OPTIONS, PUT'],
    ['GET', '/auth/login', 'OPTIONS, POST'],
    ['HEAD', '/auth/login', 'OPTIONS, POST'],
    ['PROPFIND', '/healthz', 'GET, HEAD, OPTIONS'],
    ['POST', '/docs/json', 'GET, HEAD, OPTIONS'],
  ])('%s %s: 405 METHOD_NOT_ALLOWED, Allow: %s', async (method, path, allow) => {
    const answer = await api.request(path, { method });
    expect([answer.status, answer.headers.get('allow')]).toEqual([405, allow]);
    if (method !== 'HEAD') expect(answer.body.code).toBe('METHOD_NOT_ALLOWED');
    expect(api.state.asked).toEqual([]);
  });

  test('a wrong method with a body of another type: still 405', async () => {
    const answer = await api.request('/rooms', { method: 'PUT', body: 'x' });
    expect([answer.status, answer.body.code]).toEqual([405, 'METHOD_NOT_ALLOWED']);
  });

  test('OPTIONS: the methods of the path; 404 for an unknown path', async () => {
    const answer = await api.request('/rooms/7', { method: 'OPTIONS' });
    expect([answer.status, answer.headers.get('allow'), answer.text]).toEqual([
      204,
      'DELETE, GET, HEAD, OPTIONS',
      '',
    ]);
    expect((await api.request('/nothing', { method: 'OPTIONS' })).body.code).toBe('ROUTE_NOT_FOUND');
  });

  test('HEAD: as GET, without a body', async () => {
    const answer = await api.request('/healthz', { method: 'HEAD' });
    expect([answer.status, answer.text]).toEqual([200, '']);
    expect(Number(answer.headers.get('content-length'))).toBeGreaterThan(0);
  });

  test.each([
    ['no Host', 'GET /healthz HTTP/1.1\r\nconnection: close\r\n\r\n', 400, 'ARGUMENT_INVALID'],
    ['CONNECT', 'CONNECT x:1 HTTP/1.1\r\nhost: x\r\n\r\n', 405, 'METHOD_NOT_ALLOWED'],
    [
      'an unknown Expect',
      'GET /healthz HTTP/1.1\r\nhost: x\r\nexpect: nonsense\r\n\r\n',
      417,
      'ARGUMENT_INVALID',
    ],
  ])('%s: refused with a code', async (_, bytes, status, code) => {
    const answer = await raw(bytes);
    expect([Number(answer.split(' ')[1]), /"code":"(\w+)"/.exec(answer)?.[1]]).toEqual([status, code]);
  });

  test('HTTP/1.0, which has no Host: answered', async () => {
    expect(await raw('GET /healthz HTTP/1.0\r\n\r\n')).toMatch(/^HTTP\/1\.1 200 /);
  });

  test('a body over 132 KiB: 413 REQUEST_TOO_LARGE', async () => {
    const answer = await api.post('/auth/login', { name: 'x'.repeat(132 * 1024), password: 'x' });
    expect([answer.status, answer.body.code]).toEqual([413, 'REQUEST_TOO_LARGE']);
  });

  test('another content type: 415 MEDIA_TYPE_UNSUPPORTED', async () => {
    for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'nonsense']) {
      const answer = await api.post('/auth/login', 'name=x', { 'content-type': type });
      expect([type, answer.status, answer.body.code]).toEqual([type, 415, 'MEDIA_TYPE_UNSUPPORTED']);
    }
  });

  test('an address that does not decode: 400 ARGUMENT_INVALID', async () => {
    const answer = await api.get('/rooms/%zz/messages');
    expect([answer.status, answer.body.code]).toEqual([400, 'ARGUMENT_INVALID']);
  });

  test('huge headers: 431 with a code, and the server goes on', async () => {
    const answer = await raw(`GET /healthz HTTP/1.1\r\nhost: x\r\nx: ${'y'.repeat(40_000)}\r\n\r\n`);
    expect(answer).toMatch(/^HTTP\/1\.1 431 [\s\S]*"code":"REQUEST_TOO_LARGE"/);
    expect((await api.get('/healthz')).status).toBe(200);
  });

  test('input that is not HTTP: 400 with a code, and the server goes on', async () => {
    expect(await raw('\u0000 garbage\r\n\r\n')).toMatch(/^HTTP\/1\.1 400 [\s\S]*"code":"ARGUMENT_INVALID"/);
    expect((await api.get('/healthz')).status).toBe(200);
  });

  test('__proto__ in a body: nothing is polluted', async () => {
    const answer = await api.post(
      '/auth/login',
      '{"__proto__":{"x":1},"constructor":{"prototype":{"x":1}},"name":"ann","password":"111111"}',
    );
    expect(answer.status).toBe(200);
    expect(({} as { x?: number }).x).toBeUndefined();
  });
});

describe('failures of state', () => {
  test('an unexpected error: 500 INTERNAL without its details', async () => {
    api.state.failWith(new Error('the secret cause'));
    const answer = await api.get('/rooms');
    expect(answer.status).toBe(500);
    expect(Object.keys(answer.body)).toEqual(['type', 'title', 'status', 'code', 'message', 'request_id']);
    expect(answer.body.code).toBe('INTERNAL');
    expect(answer.text).not.toMatch(/secret|\.ts|stack/);
  });

  test('state does not answer in time: 504 DEADLINE_EXCEEDED', async () => {
    await api[Symbol.asyncDispose]();
    api = await startApi({ deadlineMs: 50 });
    api.state.hang();
    const answer = await api.get('/rooms');
    expect([answer.status, answer.body.code]).toEqual([504, 'DEADLINE_EXCEEDED']);
  });
});

describe('CORS', () => {
  const page = 'https://chat.example';
  const preflight = (path: string, method: string, origin = page) =>
    api.request(path, { method: 'OPTIONS', headers: { origin, 'access-control-request-method': method } });
  const restart = async (corsOrigins: string) => {
    await api[Symbol.asyncDispose]();
    api = await startApi({ corsOrigins });
  };

  test('by default: no other origin', async () => {
    for (const answer of [await api.get('/healthz', { origin: page }), await preflight('/rooms', 'POST')])
      expect([...answer.headers.keys()].filter((name) => name.startsWith('access-control'))).toEqual([]);
  });

  test('a preflight: the methods of the path, DELETE included, and the headers', async () => {
    await restart(page);
    const answer = await preflight('/rooms/7', 'DELETE');
    expect(answer.status).toBe(204);
    expect(answer.headers.get('access-control-allow-origin')).toBe(page);
    expect(answer.headers.get('access-control-allow-methods')).toBe('DELETE, GET, HEAD, OPTIONS');
    expect(answer.headers.get('access-control-allow-headers')).toContain('authorization');
    expect(answer.headers.get('vary')).toBe('origin');
  });

  test('named origins: only those, also on error responses', async () => {
    await restart(page);
    const allowed = async (origin: string, path = '/healthz') =>
      (await api.get(path, { origin })).headers.get('access-control-allow-origin');
    expect(await allowed(page)).toBe(page);
    expect(await allowed(page, '/nothing')).toBe(page);
    expect(await allowed('https://evil.example')).toBeNull();
  });

  test('*: any origin', async () => {
    await restart('*');
    const answer = await api.get('/healthz', { origin: page });
    expect(answer.headers.get('access-control-allow-origin')).toBe('*');
    expect(answer.headers.get('access-control-expose-headers')).toBe('retry-after');
  });
});

describe('lifecycle', () => {
  test('healthz: ok', async () => {
    expect((await api.get('/healthz')).body).toEqual({ status: 'ok' });
  });

  test('a port in use: PORT_IN_USE that names the flag', async () => {
    const port = Number(api.server.address.split(':')[1]);
    const second = new ApiServer({ port, registry: api.state.registry, logger: silentLogger });
    await expect(second.start()).rejects.toMatchObject({
      code: 'PORT_IN_USE',
      details: { port, flag: '--port' },
    });
    await second.stop();
  });

  test('an accept error: a warning, and the next client is accepted', async () => {
    const listening = vi.spyOn(Server.prototype, 'listen');
    const warn = vi.spyOn(silentLogger, 'warn');
    onTestFinished(() => {
      vi.restoreAllMocks();
    });
    await using other = await startApi();
    const err = new Error('accept EMFILE');
    for (const server of listening.mock.contexts as Server[]) server.emit('error', err);
    expect(warn).toHaveBeenCalledWith({ err }, expect.any(String));
    expect((await other.get('/healthz')).status).toBe(200);
  });

  test('readiness: needs a registered state, and ends with drain', async () => {
    await api.get('/rooms');
    expect(api.server.readiness()).toBeUndefined();
    await api.server.drain(1000);
    expect(api.server.readiness()).toBe('draining');
    await expect(api.get('/healthz')).rejects.toThrow('fetch failed');
  });

  test('readiness: not ready while no state server is registered', async () => {
    await api.state.stop();
    await api.get('/healthz');
    expect(api.server.readiness()).toContain('no state server');
  });

  test('drain and stop: any number of times', async () => {
    await Promise.all([api.server.drain(100), api.server.drain(100), api.server.stop(), api.server.stop()]);
  });
});

/** Sends bytes and returns all that comes back. */
function raw(bytes: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const [host, port] = api.server.address.split(':');
    const socket = connect(Number(port), host, () => socket.write(bytes));
    let received = '';
    socket.on('data', (chunk) => (received += String(chunk)));
    socket.on('close', () => resolve(received));
    socket.on('error', reject);
  });
}
