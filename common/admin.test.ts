import { request } from 'node:http';
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
): Promise<{ status: number; body: Record<string, unknown> }> {
  return new Promise((resolve, reject) => {
    const call = request(`http://${admin.address}${path}`, { method, headers }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, body: JSON.parse(text) as Record<string, unknown> }),
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
  ['with a wrong token', { authorization: 'Bearer guess' }],
])('an operator path %s: refused and not called', async (_, headers) => {
  const before = drains;
  const { status, body } = await ask('POST', '/drain', headers);
  expect([status, body['code']]).toEqual([403, 'OPERATOR_ONLY']);
  expect(drains).toBe(before);
});

test('an operator path with the token: is called, from wherever', async () => {
  const headers = { authorization: 'Bearer hush', host: 'gw1.example:9101' };
  expect((await ask('POST', '/drain', headers)).status).toBe(202);
});

test('a handler that fails: its code', async () => {
  const { status, body } = await ask('GET', '/fails');
  expect([status, body['code']]).toEqual([400, 'ARGUMENT_INVALID']);
});

test.each([
  ['GET', '/drain', 405, 'METHOD_NOT_ALLOWED'],
  ['POST', '/livez', 405, 'METHOD_NOT_ALLOWED'],
  ['GET', '/nope', 404, 'ROUTE_NOT_FOUND'],
])('%s %s: %i %s', async (method, path, status, code) => {
  const answer = await ask(method, path);
  expect([answer.status, answer.body['code']]).toEqual([status, code]);
});
