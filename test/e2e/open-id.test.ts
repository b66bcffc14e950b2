/** Logging in by OpenID Connect, through a running GoChat. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { startProvider } from '../../api/testing/test-provider.ts';
import { startUp } from '../harness/gochat.ts';
import { RawClient } from '../harness/raw-client.ts';

test('a page logs in by a provider: an account of the name there, the same one the next time; its token is good at the gateway', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'gochat-openid-'));
  try {
    await using provider = await startProvider();
    await using up = await startUp(folder, [], {
      GOCHAT_OPENID_ISSUER: provider.issuer,
      GOCHAT_OPENID_CLIENT_ID: 'gochat',
      GOCHAT_OPENID_CLIENT_SECRET: 'a secret',
      // The port is not known before: the test goes there by itself.
      GOCHAT_OPENID_REDIRECT_URL: 'http://127.0.0.1:1/auth/openid/callback',
    });
    /** Returns the cookies that a browser has after it was sent to the provider and back. */
    const logIn = async () => {
      const begun = await fetch(`${up.api}/auth/openid/login`, { redirect: 'manual' });
      const [cookie = ''] = begun.headers.getSetCookie()[0]?.split(';') ?? [];
      const there = await fetch(begun.headers.get('location') ?? '', { redirect: 'manual' });
      const { search } = new URL(there.headers.get('location') ?? '');
      const back = await fetch(`${up.api}/auth/openid/callback${search}`, {
        redirect: 'manual',
        headers: { cookie },
      });
      expect([back.status, back.headers.get('location')]).toEqual([302, '/']);
      const cookies = back.headers.getSetCookie().map((each) => each.split(';')[0]);
      return cookies.find((each) => each?.startsWith('gochat-refresh=')) ?? '';
    };
    const me = async (cookie: string) => {
      const refreshed = await fetch(`${up.api}/auth/refresh`, {
        method: 'POST',
        headers: { cookie, origin: up.api },
      });
      const { token } = (await refreshed.json()) as { token: string };
      await using client = new RawClient(up.gateway);
      await client.hello(token);
      const answer = await fetch(`${up.api}/api/v1/users/me`, {
        headers: { authorization: `Bearer ${token}` },
      });
      return (await answer.json()) as { id: string; name: string };
    };
    const first = await me(await logIn());
    expect(first.name).toMatch(/^ann/);
    expect(await me(await logIn())).toEqual(first);
  } finally {
    await rm(folder, { recursive: true });
  }
}, 120_000);
