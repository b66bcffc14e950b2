import { expect, onTestFinished, test, vi } from 'vitest';
import { client, encodeFrame, FrameType } from '../../proto/mod.ts';
import { type Connection, Phase } from '../connections/connection.ts';
import { Handshake, type HandshakeContext } from './handshake.ts';
import { TokenChecks } from './token-checks.ts';
import type { AdmissionControl } from '../connections/admission.ts';

/** Connections from this number on are of an address whose logins fail too often. */
const FAILING = 10_000;

/** A handshake that takes no token, and what became of its connections. */
function setUp() {
  const checks: string[] = [];
  const closed: string[] = [];
  const counted: string[] = [];
  const admission = {
    failsOften: ({ conn }: Connection) => conn >= FAILING,
    onLoginFailed: () => undefined,
    count: (limit: string) => counted.push(limit),
  } as unknown as AdmissionControl;
  const handshake = new Handshake({
    checks: new TokenChecks({ admission }),
    authenticator: {
      verify: (token: string) => {
        checks.push(token);
        return 'TOKEN_EXPIRED';
      },
    },
    deadlines: { onLogin: () => undefined },
    heartbeatIntervalMs: () => 1000,
    close: (connection: Connection, code: string, retryAfterMs = 0) => {
      closed.push(`${connection.conn} ${code}${retryAfterMs > 0 ? ' later' : ''}`);
      connection.phase = Phase.CLOSING;
    },
  } as unknown as HandshakeContext);
  const come = (conn: number) => {
    const connection = { conn, phase: Phase.HELLO } as Connection;
    const hello = client.Hello.encode(
      client.Hello.fromPartial({ versionMin: 2, versionMax: 2, token: `t${conn}`, device: 'phone' }),
    );
    handshake.onFirstFrame(connection, encodeFrame(FrameType.HELLO, 0, 0n, hello.finish()));
    return connection;
  };
  return { checks, closed, counted, come };
}

const tokens = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => `t${from + i}`);

test('many logins: a few tokens at a time with pauses, a longer pause after the last, and none of closed connections', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'setImmediate', 'performance'] });
  const { checks, closed, come } = setUp();
  for (let conn = 1; conn <= 72; conn++) {
    const connection = come(conn);
    if (conn <= 2) connection.phase = Phase.CLOSED;
  }
  expect(checks).toEqual([]);
  vi.advanceTimersByTime(0);
  expect(checks).toEqual(tokens(3, 34));
  vi.advanceTimersByTime(19);
  expect(checks).toHaveLength(32);
  vi.advanceTimersByTime(1);
  expect(checks).toEqual(tokens(3, 66));
  // Whoever comes in a rest waits for its end, and for those before it.
  come(73);
  vi.advanceTimersByTime(20);
  expect(checks).toEqual(tokens(3, 73));
  expect(closed).toHaveLength(71);
  // That was all of them: the rest is longer, so that others come in.
  come(74);
  vi.advanceTimersByTime(39);
  expect(checks).toHaveLength(71);
  vi.advanceTimersByTime(1);
  expect(checks.at(-1)).toBe('t74');
  // Nobody waits: the rest ends, and the next one is checked at once.
  vi.advanceTimersByTime(40);
  expect(vi.getTimerCount()).toBe(0);
  come(75);
  vi.advanceTimersByTime(0);
  expect(checks.at(-1)).toBe('t75');
  vi.useRealTimers();
});

test('an address whose logins fail too often: gets what others leave of a batch, and at least one check', () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'setImmediate', 'performance'] });
  onTestFinished(() => {
    vi.useRealTimers();
  });
  const { checks, come } = setUp();
  for (let conn = FAILING; conn < FAILING + 40; conn++) come(conn);
  for (let conn = 1; conn <= 40; conn++) come(conn);
  vi.advanceTimersByTime(0);
  expect(checks).toEqual([...tokens(1, 32), `t${FAILING}`]);
  vi.advanceTimersByTime(20);
  expect(checks.slice(33)).toEqual([...tokens(33, 40), ...tokens(FAILING + 1, FAILING + 24)]);
});

test('an address whose logins fail too often: ADDRESS_LIMITED beyond 500 waiting, and others are not refused', () => {
  const { closed, counted, come } = setUp();
  for (let conn = FAILING; conn <= FAILING + 500; conn++) come(conn);
  come(1);
  expect(closed).toEqual([`${FAILING + 500} ADDRESS_LIMITED`]);
  expect(counted).toEqual(['address_logins']);
});

test('more than 5,000 waiting: OVERLOADED with a time to come back', () => {
  const { closed, come } = setUp();
  for (let conn = 1; conn <= 5000; conn++) come(conn);
  expect(closed).toEqual([]);
  come(5001);
  expect(closed).toEqual(['5001 OVERLOADED later']);
});

test('an account that logs in too often: its login waits for its turn', () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'setImmediate'] });
  onTestFinished(() => {
    vi.useRealTimers();
  });
  let room = 1;
  const held: Connection[] = [];
  const asked: bigint[] = [];
  const admission = { failsOften: () => false } as unknown as AdmissionControl;
  const handshake = new Handshake({
    checks: new TokenChecks({ admission }),
    authenticator: { verify: () => ({ user: 7n, userName: 'ann', token: 1n, expiresAtMs: 1 }) },
    admission: { enterAccount: () => undefined, takeLogin: () => room-- > 0 },
    hold: (connection: Connection) => held.push(connection),
    uplink: { login: ({ user }: { user: bigint }) => asked.push(user) },
    connectionId: () => 1n,
    deadlines: { onLogin: () => undefined, onToken: () => undefined },
    heartbeatIntervalMs: () => 1000,
  } as unknown as HandshakeContext);
  const hello = client.Hello.encode(
    client.Hello.fromPartial({ versionMin: 2, versionMax: 2, token: 't' }),
  ).finish();
  const [first, second] = [1, 2].map((conn) => {
    const connection = { conn, phase: Phase.HELLO } as Connection;
    handshake.onFirstFrame(connection, encodeFrame(FrameType.HELLO, 0, 0n, hello));
    return connection;
  });
  vi.runAllTimers();
  expect(first?.phase).toBe(Phase.LOGIN);
  expect(held).toEqual([second]);
  expect(second?.phase).toBe(Phase.TOKEN);
  expect(asked).toEqual([7n]);
  room = 1;
  handshake.onLoginTurn(second as Connection);
  expect(second?.phase).toBe(Phase.LOGIN);
  expect(asked).toEqual([7n, 7n]);
});
