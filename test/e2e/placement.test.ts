import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { silentLogger } from '../../common/mod.ts';
import { MemoryRegistry } from '../../crpc/mod.ts';
import { GatewayServer } from '../../gateway/mod.ts';
import { TestClient } from '../../gateway/testing/test-client.ts';
import { FakeState } from '../../gateway/testing/test-state.ts';
import { TokenMaker } from '../../gateway/testing/test-tokens.ts';
import { IpconfServer } from '../../ipconf/mod.ts';

const HOST = '127.0.0.1';
const USER = 7n;

test('ipconf and a gateway that requires tickets: clients with a ticket are accepted, others are told why not, a draining gateway gets none', async () => {
  await using registry = new MemoryRegistry(`memory://${randomUUID()}`);
  const tokens = await TokenMaker.make();
  await registry.publish('jwks', tokens.jwks);
  await using state = await FakeState.start(registry);
  const common = { host: HOST, port: 0, registry, logger: silentLogger };
  await using ipconf = new IpconfServer({ ...common, tickets: true });
  await ipconf.start();
  await using gateway = new GatewayServer({
    ...common,
    name: 'gateway-1',
    wsPort: 0,
    workers: 1,
    requireTicket: true,
  });
  await gateway.start();
  expect(state.logins).toEqual([]);

  const list = async (uid: bigint) => {
    const response = await fetch(`http://${ipconf.address}/ip/list?uid=${uid}`);
    return (await response.json()) as {
      code: string;
      ticket?: string;
      data?: { ip: string; port: number }[];
    };
  };
  await expect.poll(async () => (await list(USER)).code).toBe('OK');
  const { data, ticket = '' } = await list(USER);
  const address = `${data?.[0]?.ip}:${data?.[0]?.port}`;
  expect(address).toBe(gateway.address);

  const token = await tokens.token(USER);
  const sent = await TestClient.tcp(address);
  expect((await sent.login(token, { ticket })).user).toBe(USER);

  const { ticket: other = '' } = await list(USER + 1n);
  for (const wrong of ['', other]) {
    const withoutTicket = await TestClient.tcp(address);
    withoutTicket.hello(token, { ticket: wrong });
    expect(await withoutTicket.nextClose()).toMatchObject({ code: 'TICKET_INVALID', retryable: true });
  }

  const draining = gateway.drain(10_000);
  await expect.poll(async () => (await list(USER)).code).toBe('NO_GATEWAY');
  expect((await sent.nextClose()).code).toBe('SERVER_DRAINING');
  await draining;
});
