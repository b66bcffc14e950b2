import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CALLS, OLD_CALLS } from './testing/calls.ts';
import { startApi, type TestApi } from './testing/test-api.ts';

interface Operation {
  readonly summary?: string;
  readonly deprecated?: boolean;
  readonly requestBody?: { content: Record<string, { schema?: object }> };
  readonly parameters?: { name: string; in: string; schema?: object }[];
  readonly responses: Record<string, { description?: string; content?: Record<string, { schema?: object }> }>;
}

let api: TestApi;
let shared: Record<string, object>;
let paths: Record<string, Record<string, Operation>>;
beforeAll(async () => {
  api = await startApi();
  const { body } = await api.get('/docs/json');
  expect(body.openapi).toMatch(/^3\.1\./);
  expect(body.components.securitySchemes.token).toMatchObject({ type: 'http', scheme: 'bearer' });
  paths = body.paths;
  shared = body.components.schemas;
});
afterAll(() => api[Symbol.asyncDispose]());

/** Follows a reference to a shared schema. */
function resolve(schema: { $ref?: string } | undefined): object | undefined {
  const name = schema?.$ref?.split('/').at(-1);
  return name === undefined ? schema : shared[name];
}

const ROOM_ROUTES = [
  ['/rooms', 'get', '200'],
  ['/rooms', 'post', '201'],
  ['/rooms/{id}', 'get', '200'],
  ['/rooms/{id}', 'delete', '200'],
  ['/rooms/{id}/join', 'post', '200'],
  ['/rooms/{id}/leave', 'post', '200'],
  ['/rooms/{id}/members/{user}', 'put', '200'],
  ['/rooms/{id}/members/{user}', 'delete', '200'],
  ['/rooms/{id}/messages', 'get', '200'],
] as const;
const NEW_ROUTES = [
  ['/conversations', 'get', '200'],
  ['/conversations', 'post', '200'],
  ['/rooms/{id}/read', 'put', '200'],
  ...ROOM_ROUTES,
  ['/rooms/{id}/members', 'get', '200'],
  ['/rooms/{id}/messages', 'post', '201'],
  ['/rooms/{id}/messages/{seq}', 'get', '200'],
  ['/rooms/{id}/messages/{seq}/readers', 'get', '200'],
  ['/rooms/{id}/messages/{seq}', 'patch', '200'],
  ['/rooms/{id}/messages/{seq}', 'delete', '200'],
  ['/rooms/{id}/messages/{seq}/pin', 'put', '200'],
  ['/rooms/{id}/messages/{seq}/pin', 'delete', '200'],
  ['/rooms/{id}/retractions', 'post', '201'],
  ['/rooms/{id}/pins', 'get', '200'],
  ['/threads', 'get', '200'],
  ['/rooms/{id}/read-all', 'post', '200'],
  ['/conversations/read-all', 'post', '200'],
  ['/rooms/{id}/threads/{root}', 'get', '200'],
  ['/rooms/{id}/threads/{root}/follow', 'put', '200'],
  ['/rooms/{id}/threads/{root}/follow', 'delete', '200'],
  ['/rooms/{id}/threads/{root}/read', 'put', '200'],
  ['/rooms/{id}/mute', 'put', '200'],
  ['/rooms/{id}/mute', 'delete', '200'],
  ['/rooms/{id}/draft', 'put', '200'],
  ['/rooms/{id}/draft', 'delete', '200'],
  ['/users', 'get', '200'],
  ['/users/presence', 'get', '200'],
  ['/users/me', 'get', '200'],
  ['/users/me', 'patch', '200'],
  ['/users/me/state', 'get', '200'],
  ['/users/me', 'delete', '200'],
  ['/users/me/settings', 'get', '200'],
  ['/users/me/settings', 'patch', '200'],
  ['/users/me/password', 'post', '200'],
  ['/sessions', 'get', '200'],
  ['/sessions/{id}', 'delete', '200'],
  ['/bots', 'get', '200'],
  ['/bots', 'post', '201'],
  ['/bots/{bot}/token', 'post', '200'],
  ['/bots/{bot}', 'delete', '200'],
  ['/admin/accounts', 'get', '200'],
  ['/admin/accounts/{user}', 'patch', '200'],
  ['/admin/accounts/{user}/password', 'post', '200'],
  ['/admin/accounts/{user}/sessions', 'delete', '200'],
] as const;
const ROUTES: readonly (readonly [path: string, method: string, success: string])[] = [
  ['/.well-known/jwks.json', 'get', '200'],
  ['/auth/signup', 'post', '201'],
  ['/auth/login', 'post', '200'],
  ['/auth/refresh', 'post', '200'],
  ['/auth/logout', 'post', '200'],
  ...NEW_ROUTES.map(([path, ...rest]) => [`/api/v1${path}`, ...rest] as const),
  ...ROOM_ROUTES,
  ['/healthz', 'get', '200'],
];
/** Calls with a body that they need or may have. */
const BODIES =
  /^post \/auth|^post .*\/(rooms|conversations|messages|retractions|bots|me\/password)$|^put .*\/read$|^put .*\/(members\/|mute|draft)|^patch |^delete .*\/(messages\/\{seq\}|users\/me)$/;

