import { SignJWT } from 'jose';
import { beforeAll, describe, expect, test } from 'vitest';
import { Authenticator } from './authenticator.ts';
import { TokenMaker, type TokenOptions } from '../testing/test-tokens.ts';

describe('Authenticator', () => {
  let tokens: TokenMaker;
  let authenticator: Authenticator;

  beforeAll(async () => {
    tokens = await TokenMaker.make();
    authenticator = new Authenticator();
    authenticator.setKeys(tokens.jwks);
  });

  test('a valid token: gives the user, all 63 bits of the id', async () => {
    const token = await tokens.token(0x7fff_ffff_ffff_ffffn, { name: 'ann' });
    expect(authenticator.verify(token)).toEqual({
      user: 0x7fff_ffff_ffff_ffffn,
      userName: 'ann',
      token: 0n,
      expiresAtMs: expect.toSatisfy((ms: number) => ms > Date.now() && ms % 1000 === 0),
    });
  });

  const wrong: [string, TokenOptions][] = [
    ['another issuer', { issuer: 'else' }],
    ['another audience', { audience: 'else' }],
    ['no expiry', { expiresIn: null }],
    ['no name', { name: null }],
    ['an empty name', { name: '' }],
    ['a subject that is no number', { subject: 'ann' }],
    ['user 0', { subject: '0' }],
    ['a negative user', { subject: '-1' }],
    ['a user of 64 bits', { subject: '9223372036854775808' }],
  ];
  test.each(wrong)('%s: TOKEN_INVALID', async (_, options) => {
    expect(authenticator.verify(await tokens.token(1n, options))).toBe('TOKEN_INVALID');
  });

  test('an expired token: TOKEN_EXPIRED', async () => {
    expect(authenticator.verify(await tokens.token(1n, { expiresIn: -60 }))).toBe('TOKEN_EXPIRED');
  });

  test.each(['', 'nonsense', 'a.b.c', `${'x'.repeat(3000)}.y.z`])('%j: TOKEN_INVALID', async (token) => {
    expect(authenticator.verify(token)).toBe('TOKEN_INVALID');
  });

  test('another key of the same name: TOKEN_INVALID', async () => {
    const forger = await TokenMaker.make();
    expect(authenticator.verify(await forger.token(1n))).toBe('TOKEN_INVALID');
  });

  test('a token signed with the public key as a secret: TOKEN_INVALID', async () => {
    const [key] = (JSON.parse(tokens.jwks) as { keys: { x: string; kid: string }[] }).keys;
    const forged = await new SignJWT({ name: 'ann' })
      .setProtectedHeader({ alg: 'HS256', kid: key?.kid ?? '' })
      .setIssuer('gochat')
      .setAudience('gochat')
      .setSubject('1')
      .setExpirationTime('1h')
      .sign(Buffer.from(key?.x.padEnd(43, 'x') ?? '', 'base64url'));
    expect(authenticator.verify(forged)).toBe('TOKEN_INVALID');
  });

  test('no keys yet: STATE_UNAVAILABLE', async () => {
    expect(new Authenticator().verify(await tokens.token(1n))).toBe('STATE_UNAVAILABLE');
  });

  test('malformed keys: refused, and the old ones stay', async () => {
    const other = new Authenticator();
    other.setKeys(tokens.jwks);
    for (const jwks of ['', '{}', 'null', '{"keys":1}']) expect(() => other.setKeys(jwks)).toThrow();
    expect(other.verify(await tokens.token(9n))).toMatchObject({ user: 9n });
  });

  test('new keys: replace the old ones', async () => {
    const next = await TokenMaker.make('next-key');
    const other = new Authenticator();
    const keys = [tokens.jwks, next.jwks].flatMap((jwks) => (JSON.parse(jwks) as { keys: object[] }).keys);
    other.setKeys(JSON.stringify({ keys }));
    expect(other.verify(await tokens.token(1n))).toMatchObject({ user: 1n });
    expect(other.verify(await next.token(2n))).toMatchObject({ user: 2n });
    other.setKeys(next.jwks);
    expect(other.verify(await tokens.token(1n))).toBe('TOKEN_INVALID');
  });
});
