import { type IncomingHttpHeaders, request } from 'node:http';
import { connect } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type AdminServer, json, startAdmin } from './admin.ts';
import { GochatError } from './errors.ts';
import { silentLogger } from './logger.ts';

let admin: AdminServer;
let drains = 0;

beforeAll(async () => {
  admin = await startAdmin({
    host: '127.0.0.1',
    port: 0,
    servers: [],
    logger: silentLogger,
    adminToken: 'hush',
    operatorRoutes: {
      'POST /drain': (_, response) => {
        drains++;
        json(response, 202, { status: 'draining' });
      },
      'GET /fails': () => Promise.reject(new GochatError('ARGUMENT_INVALID', { details: { what: 'It' } })),
    },
  });
});
afterAll(() => admin.close());

/** fetch would not let a test set Host and Origin. */
function ask(
  method: string,
  path: string,
  headers: Record<string, string> = {},
): Promise<{ status: number; headers: IncomingHttpHeaders; body: Record<string, unknown> }> {
  return new Promise((resolve, reject) => {
    const call = request(`http://${admin.address}${path}`, { method, headers }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
      response.on('end', () =>
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          body: JSON.parse(text) as Record<string, unknown>,
        }),
      );
    });
    call.on('error', reject).end();
  });
}

test('an operator path from this machine: is called', async () => {
  const before = drains;
  expect((await ask('POST', '/drain')).status).toBe(202);
  expect(drains).toBe(before + 1);
});

test.each([
  ['from a page in a browser', { origin: 'http://evil.example' }],
  ['under a name that only resolves to here', { host: 'evil.example:9101' }],
  ['through a proxy here', { 'x-forwarded-for': '203.0.113.9' }],
  ['through another one', { via: '1.1 proxy' }],
  ['with a wrong token', { authorization: 'Bearer guess' }],
])('an operator path %s: refused and not called', async (_, headers) => {
  const before = drains;
  const { status, body } = await ask('POST', '/drain', headers);
  expect([status, body['code']]).toEqual([403, 'OPERATOR_ONLY']);
  expect(drains).toBe(before);
});

test('an operator path with the token: is called from any address', async () => {
  const headers = { authorization: 'Bearer hush', host: 'gw1.example:9101' };
  expect((await ask('POST', '/drain', headers)).status).toBe(202);
});

test('a handler that fails: the response has its code', async () => {
  const { status, body } = await ask('GET', '/fails');
  expect([status, body['code']]).toEqual([400, 'ARGUMENT_INVALID']);
});

test.each([
  ['GET', '/drain', 405, 'METHOD_NOT_ALLOWED', 'OPTIONS, POST'],
  ['POST', '/livez', 405, 'METHOD_NOT_ALLOWED', 'GET, HEAD, OPTIONS'],
  ['PUT', '/drain', 405, 'METHOD_NOT_ALLOWED', 'OPTIONS, POST'],
  ['GET', '/nope', 404, 'ROUTE_NOT_FOUND', undefined],
  ['OPTIONS', '/nope', 404, 'ROUTE_NOT_FOUND', undefined],
])('%s %s: %i %s', async (method, path, status, code, allow) => {
  const answer = await ask(method, path);
  expect([answer.status, answer.body['code'], answer.headers.allow]).toEqual([status, code, allow]);
});

test('HEAD and OPTIONS: headers without a body, and the allowed methods', async () => {
  expect(await raw('HEAD /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n')).toMatch(
    /^HTTP\/1\.1 200 OK\r\n[^]*\r\n\r\n$/,
  );
  expect(await raw('OPTIONS /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n')).toMatch(
    /^HTTP\/1\.1 204 [^]*allow: GET, HEAD, OPTIONS\r\n/,
  );
});

test.each([
  ['no Host', 'GET /livez HTTP/1.1\r\nconnection: close\r\n\r\n', 400],
  ['input that is not HTTP', 'nonsense\r\n\r\n', 400],
  ['a malformed address', 'GET // HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n', 400],
  ['CONNECT', 'CONNECT x:1 HTTP/1.1\r\nhost: x\r\n\r\n', 405],
  ['HTTP/1.0 without Host', 'GET /livez HTTP/1.0\r\n\r\n', 200],
])('%s: answered, and the server lives', async (_, bytes, status) => {
  const answer = await raw(bytes);
  expect(Number(answer.split(' ')[1])).toBe(status);
  if (status >= 400) expect(answer).toContain('"code":"');
  expect((await ask('GET', '/livez')).status).toBe(200);
});

/** Sends bytes and returns all that comes back. */
function raw(bytes: string): Promise<string> {
  const [host, port] = admin.address.split(':');
  const socket = connect(Number(port), host, () => socket.write(bytes));
  return new Promise((resolve, reject) => {
    let received = '';
    socket.on('data', (chunk) => (received += String(chunk)));
    socket.on('close', () => resolve(received)).on('error', reject);
  });
}
