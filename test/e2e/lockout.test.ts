/** Nobody locks another one out: wrong passwords over the real HTTP port, from behind a proxy. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startUp } from '../harness/gochat.ts';

let folder: string;
let up: Awaited<ReturnType<typeof startUp>>;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'gochat-lockout-'));
  up = await startUp(folder, ['--trust-proxy', '127.0.0.1']);
});

afterAll(async () => {
  await up?.[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true });
});

/** Returns the HTTP status of a log-in from an address, which claims to be another one. */
async function login(name: string, password: string, address: string): Promise<number> {
  const response = await fetch(`${up.api}/auth/login`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      'x-forwarded-for': `${Math.random()}, 6.6.6.6, ${address}`,
    },
    body: JSON.stringify({ name, password }),
  });
  await response.arrayBuffer();
  return response.status;
}

test('wrong passwords for a name, from three connections at a time: its owner logs in from another address', async () => {
  const guess = async () => {
    const statuses = [];
    while (statuses.at(-1) !== 429) statuses.push(await login('demo', 'guess', '203.0.113.66'));
    return statuses.length - 1;
  };
  const guesses = await Promise.all([guess(), guess(), guess()]);
  expect(guesses.reduce((sum, each) => sum + each)).toBeLessThan(60);
  expect(await login('demo', '111111', '203.0.113.66')).toBe(429);
  expect(await login('demo', '111111', '192.0.2.1')).toBe(200);
  expect(await login('demo', '111111', '198.51.100.7')).toBe(200);
  expect(await login('test', '111111', '203.0.113.66')).toBe(200);
});
