import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { client as wire, encodeFrame, FrameType } from '../../proto/mod.ts';
import { TestClock } from '../../test/harness/test-clock.ts';
import { type Connection, Phase } from '../connections/connection.ts';
import type { TestClient } from '../testing/test-client.ts';
import { TestNode } from '../testing/test-node.ts';
import { FakeState } from '../testing/test-state.ts';
import { TokenMaker } from '../testing/test-tokens.ts';
import { Renewal, type RenewalContext } from './renewal.ts';
import { TokenChecks } from './token-checks.ts';

/** Longer than any test: nobody is closed for silence. */
const LIMITS = { heartbeatIntervalMs: 3_600_000 };
/** Longer than the clocks of servers may differ. */
const SOON_S = 10;

let tokens: TokenMaker;
let state: FakeState;

beforeAll(async () => {
  tokens = await TokenMaker.make();
  state = await FakeState.start();
});

beforeEach(() => {
  state.renewals.length = 0;
});

afterAll(() => state.stop());

function auth(client: TestClient, ref: number, token: string): void {
  client.write(authFrame(ref, token));
}

function authFrame(ref: number, token: string): Uint8Array {
  return encodeFrame(FrameType.AUTH, ref, 0n, wire.Auth.encode({ token }).finish());
}

async function authed(client: TestClient, ref: number): Promise<number> {
  const frame = await client.next(FrameType.AUTHED);
  expect(frame).toMatchObject({ ref, key: 0n });
  return Number(wire.Authed.decode(frame.payload).tokenExpiresAtMs);
}

describe('the end of an access token', () => {
  test.each(['tcp', 'ws'] as const)('on %s: TOKEN_EXPIRED, and others live on', async (kind) => {
    using clock = new TestClock({ goesOn: false });
    await using node = await TestNode.start(tokens, [state], LIMITS);
    const [client, other] = [await node[kind](), await node[kind]()];
    await other.login(await tokens.token(2n));
    const welcome = await clock.until(client.login(await tokens.token(1n, { expiresIn: SOON_S })));
    expect(Number(welcome.tokenExpiresAtMs) - Date.now()).toBeLessThanOrEqual(SOON_S * 1000);
    await clock.advance((SOON_S - 2) * 1000);
    expect(client.received).toEqual([]);
    expect(await clock.until(client.nextClose())).toMatchObject({ code: 'TOKEN_EXPIRED', retryable: false });
    await client.closed;
    expect(node.node.stats.disconnects).toEqual({ TOKEN_EXPIRED: 1 });
    other.write(encodeFrame(FrameType.PING, 5, 0n));
    await other.next(FrameType.PONG);
  });

  test('while it does not read: all the same', async () => {
    using clock = new TestClock({ goesOn: false });
    await using node = await TestNode.start(tokens, [state], { ...LIMITS, slowTimeoutMs: 3_600_000 });
    const client = await node.tcp();
    await client.login(await tokens.token(1n, { expiresIn: SOON_S }));
    client.socket.pause();
    const [stream] = state.streams;
    while (node.node.stats.slowEpisodes === 0) {
      stream?.deliver(
        [...stream.attached.keys()],
        encodeFrame(FrameType.MESSAGE, 0, 1n, Buffer.alloc(100_000)),
      );
      await clock.advance(20);
    }
    await clock.until(expect.poll(() => node.node.stats.disconnects['TOKEN_EXPIRED']).toBe(1));
  });
});

