import { exportJWK, generateKeyPair, SignJWT, type CryptoKey } from 'jose';
import { beforeAll, describe, expect, test } from 'vitest';
import { JwtVerifier } from './jwt.ts';

const RULES = { issuer: 'us', audience: 'you', algorithm: 'EdDSA', clockSkewS: 5 };
const NOW_S = 1_800_000_000;
const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';

let key: CryptoKey;
let jwks: string;

beforeAll(async () => {
  const pair = await generateKeyPair('EdDSA');
  key = pair.privateKey;
  jwks = JSON.stringify({ keys: [{ ...(await exportJWK(pair.publicKey)), kid: 'one', alg: 'EdDSA' }] });
});

function sign(claims: object = {}, header: object = {}): Promise<string> {
  return new SignJWT({ iss: 'us', aud: 'you', exp: NOW_S + 60, sub: 'ann', ...claims })
    .setProtectedHeader({ alg: 'EdDSA', kid: 'one', ...header })
    .sign(key);
}

function verifier(): JwtVerifier {
  const made = new JwtVerifier(RULES);
  made.setKeys(jwks);
  return made;
}

const verify = (token: string) => verifier().verify(token, NOW_S * 1000);

describe('JwtVerifier', () => {
  test('a valid token: its claims', async () => {
    expect(await sign().then(verify)).toMatchObject({ sub: 'ann' });
    expect(await sign({}, { typ: 'JWT' }).then(verify)).toMatchObject({ sub: 'ann' });
  });

  test('replaced keys: a token of a removed key is invalid, and valid again when the key is back', async () => {
    const made = verifier();
    const token = await sign();
    const isGood = () => typeof made.verify(token, NOW_S * 1000) === 'object';
    expect(isGood()).toBe(true);
    made.setKeys('{"keys":[]}');
    expect(isGood()).toBe(false);
    made.setKeys(jwks);
    expect(isGood()).toBe(true);
  });

  test('remembered: the same answers, until it expires or its key is removed; the oldest are forgotten', async () => {
    const made = new JwtVerifier({ ...RULES, remembered: 2 });
    made.setKeys(jwks);
    const tokens = await Promise.all(['ann', 'bob', 'cid'].map((sub) => sign({ sub })));
    for (const token of [...tokens, ...tokens])
      expect(made.verify(token, NOW_S * 1000)).toEqual(verify(token));
    const [token = ''] = tokens.slice(-1);
    const other = `${token.slice(0, -10)}${token.at(-10) === 'A' ? 'B' : 'A'}${token.slice(-9)}`;
    expect(made.verify(other, NOW_S * 1000)).toBe('TOKEN_INVALID');
    expect(made.verify(token, (NOW_S + 66) * 1000)).toBe('TOKEN_EXPIRED');
    made.setKeys('{"keys":[]}');
    expect(made.verify(token, NOW_S * 1000)).toBe('TOKEN_INVALID');
  });

  test('other encodings of a valid token: invalid', async () => {
    const token = await sign();
    const [head, body, signature] = token.split('.') as [string, string, string];
    const last = ALPHABET.indexOf(signature.at(-1) as string);
    const strayBits = [1, 2, 3].map((bits) => `${token.slice(0, -1)}${ALPHABET[last + bits]}`);
    // The two spellings of a letter differ in every second token or so.
    const alphabet = [token.replaceAll('-', '+'), token.replaceAll('_', '/')].filter(
      (each) => each !== token,
    );
    for (const spelling of [
      ...strayBits,
      ...alphabet,
      `${token}=`,
      `${token}==`,
      `${token} `,
      ` ${token}`,
      `${token}\n`,
      `${head}.${body}.${signature.slice(0, 9)} ${signature.slice(9)}`,
      `${head}.${body}.${signature.slice(0, 9)}\n${signature.slice(9)}`,
      `${head}=.${body}.${signature}`,
      `${head}.${body}=.${signature}`,
      `${head}..${body}.${signature}`,
      `${head}.${body}..${signature}`,
      // Its lower byte is that of an A.
      `${head}.${body.replace(/[a-zA-Z]/, (letter) => String.fromCodePoint(0x100 + (letter.codePointAt(0) ?? 0)))}.${signature}`,
      `${token}.`,
      `.${token}`,
    ])
      expect(verify(spelling), JSON.stringify(spelling)).toBe('TOKEN_INVALID');
    expect(verify(token)).toMatchObject({ sub: 'ann' });
  });

  test('a signature with an unreduced scalar: invalid', async () => {
    // Adds the order of the group, little-endian: without a check of the range it is a second signature of the same.
    const token = await sign();
    const cut = token.lastIndexOf('.') + 1;
    const bytes = Buffer.from(token.slice(cut), 'base64url');
    const order = 2n ** 252n + 27742317777372353535851937790883648493n;
    let scalar = order + BigInt(`0x${Buffer.from(bytes.subarray(32).toReversed()).toString('hex')}`);
    for (let i = 32; i < 64; i++, scalar >>= 8n) bytes[i] = Number(scalar & 0xffn);
    expect(verify(token.slice(0, cut) + bytes.toString('base64url'))).toBe('TOKEN_INVALID');
  });

  test.each([
    ['another algorithm', { alg: 'Ed25519' }],
    ['a key that is not in the set', { kid: 'two' }],
    ['another type', { typ: 'at+jwt' }],
    ['a field that is not understood', { cty: 'JWT' }],
  ])('a header with %s: invalid', async (_, header) => {
    expect(await sign({}, header).then(verify)).toBe('TOKEN_INVALID');
  });

  test.each([
    ['another issuer', { iss: 'them' }],
    ['another audience', { aud: 'them' }],
    ['a list of audiences', { aud: ['you', 'them'] }],
    ['no expiry', { exp: undefined }],
  ])('claims with %s: invalid', async (_, claims) => {
    expect(await sign(claims).then(verify)).toBe('TOKEN_INVALID');
  });

  test('expiry: only after the tolerated clock difference', async () => {
    expect(await sign({ exp: NOW_S - 4 }).then(verify)).toMatchObject({ sub: 'ann' });
    expect(await sign({ exp: NOW_S - 5 }).then(verify)).toBe('TOKEN_EXPIRED');
  });

  test('forged and expired: invalid, as it may be a guess', async () => {
    const token = await sign({ exp: NOW_S - 60 });
    const forged = `${token.slice(0, -5)}${token.at(-5) === 'A' ? 'B' : 'A'}${token.slice(-4)}`;
    expect(verify(forged)).toBe('TOKEN_INVALID');
  });

  test.each(['', '.', '..', 'a.b.c', 'x'.repeat(500), '.'.repeat(200), `bnVsbA.bnVsbA.${'A'.repeat(86)}`])(
    '%j: invalid',
    (token) => {
      expect(verify(token)).toBe('TOKEN_INVALID');
    },
  );

  test('malformed keys: refused, and the old ones stay', async () => {
    const made = verifier();
    for (const none of ['', '{}', 'null', '{"keys":1}', '{"keys":[null]}'])
      expect(() => made.setKeys(none), none).toThrow();
    expect(made.verify(await sign(), NOW_S * 1000)).toMatchObject({ sub: 'ann' });
    made.setKeys('{"keys":[{"kid":"one","alg":"HS256","kty":"oct","k":"AAAA"}]}');
    expect(made.verify(await sign(), NOW_S * 1000)).toBe('TOKEN_INVALID');
  });
});
