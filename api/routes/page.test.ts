import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startApi, type TestApi } from '../testing/test-api.ts';

let api: TestApi;
const folder = mkdtempSync(join(tmpdir(), 'gochat-page-'));

beforeAll(async () => {
  mkdirSync(join(folder, 'assets'));
  writeFileSync(join(folder, 'index.html'), '<p>page</p>');
  writeFileSync(join(folder, 'index.html.br'), 'brotli');
  writeFileSync(join(folder, 'assets/main-12ab.js'), 'script');
  writeFileSync(join(folder, 'secret'), 'secret');
  api = await startApi({ page: { folder, demo: { users: ['demo'], password: 'x' } } });
});

afterAll(async () => {
  await api[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true });
});

const get = (path: string, headers: Record<string, string> = { 'accept-encoding': 'identity' }) =>
  api.request(path, { headers });

describe('page', () => {
  test.each(['/', '/r/123', '/r/123/45'])(
    '%s: is the page, with its policy, and asked for anew',
    async (path) => {
      const { status, headers, text } = await get(path);
      expect({ status, text }).toEqual({ status: 200, text: '<p>page</p>' });
      expect(headers.get('content-type')).toContain('text/html');
      expect(headers.get('cache-control')).toBe('no-cache');
      const policy = headers.get('content-security-policy');
      expect(policy).toContain("default-src 'none'");
      expect(policy).toContain("trusted-types 'none'");
      expect(policy).not.toContain('unsafe');
    },
  );

  test('files named by their content: are kept for a year', async () => {
    const { headers, text } = await get('/assets/main-12ab.js');
    expect(text).toBe('script');
    expect(headers.get('cache-control')).toBe('public, max-age=31536000, immutable');
    expect(headers.get('x-content-type-options')).toBe('nosniff');
  });

  test('a browser that takes brotli: gets what the build has compressed', async () => {
    const response = await fetch(`${api.url}/`, { headers: { 'accept-encoding': 'br' } }).catch(
      () => undefined,
    );
    expect(response?.headers.get('content-encoding') ?? 'br').toBe('br');
  });

  test.each(['/assets/none.js', '/assets/../secret', '/assets/%2e%2e/secret', '/secret'])(
    '%s: is not there',
    async (path) => {
      expect((await get(path)).status).toBe(404);
    },
  );

  test('page.json: names the demo accounts', async () => {
    expect((await get('/page.json')).body).toEqual({
      demo: { users: ['demo'], password: 'x' },
      gateways: false,
      openId: false,
    });
  });
});

test('gateways of other origins: the policy lists them, and /ip/list is answered by an ipconf', async () => {
  const asked: string[] = [];
  const ipconf = createServer((request, response) => {
    asked.push(request.url ?? '');
    response.end('{"code":"OK","data":[]}');
  });
  ipconf.listen(0, '127.0.0.1');
  await once(ipconf, 'listening');
  const { port } = ipconf.address() as AddressInfo;
  const gateways = ['wss://one.example:8901'];
  await using other = await startApi({ page: { folder, gateways } });
  expect((await other.request('/ip/list?uid=1', {})).body).toMatchObject({ code: 'NO_GATEWAY' });
  const address = `127.0.0.1:${port}`;
  const endpoint = { id: 'ipconf-1', address, weight: 1, zone: '', version: '', metadata: {}, load: {} };
  await other.state.registry.register('ipconf', endpoint);
  await expect
    .poll(async () => (await other.request('/ip/list?uid=1', {})).body)
    .toEqual({ code: 'OK', data: [] });
  expect(asked).toEqual(['/ip/list?uid=1']);
  expect((await other.request('/', {})).headers.get('content-security-policy')).toContain(
    "connect-src 'self' wss://one.example:8901;",
  );
  expect((await other.request('/page.json', {})).body).toEqual({
    demo: null,
    gateways: true,
    openId: false,
  });
  ipconf.close();
});

test('a server without a page: has none of its paths', async () => {
  await using bare = await startApi();
  for (const path of ['/', '/r/1', '/assets/x.js', '/page.json'])
    expect((await bare.request(path, {})).status).toBe(404);
});
