import { expect, test, vi } from 'vitest';
import { client, encodeFrame, FrameType } from '../proto/mod.ts';
import { type Connection, Phase } from './connection.ts';
import { Handshake, type HandshakeContext } from './handshake.ts';

/** A handshake whose tokens are checked when the test says so, and what became of its connections. */
function setUp() {
  const checks: { token: string; refuse: () => void }[] = [];
  const closed: string[] = [];
  const handshake = new Handshake({
    authenticator: {
      verify: (token: string) =>
        new Promise((resolve) => checks.push({ token, refuse: () => resolve('TOKEN_EXPIRED') })),
    },
    guard: { mayLogIn: () => true },
    heartbeatIntervalMs: () => 1000,
    onHello: () => undefined,
    close: (connection: Connection, code: string, _: unknown, retryAfterMs = 0) => {
      closed.push(`${connection.conn} ${code}${retryAfterMs > 0 ? ' later' : ''}`);
      connection.phase = Phase.CLOSING;
    },
  } as unknown as HandshakeContext);
  const come = (conn: number) => {
    const connection = { conn, phase: Phase.HELLO } as Connection;
    const hello = client.Hello.encode(
      client.Hello.fromPartial({ versionMin: 1, versionMax: 1, token: `t${conn}`, device: 'phone' }),
    );
    handshake.onFirstFrame(connection, encodeFrame(FrameType.HELLO, 0, 0n, hello.finish()));
    return connection;
  };
  return { checks, closed, come };
}

test('a crowd: one token at a time, with a rest in between, and none of who has gone', async () => {
  const { checks, closed, come } = setUp();
  come(1);
  const gone = come(2);
  come(3);
  gone.phase = Phase.CLOSED;
  expect(checks.map(({ token }) => token)).toEqual(['t1']);
  checks[0]?.refuse();
  // All promises are settled then, and no timer has run.
  await new Promise((resolve) => process.nextTick(resolve));
  expect(closed).toEqual(['1 TOKEN_EXPIRED']);
  expect(checks).toHaveLength(1);
  await vi.waitFor(() => expect(checks.map(({ token }) => token)).toEqual(['t1', 't3']));
});

test('more than 5,000 wait: OVERLOADED with a time to come back', () => {
  const { closed, come } = setUp();
  for (let conn = 1; conn <= 5001; conn++) come(conn);
  expect(closed).toEqual([]);
  come(5002);
  expect(closed).toEqual(['5002 OVERLOADED later']);
});
