import { connect } from 'node:net';
import type { AddressInfo } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { WebSocketServer } from 'ws';
import { decodeHeader, FrameParser, FrameType } from '../../proto/client.ts';
import type { World } from '../testing/harness.ts';
import { makeClient, makeWorld, next } from '../testing/harness.ts';
import { SUBPROTOCOL, webSocketTransport } from './mod.ts';
import { TestClock } from '../../test/harness/test-clock.ts';

interface Bridge {
  readonly port: number;
  readonly protocols: string[];
  /** Types of the frames in each message of the client. */
  readonly messages: number[][];
  readonly closes: number[];
  terminate(): void;
}

/** Serves WebSocket in front of the fake gateway; what that writes at once comes in one message. */
async function bridge(world: World): Promise<Bridge> {
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0 });
  const made: Bridge = {
    port: 0,
    protocols: [],
    messages: [],
    closes: [],
    terminate: () => {
      for (const socket of server.clients) socket.terminate();
    },
  };
  server.on('connection', (webSocket) => {
    made.protocols.push(webSocket.protocol);
    const socket = connect(world.gateway.port, '127.0.0.1');
    webSocket.on('message', (data: Buffer) => {
      const types: number[] = [];
      new FrameParser(262_144).push(data, (frame) => types.push(decodeHeader(frame).type) > 0);
      made.messages.push(types);
      socket.write(data);
    });
    webSocket.on('close', (code) => {
      made.closes.push(code);
      socket.destroy();
    });
    socket.on('data', (chunk) => webSocket.send(chunk));
    socket.on('close', () => webSocket.close(1000));
  });
  const { promise, resolve } = Promise.withResolvers<void>();
  server.once('listening', resolve);
  await promise;
  onTestFinished(() => {
    made.terminate();
    server.close();
  });
  return Object.assign(made, { port: (server.address() as AddressInfo).port });
}

test('WebSocket: the same protocol, one frame in each message of the client', async () => {
  const world = await makeWorld();
  const served = await bridge(world);
  const client = makeClient(world, {
    transport: webSocketTransport({ url: () => `ws://127.0.0.1:${served.port}/` }),
  });
  const synced = next(client, 'synced');
  await client.connect();
  await synced;
  expect(served.protocols).toEqual([SUBPROTOCOL]);
  const message = next(client, 'message', ({ text }) => text === 'hi');
  world.gateway.say(world.room, world.bob, 'hi');
  await message;
  const sends = Array.from({ length: 20 }, (_, i) => client.send(world.room.toString(), `m${i}`));
  expect((await Promise.all(sends)).map(({ seq }) => seq)).toEqual(
    Array.from({ length: 20 }, (_, i) => i + 2),
  );
  await client.close();
  expect(served.messages.every((types) => types.length === 1)).toBe(true);
  expect(served.messages.at(0)).toEqual([FrameType.HELLO]);
  expect(served.messages.at(-1)).toEqual([FrameType.CLOSE]);
});

test('WebSocket: one that breaks is replaced', async () => {
  const world = await makeWorld();
  const served = await bridge(world);
  const client = makeClient(world, {
    transport: webSocketTransport({ url: () => `ws://127.0.0.1:${served.port}/` }),
  });
  await client.connect();
  const again = next(client, 'connected');
  served.terminate();
  expect(await again).toMatchObject({ resumed: true });
});

test('WebSocket: nothing listens: the error names the address', async () => {
  const world = await makeWorld();
  using clock = new TestClock();
  const client = makeClient(world, { transport: webSocketTransport(), firstConnectMs: 10 });
  const error: unknown = await clock.until(client.connect()).catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({ code: 'SERVER_UNREACHABLE' });
  expect((error as Error).message).toContain(`ws://127.0.0.1:${world.gateway.port}/ws`);
});
