import { connect } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { silentLogger } from '../common/mod.ts';
import { ApiServer } from './server.ts';
import { startApi, type TestApi } from './test-api.ts';

let api: TestApi;
beforeEach(async () => {
  api = await startApi();
});
afterEach(() => api[Symbol.asyncDispose]());

describe('bad input', () => {
  test('an unknown path: 404 ROUTE_NOT_FOUND that names it without its query', async () => {
    const answer = await api.get('/nothing?secret=1');
    expect(answer.status).toBe(404);
    expect(answer.body.code).toBe('ROUTE_NOT_FOUND');
    expect(answer.body.message).toContain('GET /nothing.');
  });

  test('a method that the path has not: 404 ROUTE_NOT_FOUND', async () => {
    const answer = await api.request('/rooms', { method: 'DELETE' });
    expect([answer.status, answer.body.code]).toEqual([404, 'ROUTE_NOT_FOUND']);
  });

  test('a body over 64 KiB: 413 REQUEST_TOO_LARGE', async () => {
    const answer = await api.post('/auth/login', { name: 'x'.repeat(65_536), password: 'x' });
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

  test('huge headers: 431 with a code, and the server lives', async () => {
    const answer = await raw(`GET /healthz HTTP/1.1\r\nhost: x\r\nx: ${'y'.repeat(40_000)}\r\n\r\n`);
    expect(answer).toMatch(/^HTTP\/1\.1 431 [\s\S]*"code":"REQUEST_TOO_LARGE"/);
    expect((await api.get('/healthz')).status).toBe(200);
  });

  test('what is not HTTP: 400 with a code, and the server lives', async () => {
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

describe('failures behind it', () => {
  test('something that no code is for: 500 INTERNAL without what it was', async () => {
    api.state.failWith(new Error('the secret cause'));
    const answer = await api.get('/rooms');
    expect(answer.status).toBe(500);
    expect(Object.keys(answer.body)).toEqual(['code', 'message']);
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
  test('any origin may call by default', async () => {
    const answer = await api.get('/healthz', { origin: 'https://chat.example' });
    expect(answer.headers.get('access-control-allow-origin')).toBe('*');
  });

  test('a preflight: answered', async () => {
    const answer = await api.request('/rooms', {
      method: 'OPTIONS',
      headers: { origin: 'https://chat.example', 'access-control-request-method': 'POST' },
    });
    expect(answer.status).toBe(204);
    expect(answer.headers.get('access-control-allow-headers')).toContain('authorization');
  });

  test('named origins: only those', async () => {
    await api[Symbol.asyncDispose]();
    api = await startApi({ corsOrigins: ['https://chat.example'] });
    const allowed = async (origin: string) =>
      (await api.get('/healthz', { origin })).headers.get('access-control-allow-origin');
    expect(await allowed('https://chat.example')).toBe('https://chat.example');
    expect(await allowed('https://evil.example')).toBeNull();
  });
});

describe('life', () => {
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

  test('drain and stop: as often as one likes', async () => {
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
