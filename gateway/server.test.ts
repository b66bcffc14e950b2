import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { silentLogger } from '../common/mod.ts';
import { MemoryRegistry, type Registry } from '../crpc/mod.ts';
import { GatewayServer } from './server.ts';
import { TestClient } from './test-client.ts';
import { FakeState } from './test-state.ts';
import { TokenMaker } from './test-tokens.ts';

describe('a gateway with real workers and sockets', () => {
  let registry: Registry;
  let state: FakeState;
  let tokens: TokenMaker;
  let gateway: GatewayServer;

  beforeAll(async () => {
    registry = new MemoryRegistry('memory://gateway-server-test');
    tokens = await TokenMaker.make();
    await registry.publish('jwks', tokens.jwks);
    state = await FakeState.start(registry);
    gateway = new GatewayServer({
      name: 'gateway-test',
      host: '127.0.0.1',
      port: 0,
      wsPort: 0,
      workers: 2,
      registry,
      logger: silentLogger,
    });
    await gateway.start();
  });

  afterAll(async () => {
    await gateway.stop();
    await state.stop();
    await registry.close();
  });

  test('TCP and WebSocket clients: each message reaches all others', async () => {
    await expect.poll(() => gateway.readiness(), { timeout: 10_000 }).toBe(undefined);
    const a = await TestClient.tcp(gateway.address);
    const b = await TestClient.tcp(gateway.address);
    const c = await TestClient.ws(gateway.wsAddress);
    await a.login(await tokens.token(1n));
    await b.login(await tokens.token(2n));
    await c.login(await tokens.token(3n));
    a.send(7, 42n, 'hello all');
    for (const receiver of [b, c]) {
      const message = await receiver.nextMessage();
      expect(message.text).toBe('hello all');
      expect(message.from).toBe('user-1');
    }
    c.send(8, 42n, 'hello tcp');
    for (const receiver of [a, b]) expect((await receiver.nextMessage()).text).toBe('hello tcp');
    for (const each of [a, b, c]) each.destroy();
  });
});