describe('AUTH', () => {
  test('a fresh token: AUTHED, all state nodes hear of it, and the connection lives until that one ends', async () => {
    using clock = new TestClock({ goesOn: false });
    await using other = await FakeState.start();
    await using node = await TestNode.start(tokens, [state, other], LIMITS);
    const client = await node.tcp();
    await client.login(await tokens.token(1n, { expiresIn: SOON_S, id: 50n }));
    const expiresAtMs = Date.now() + 3 * SOON_S * 1000;
    auth(client, 9, await tokens.token(1n, { expiresIn: 3 * SOON_S, id: 51n }));
    const told = await clock.until(authed(client, 9));
    expect(Math.abs(told - expiresAtMs)).toBeLessThanOrEqual(1000);
    for (const each of [state, other])
      await expect.poll(() => each.renewals).toMatchObject([{ conn: 1, token: 51n }]);
    await clock.advance(2 * SOON_S * 1000);
    client.write(encodeFrame(FrameType.PING, 5, 0n));
    await client.next(FrameType.PONG);
    expect(await clock.until(client.nextClose())).toMatchObject({ code: 'TOKEN_EXPIRED' });
  });

  test('a token that ends sooner than the one before: its end counts', async () => {
    using clock = new TestClock({ goesOn: false });
    await using node = await TestNode.start(tokens, [state], LIMITS);
    const client = await node.tcp();
    await client.login(await tokens.token(1n));
    auth(client, 1, await tokens.token(1n, { expiresIn: SOON_S }));
    await clock.until(authed(client, 1));
    expect(await clock.until(client.nextClose())).toMatchObject({ code: 'TOKEN_EXPIRED' });
  });

  test('a state node that comes later: gets the newest token', async () => {
    await using node = await TestNode.start(tokens, [state], LIMITS);
    const client = await node.tcp();
    await client.login(await tokens.token(1n, { id: 50n }));
    auth(client, 1, await tokens.token(1n, { id: 51n }));
    await authed(client, 1);
    await using later = await FakeState.start();
    await node.reach([state, later]);
    const [stream] = later.streams;
    expect([...(stream?.attached.values() ?? [])]).toMatchObject([{ conn: 1, token: 51n }]);
    expect(later.renewals).toEqual([]);
  });

  test.each([
    ["another user's token", () => tokens.token(2n), 'TOKEN_INVALID'],
    ['an expired token', () => tokens.token(1n, { expiresIn: -60 }), 'TOKEN_EXPIRED'],
    ['no token', () => '', 'TOKEN_INVALID'],
    ['a forged token', async () => (await TokenMaker.make()).token(1n), 'TOKEN_INVALID'],
  ])('%s: NACK, and the connection keeps what it has', async (_, make, code) => {
    await using node = await TestNode.start(tokens, [state], LIMITS);
    const client = await node.tcp();
    await client.login(await tokens.token(1n));
    auth(client, 7, await make());
    expect(await client.nextNack(7)).toMatchObject({ code, retryable: false });
    client.write(encodeFrame(FrameType.AUTH, 8, 0n, Uint8Array.of(0xff)));
    expect(await client.nextNack(8)).toMatchObject({ code: 'FRAME_INVALID' });
    client.write(encodeFrame(FrameType.PING, 9, 0n));
    await client.next(FrameType.PONG);
    expect(state.renewals).toEqual([]);
  });

  test('before WELCOME: HELLO_EXPECTED', async () => {
    await using node = await TestNode.start(tokens, [state], LIMITS);
    const client = await node.tcp();
    auth(client, 1, await tokens.token(1n));
    expect(await client.nextClose()).toMatchObject({ code: 'HELLO_EXPECTED' });
  });
});

describe('the limits of AUTH', () => {
  const USER = 7n;

  /** A renewal whose tokens are checked when the test says so, and what becomes of its connection. */
  function setUp(verdict: () => unknown) {
    const counted: string[] = [];
    const codes: string[] = [];
    const turns: (() => void)[] = [];
    const connection = { phase: Phase.LIVE, user: USER } as Connection;
    const renewal = new Renewal({
      authenticator: { verifyToken: verdict },
      checks: {
        add: (_: Connection, verify: () => unknown, onResult: (result: unknown) => void) => {
          turns.push(() => onResult(verify()));
        },
      },
      admission: { chargeLogin: () => counted.push('charged') },
      uplink: { renew: () => counted.push('renewed') },
      deadlines: { onToken: () => undefined },
      send: (_: Connection, frame: Uint8Array) => {
        const isNack = frame[4] === FrameType.NACK;
        codes.push(isNack ? wire.Nack.decode(frame.subarray(16)).code : 'AUTHED');
      },
    } as unknown as RenewalContext);
    return { renewal, connection, counted, codes, turns };
  }

  test('one at a time: RATE_LIMITED while another is checked; each costs as much as a login', () => {
    const { renewal, connection, counted, codes, turns } = setUp(() => ({ user: USER, expiresAtMs: 1 }));
    renewal.onAuth(connection, authFrame(1, 'a'));
    renewal.onAuth(connection, authFrame(2, 'b'));
    expect(codes).toEqual(['RATE_LIMITED']);
    turns.shift()?.();
    renewal.onAuth(connection, authFrame(3, 'c'));
    turns.shift()?.();
    expect(codes).toEqual(['RATE_LIMITED', 'AUTHED', 'AUTHED']);
    expect(counted).toEqual(['charged', 'charged', 'renewed', 'charged', 'renewed']);
  });

  test('an invalid token counts against the address, and a connection that has ended costs no check', async () => {
    const counted: string[] = [];
    const checks = new TokenChecks({
      admission: {
        failsOften: () => false,
        onLoginFailed: () => counted.push('failed'),
        count: () => undefined,
      },
    });
    const verify = (): 'TOKEN_INVALID' => {
      counted.push('checked');
      return 'TOKEN_INVALID';
    };
    const [gone, live] = [{ phase: Phase.LIVE }, { phase: Phase.LIVE }] as [Connection, Connection];
    const { promise, resolve } = Promise.withResolvers<unknown>();
    checks.add(gone, verify, resolve);
    checks.add(live, verify, resolve);
    gone.phase = Phase.CLOSED;
    expect(await promise).toBe('TOKEN_INVALID');
    expect(counted).toEqual(['checked', 'failed']);
  });
});
