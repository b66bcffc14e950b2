import { exportJWK, generateKeyPair, SignJWT, type CryptoKey } from 'jose';
import { beforeAll, describe, expect, test } from 'vitest';
import { TICKET_AUDIENCE, TICKET_ISSUER, TICKET_KEY, TICKET_TTL_S } from '../../common/mod.ts';
import type { Endpoint } from '../../crpc/mod.ts';
import { Authenticator } from './authenticator.ts';
import { TicketCheck } from './ticket-check.ts';
import { TicketKeys } from './ticket-keys.ts';
import { TestNode } from '../testing/test-node.ts';
import { FakeState } from '../testing/test-state.ts';
import { TokenMaker } from '../testing/test-tokens.ts';

const GATEWAY = 'gateway-test';
let privateKey: CryptoKey;
let jwk: string;
let jwks: string;

beforeAll(async () => {
  const pair = await generateKeyPair('Ed25519');
  privateKey = pair.privateKey;
  jwk = JSON.stringify({ ...(await exportJWK(pair.publicKey)), kid: 'ipconf-1', alg: 'Ed25519' });
  jwks = `{"keys":[${jwk}]}`;
});

interface TicketOptions {
  readonly uid?: string;
  readonly gateways?: unknown;
  readonly issuer?: string;
  readonly audience?: string;
  readonly kid?: string;
  /** Seconds from now. */
  readonly expiresIn?: number | null;
  readonly key?: CryptoKey;
}

function ticket(options: TicketOptions = {}): Promise<string> {
  const { uid = '7', gateways = ['other', GATEWAY], expiresIn = 60 } = options;
  const jwt = new SignJWT({ gateways })
    .setProtectedHeader({ alg: 'Ed25519', kid: options.kid ?? 'ipconf-1' })
    .setIssuer(options.issuer ?? TICKET_ISSUER)
    .setAudience(options.audience ?? TICKET_AUDIENCE)
    .setSubject(uid);
  if (expiresIn !== null) jwt.setExpirationTime(Math.floor(Date.now() / 1000) + expiresIn);
  return jwt.sign(options.key ?? privateKey);
}

describe('TicketCheck', () => {
  const check = () => {
    const made = new TicketCheck(GATEWAY);
    made.setKeys(jwks);
    return made;
  };

  test('a valid ticket: gives its user', async () => {
    expect(check().verify(await ticket())).toBe('7');
  });

  const wrong: [string, TicketOptions][] = [
    ['other gateways', { gateways: ['other'] }],
    ['no gateways', { gateways: [] }],
    ['gateways that are no list', { gateways: GATEWAY }],
    ['another issuer, as an access token has', { issuer: 'gochat' }],
    ['another audience', { audience: 'gochat' }],
    ['an ipconf that is not there', { kid: 'ipconf-2' }],
    ['expired', { expiresIn: -1 }],
    ['no expiry', { expiresIn: null }],
  ];
  test.each(wrong)('%s: refused', async (_, options) => {
    expect(check().verify(await ticket(options))).toBeUndefined();
  });

  test('another key: refused', async () => {
    const { privateKey: key } = await generateKeyPair('Ed25519');
    expect(check().verify(await ticket({ key }))).toBeUndefined();
  });

  test.each(['', 'nonsense', 'a.b.c', `${'x'.repeat(3000)}.y.z`])('%j: refused', async (text) => {
    expect(check().verify(text)).toBeUndefined();
  });

  test('no keys yet: refused', async () => {
    expect(new TicketCheck(GATEWAY).verify(await ticket())).toBeUndefined();
  });
});

describe('Authenticator with tickets', () => {
  test('token and ticket: accepted if of one user; of two users, or without a ticket, TICKET_INVALID', async () => {
    const tokens = await TokenMaker.make();
    const tickets = new TicketCheck(GATEWAY);
    tickets.setKeys(jwks);
    const authenticator = new Authenticator(tickets);
    authenticator.setKeys(tokens.jwks);
    const token = await tokens.token(7n);
    expect(authenticator.verify(token, await ticket())).toMatchObject({ user: 7n });
    expect(authenticator.verify(token, await ticket({ uid: '8' }))).toBe('TICKET_INVALID');
    expect(authenticator.verify(token)).toBe('TICKET_INVALID');
    expect(authenticator.verify('nonsense', await ticket())).toBe('TOKEN_INVALID');
  });
});

describe('a gateway that requires tickets', () => {
  test('with a ticket WELCOME; without one CLOSE TICKET_INVALID that says what to do', async () => {
    const tokens = await TokenMaker.make();
    await using state = await FakeState.start();
    await using node = await TestNode.start(tokens, [state], {}, { requireTicket: true });
    node.node.setTicketKeys(jwks);
    const good = await node.tcp();
    const welcome = await good.login(await tokens.token(7n), { ticket: await ticket() });
    expect(welcome.user).toBe(7n);
    const bad = await node.tcp();
    bad.hello(await tokens.token(7n));
    const close = await bad.nextClose();
    expect(close).toMatchObject({ code: 'TICKET_INVALID', retryable: true });
    expect(close.reason).toContain('ipconf');
  });

  test('malformed keys: the old ones stay', async () => {
    const tokens = await TokenMaker.make();
    await using state = await FakeState.start();
    await using node = await TestNode.start(tokens, [state], {}, { requireTicket: true });
    node.node.setTicketKeys(jwks);
    node.node.setTicketKeys('nonsense');
    const client = await node.tcp();
    await client.login(await tokens.token(7n), { ticket: await ticket() });
  });
});

describe('TicketKeys', () => {
  const node = (id: string, key?: string): Endpoint => ({
    id,
    address: 'host:1',
    weight: 1,
    zone: '',
    version: '',
    metadata: key === undefined ? {} : { [TICKET_KEY]: key },
    load: {},
  });
  const kids = (keys: TicketKeys) =>
    (JSON.parse(keys.jwks) as { keys: { kid: string }[] }).keys.map(({ kid }) => kid);

  test('new ipconf nodes: their keys are added, and whether anything changed is returned', () => {
    const keys = new TicketKeys();
    expect(keys.update([node('a', jwk), node('b')], 0)).toBe(true);
    expect(keys.update([node('a', jwk)], 1)).toBe(false);
    expect(kids(keys)).toEqual(['ipconf-1']);
  });

  test('an ipconf node that leaves: its key stays as long as its tickets are valid', () => {
    const keys = new TicketKeys();
    keys.update([node('a', jwk)], 0);
    // Nothing has been heard of it for longer than that: it was there all the time.
    const gone = 10 * TICKET_TTL_S * 1000;
    expect(keys.update([], gone)).toBe(false);
    expect(keys.update([], gone + TICKET_TTL_S * 1000)).toBe(false);
    expect(kids(keys)).toEqual(['ipconf-1']);
    expect(keys.update([], gone + TICKET_TTL_S * 1000 + 1)).toBe(true);
    expect(kids(keys)).toEqual([]);
  });

  test('an ipconf node that leaves and returns: its key stays', () => {
    const keys = new TicketKeys();
    keys.update([node('a', jwk)], 0);
    keys.update([], 1);
    expect(keys.update([node('a', jwk)], 2)).toBe(false);
    expect(keys.update([], 10 * TICKET_TTL_S * 1000)).toBe(false);
    expect(kids(keys)).toEqual(['ipconf-1']);
  });

  test('a key that does not parse: passed over', () => {
    const keys = new TicketKeys();
    keys.update([node('a', '{'), node('b', jwk)], 0);
    expect(kids(keys)).toEqual(['ipconf-1']);
  });
});
