/** Bad input in every field of bots and of the admins' calls, on a real system: the code, and nothing is changed. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startUp } from '../harness/gochat.ts';
import { tokenOf } from '../harness/raw-client.ts';

const BIDI = 'a\u202eb';
const ZERO_WIDTH = 'a\u200bb';
const NUL = 'a\0b';
const INJECTION = "x'; drop table accounts; --";
const HUGE = 'x'.repeat(1 << 20);
/** Of a wrong type, or too long. */
const ILL: readonly unknown[] = [7, true, [], {}, ['x'], 'x'.repeat(1025)];
const NO_NAMES: readonly unknown[] = [
  '',
  '😀',
  BIDI,
  ZERO_WIDTH,
  NUL,
  INJECTION,
  'Ä',
  'x'.repeat(33),
  '../me',
  '1a',
];

let folder: string;
let up: Awaited<ReturnType<typeof startUp>>;
let admin: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gochat-fields-'));
  up = await startUp(folder);
  admin = await tokenOf(up, 'admin', '111111');
  const { answer } = await call('POST', '/bots', { name: 'my-bot' });
  // A bot whose token was never used may be made again.
  const used = await fetch(`${up.api}/auth/refresh`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ refresh_token: answer['token'] }),
  });
  expect(used.status).toBe(200);
}, 180_000);

afterAll(async () => {
  await up[Symbol.asyncDispose]();
  await rm(folder, { recursive: true });
});

async function call(method: string, path: string, body?: unknown, token = admin) {
  const response = await fetch(`${up.api}/api/v1${path}`, {
    method,
    headers: {
      authorization: `Bearer ${token}`,
      ...(body !== undefined && { 'content-type': 'application/json' }),
    },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  const answer = (await response.json()) as Readonly<Record<string, unknown>>;
  return { status: response.status, code: answer['code'], answer };
}

/** What can be seen of all accounts. */
const everything = async () =>
  JSON.stringify([(await call('GET', '/admin/accounts')).answer, (await call('GET', '/bots')).answer]);

/** Makes calls that must all be refused with this, and change nothing. */
async function refused(
  calls: readonly (readonly [method: string, path: string, body?: unknown])[],
  status: number,
  codes: RegExp,
): Promise<void> {
  const before = await everything();
  for (const [method, path, body] of calls) {
    const shown = `${method} ${path.slice(0, 60)} ${JSON.stringify(body)?.slice(0, 60)}`;
    const { answer, ...said } = await call(method, path, body);
    expect([shown, said]).toEqual([shown, { status, code: expect.stringMatching(codes) }]);
    expect(answer['type'], shown).toBeDefined();
  }
  expect(await everything()).toBe(before);
}

const VALID = /^(?:ARGUMENT|NAME|DISPLAY_NAME)_INVALID$/;

test('a bot: its name', async () => {
  const names = [...ILL, null, ...NO_NAMES];
  await refused(
    names.map((name) => ['POST', '/bots', { name }] as const),
    400,
    VALID,
  );
  await refused([['POST', '/bots', { name: HUGE }]], 413, /^REQUEST_TOO_LARGE$/);
  await refused(
    [
      ['POST', '/bots', { name: 'my-bot' }],
      ['POST', '/bots', { name: 'demo' }],
    ],
    409,
    /^NAME_TAKEN$/,
  );
});

test('a bot: its display name; one emoji is a name, and so is SQL', async () => {
  const names = [...ILL, null, BIDI, ZERO_WIDTH, NUL, 'x'.repeat(65), '\u200b'];
  const calls = names.map((display_name) => ['POST', '/bots', { name: 'other-bot', display_name }] as const);
  await refused(calls, 400, VALID);
  for (const [n, display_name] of ['😀', INJECTION].entries())
    expect((await call('POST', '/bots', { name: `named-${n}`, display_name })).answer).toMatchObject({
      display_name,
    });
});

test('a bot in a path', async () => {
  const bots = NO_NAMES.filter((name) => name !== '').map((name) => encodeURIComponent(String(name)));
  const of = (bot: string) =>
    [
      ['DELETE', `/bots/${bot}`],
      ['POST', `/bots/${bot}/token`],
    ] as const;
  const before = await everything();
  for (const [method, path] of [...bots, 'x'.repeat(300), 'demo', '77', 'nobody-here'].flatMap(of)) {
    const { status, code } = await call(method, path);
    expect([path, status, code]).toEqual([
      path,
      expect.toSatisfy((each: number) => each === 400 || each === 404),
      expect.stringMatching(/^(?:ARGUMENT_INVALID|NAME_INVALID|USER_NOT_FOUND)$/),
    ]);
  }
  expect(await everything()).toBe(before);
});

test('an admin: what is changed of an account', async () => {
  const bodies = [
    {},
    [],
    'suspended',
    7,
    { state: 'closed' },
    { state: 7 },
    { state: null },
    { state: INJECTION },
    { state: 'suspended\0' },
    { admin: 'true' },
    { admin: 1 },
    { admin: null },
    { state: 'suspended', password: 'x' },
    { Admin: true },
  ];
  await refused(
    bodies.map((body) => ['PATCH', '/admin/accounts/test', body] as const),
    400,
    VALID,
  );
  await refused([['PATCH', '/admin/accounts/test', { state: HUGE }]], 413, /^REQUEST_TOO_LARGE$/);
});

test('an admin: whose account', async () => {
  const users = [...NO_NAMES.filter((name) => name !== ''), 'nobody-here', '77', 'x'.repeat(300)];
  const before = await everything();
  for (const user of users.map((each) => encodeURIComponent(String(each))))
    for (const [method, tail, body] of [
      ['PATCH', '', { state: 'suspended' }],
      ['POST', '/password'],
      ['DELETE', '/sessions'],
    ] as const) {
      const { status, code } = await call(method, `/admin/accounts/${user}${tail}`, body);
      expect([user, method, status, code]).toEqual([
        user,
        method,
        expect.toSatisfy((each: number) => each === 400 || each === 404),
        expect.stringMatching(/^(?:ARGUMENT_INVALID|NAME_INVALID|USER_NOT_FOUND)$/),
      ]);
    }
  expect(await everything()).toBe(before);
});

test('an admin: pages of the list', async () => {
  const queries = [
    'after=x',
    'after=-1',
    `after=${HUGE.slice(0, 5000)}`,
    'limit=0',
    'limit=501',
    'limit=x',
    'limit=1.5',
  ];
  await refused(
    queries.map((query) => ['GET', `/admin/accounts?${query}`] as const),
    400,
    /^ARGUMENT_INVALID$/,
  );
});

test('who is no admin: ADMIN_ONLY for all of it, whatever the input', async () => {
  const token = await tokenOf(up, 'test', '111111');
  for (const [method, path, body] of [
    ['GET', '/admin/accounts'],
    ['PATCH', '/admin/accounts/test', { admin: true }],
    ['PATCH', '/admin/accounts/nobody-here', { admin: true }],
    ['POST', '/admin/accounts/demo/password'],
    ['DELETE', '/admin/accounts/demo/sessions'],
  ] as const)
    expect([path, (await call(method, path, body, token)).code]).toEqual([path, 'ADMIN_ONLY']);
});
