import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { runGochat, startUp } from '../harness/gochat.ts';
import { helloFrame, RawClient, tokenOf } from '../harness/raw-client.ts';

/** Returns the code with which a gateway refuses a token. */
async function refusal(gateway: string, token: string): Promise<string> {
  await using client = new RawClient(gateway);
  client.send(helloFrame({ token }));
  return (await client.closeFrame()).code;
}

test('gochat up restarted: a revoked or logged-out token is refused, another one is accepted', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'gochat-revocation-'));
  const tokens = { revoked: '', loggedOut: '', good: '' };
  {
    await using up = await startUp(folder);
    tokens.revoked = await tokenOf(up, 'demo', '111111');
    tokens.loggedOut = await tokenOf(up, 'test', '111111');
    tokens.good = await tokenOf(up, 'test', '111111');
    expect((await runGochat(['ctl', 'kick', 'demo', '--revoke', '--admin', up.admin])).code).toBe(0);
    const logout = await fetch(`${up.api}/auth/logout`, {
      method: 'POST',
      headers: { authorization: `Bearer ${tokens.loggedOut}` },
    });
    expect(logout.status).toBe(200);
    expect(await refusal(up.gateway, tokens.revoked)).toBe('TOKEN_REVOKED');
    expect(await refusal(up.gateway, tokens.loggedOut)).toBe('TOKEN_REVOKED');
    up.process.signal('SIGTERM');
    expect((await up.process.exit()).code).toBe(0);
  }
  await using up = await startUp(folder);
  expect(await refusal(up.gateway, tokens.revoked)).toBe('TOKEN_REVOKED');
  expect(await refusal(up.gateway, tokens.loggedOut)).toBe('TOKEN_REVOKED');
  for (const token of [tokens.good, await tokenOf(up, 'demo', '111111')]) {
    await using client = new RawClient(up.gateway);
    await client.hello(token);
  }
  await rm(folder, { recursive: true });
}, 180_000);