describe('/docs/json', () => {
  test('the routes: all of them and no others', () => {
    const documented = Object.entries(paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method} ${path}`),
    );
    expect(documented.toSorted()).toEqual(ROUTES.map(([path, method]) => `${method} ${path}`).toSorted());
  });

  test.each(ROUTES)(
    '%s %s: a summary, its parameters, and a schema of each response',
    (path, method, success) => {
      const operation = paths[path]?.[method] as Operation;
      expect(operation.summary).toBeTruthy();
      const statuses = Object.keys(operation.responses);
      expect(statuses).toContain(success);
      if (path !== '/healthz') expect(statuses).toEqual(expect.arrayContaining(['400', '500', '503', '504']));
      for (const [status, response] of Object.entries(operation.responses)) {
        if (status === '304') continue;
        const isError = Number(status) >= 400;
        const media = isError ? 'application/problem+json' : 'application/json';
        const schema = resolve(response.content?.[media]?.schema);
        expect([status, response.description]).not.toEqual([status, 'Default Response']);
        expect(schema).toMatchObject({ type: 'object' });
        if (isError)
          expect(schema).toMatchObject({ required: ['type', 'title', 'status', 'code', 'message'] });
      }
      const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
      const declared = (operation.parameters ?? []).filter((parameter) => parameter.in === 'path');
      expect(declared.map((parameter) => parameter.name)).toEqual(inPath);
      for (const parameter of operation.parameters ?? []) expect(parameter.schema).toBeDefined();
      const takesBody = operation.requestBody?.content['application/json']?.schema !== undefined;
      expect(takesBody).toBe(BODIES.test(`${method} ${path}`));
      expect(operation.deprecated === true).toBe(path.startsWith('/rooms'));
    },
  );

  test('413 and 415: where they occur, and only there', async () => {
    for (const { method, path } of [...CALLS, ...OLD_CALLS]) {
      const template = path
        .replace(/\?.*/, '')
        .replace(/rooms\/\d+/, 'rooms/{id}')
        .replace(/members\/\w+/, 'members/{user}')
        .replace(/messages\/\d+/, 'messages/{seq}')
        .replace(/threads\/\d+/, 'threads/{root}')
        .replace(/sessions\/\d+/, 'sessions/{id}')
        .replace(/bots\/\w+/, 'bots/{bot}')
        .replace(/accounts\/\w+/, 'accounts/{user}');
      const statuses = Object.keys(paths[template]?.[method.toLowerCase()]?.responses ?? {});
      if (method === 'GET') {
        expect([path, statuses]).toEqual([path, expect.not.arrayContaining(['413'])]);
        continue;
      }
      expect([path, statuses]).toEqual([path, expect.arrayContaining(['413', '415'])]);
      const large = await api.call(method, path, { text: 'x'.repeat(200_000) });
      expect([path, large.status, large.body.code]).toEqual([path, 413, 'REQUEST_TOO_LARGE']);
      const other = await api.call(method, path, 'x', { 'content-type': 'text/plain' });
      expect([path, other.status, other.body.code]).toEqual([path, 415, 'MEDIA_TYPE_UNSUPPORTED']);
    }
  });

  test('ids: strings everywhere, since JSON numbers lose digits', () => {
    const visit = (node: unknown): void => {
      if (typeof node !== 'object' || node === null) return;
      for (const [key, child] of Object.entries(node)) {
        if (key === 'id' && typeof child === 'object' && child !== null && 'type' in child)
          expect(child.type).toBe('string');
        visit(child);
      }
    };
    visit(paths);
  });
});

describe('/docs', () => {
  test('the page: only assets of its own, and each exists', async () => {
    const page = await api.get('/docs/');
    expect(page.status).toBe(200);
    expect(page.headers.get('content-type')).toContain('text/html');
    const assets = [...page.text.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, asset]) => asset as string);
    expect(assets.length).toBeGreaterThan(3);
    for (const asset of assets) {
      expect(asset).not.toMatch(/^(https?:)?\/\//);
      const path = new URL(asset, `${api.url}/docs/`).pathname;
      expect([path, (await api.get(path)).status]).toEqual([path, 200]);
    }
  });

  test('the page: uses no validator on the internet', async () => {
    const script = await api.get('/docs/static/swagger-initializer.js');
    expect(script.text).toContain('"validatorUrl":null');
  });
});
