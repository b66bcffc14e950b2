import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { SendResult } from '../crpc/mod.ts';
import { encodeFrame, encodePublishHead, FrameType, LinkKind, NO_CONNECTION } from '../proto/mod.ts';
import type { TestClient } from './testing/test-client.ts';
import { FakeLinks, topicRecord } from './testing/test-link.ts';
import { TestNode } from './testing/test-node.ts';
import { FakeState } from './testing/test-state.ts';
import { TokenMaker } from './testing/test-tokens.ts';

/** Answers the next RESYNC as a client must. */
async function resync(client: TestClient): Promise<void> {
  const { ref } = await client.next(FrameType.RESYNC);
  client.write(encodeFrame(FrameType.RESYNCED, ref, 0n));
}

describe('changes of the state nodes', () => {
  let tokens: TokenMaker;
  let states: FakeState[];

  beforeEach(async () => {
    tokens = await TokenMaker.make();
    states = [await FakeState.start(), await FakeState.start()];
  });

  afterEach(async () => {
    for (const state of states) await state.stop();
  });

  function framesOf(type: number): number {
    return states.reduce((sum, { frames }) => sum + frames.filter((frame) => frame.type === type).length, 0);
  }

  test('a node dies: sends are refused until RESYNCED, then go to the other node', async () => {
    await using node = await TestNode.start(tokens, states);
    const client = await node.tcp();
    await client.login(await tokens.token(1n));
    const [dying, surviving] = states as [FakeState, FakeState];
    await dying.crash();
    const { ref: mark } = await client.next(FrameType.RESYNC);
    expect(mark).toBeGreaterThan(0);
    for (let key = 1n; key <= 8n; key++) client.send(Number(key), key, 'too early');
    client.write(encodeFrame(FrameType.RESYNCED, mark + 1, 0n));
    client.send(9, 9n, 'too early');
    for (let ref = 1; ref <= 9; ref++)
      expect(await client.nextNack(ref)).toMatchObject({ code: 'RESYNC_REQUIRED', retryable: true });
    // PING is never refused.
    client.write(encodeFrame(FrameType.PING, 10, 0n));
    await client.next(FrameType.PONG, ({ ref }) => ref === 10);
    expect(framesOf(FrameType.SEND)).toBe(0);
    client.write(encodeFrame(FrameType.RESYNCED, mark, 0n));
    for (let key = 1n; key <= 8n; key++) client.send(Number(key), key, 'again');
    for (let ref = 1; ref <= 8; ref++) await client.next(FrameType.SENT, (frame) => frame.ref === ref);
    expect(surviving.frames.map(({ key }) => key)).toEqual([1n, 2n, 3n, 4n, 5n, 6n, 7n, 8n]);
  });

  test('a node joins: RESYNC once it has confirmed every connection', async () => {
    const [first, second] = states as [FakeState, FakeState];
    second.answersAttach = false;
    await using node = await TestNode.start(tokens, [first]);
    const client = await node.tcp();
    await client.login(await tokens.token(1n));
    const ready = node.reach(states);
    await expect.poll(() => [...second.streams][0]?.ready).toBe(true);
    client.send(1, 1n, 'as before');
    await client.next(FrameType.SENT);
    expect(client.received).toEqual([]);
    for (const stream of second.streams) stream.attachedAll();
    await ready;
    await resync(client);
    for (let key = 1n; key <= 20n; key++) client.send(Number(key), key, 'hi');
    for (let ref = 1; ref <= 20; ref++) await client.next(FrameType.SENT, (frame) => frame.ref === ref);
    expect(second.frames.length).toBeGreaterThan(0);
  });

  test('no node is left: STATE_UNAVAILABLE, and RESYNC when one is back', async () => {
    const [first, second] = states as [FakeState, FakeState];
    await using node = await TestNode.start(tokens, [first]);
    const client = await node.tcp();
    await client.login(await tokens.token(1n));
    const gone = node.links(0);
    await first.crash();
    await gone;
    client.send(1, 1n, 'to nobody');
    expect(await client.nextNack(1)).toMatchObject({
      code: 'STATE_UNAVAILABLE',
      retryable: true,
      clientMsgId: 'id-1',
    });
    client.write(encodeFrame(FrameType.REQUEST, 2, 0n));
    expect((await client.nextNack(2)).code).toBe('STATE_UNAVAILABLE');
    client.write(encodeFrame(FrameType.PING, 3, 0n));
    await client.next(FrameType.PONG);
    expect(client.received).toEqual([]);
    await node.reach([second]);
    await resync(client);
    client.send(4, 1n, 'back');
    await client.next(FrameType.SENT);
    expect([...second.streams][0]?.attached.size).toBe(1);
  });

  test('FENCE from state: the connection is fenced and gets RESYNC, the others do not', async () => {
    const [state] = states as [FakeState];
    await using node = await TestNode.start(tokens, [state]);
    const [fenced, other] = [await node.tcp(), await node.tcp()];
    await fenced.login(await tokens.token(1n));
    await other.login(await tokens.token(2n));
    const [stream] = state.streams;
    const conn = [...(stream?.attached.values() ?? [])].find(({ user }) => user === 1n)?.conn;
    stream?.fence([conn as number]);
    await resync(fenced);
    fenced.send(1, 1n, 'after');
    await fenced.next(FrameType.SENT);
    expect(other.received.filter(({ type }) => type === FrameType.RESYNC)).toEqual([]);
  });
});

describe('topics of a state node', () => {
  test('an undefined topic: the stream is opened anew, and every connection resynchronises', async () => {
    const tokens = await TokenMaker.make();
    await using state = await FakeState.start();
    await using node = await TestNode.start(tokens, [state]);
    const clients = [await node.tcp(), await node.tcp()];
    for (const [i, client] of clients.entries()) await client.login(await tokens.token(BigInt(i + 1)));
    const message = encodeFrame(FrameType.MESSAGE, 0, 1n);
    const [before] = state.streams;
    before?.stream.send(topicRecord(1, [...before.attached.keys()]));
    before?.stream.send(encodePublishHead(1, NO_CONNECTION), message);
    for (const client of clients) await client.next(FrameType.MESSAGE);
    before?.stream.send(encodePublishHead(2, NO_CONNECTION), message);
    for (const client of clients) await resync(client);
    await expect.poll(() => [...state.streams].map(({ attached }) => attached.size)).toEqual([2]);
    expect(state.streams).not.toContain(before);
    clients[0]?.send(1, 1n, 'again');
    await clients[1]?.nextMessage();
  });
});

describe('backpressure of a state node', () => {
  test.each(['tcp', 'ws'] as const)('clients on %s: are not read until it has drained', async (kind) => {
    const tokens = await TokenMaker.make();
    const links = new FakeLinks();
    await using node = await TestNode.start(tokens, [], {}, { open: links.open });
    node.node.setStateNodes([{ id: 'a', address: 'a', maxTextBytes: 16_384 }]);
    const link = links.get('a');
    link.open();
    const client = await node[kind]();
    client.hello(await tokens.token(1n));
    await expect.poll(() => link.kinds).toContain(LinkKind.LOGIN);
    link.loginResult({ conn: 1 });
    link.attachAll();
    await client.next(FrameType.WELCOME);
    const sends = () => link.bodies(LinkKind.FRAME).length;

    link.result = SendResult.BACKPRESSURE;
    client.send(1, 1n, 'the last one');
    await expect.poll(sends).toBe(1);
    for (let ref = 2; ref <= 101; ref++) client.send(ref, 1n, 'x'.repeat(1000));
    const bystander = await node[kind]();
    bystander.hello(await tokens.token(2n));
    await expect.poll(() => node.node.stats.accepts).toBe(2);
    expect(sends()).toBe(1);
    link.drain();
    await expect.poll(sends).toBe(101);
    await expect.poll(() => link.bodies(LinkKind.LOGIN).length).toBe(2);
    expect(client.received).toEqual([]);
  });

  test('a full queue: OVERLOADED, and what follows waits for RESYNCED', async () => {
    const tokens = await TokenMaker.make();
    const links = new FakeLinks();
    await using node = await TestNode.start(tokens, [], {}, { open: links.open });
    node.node.setStateNodes([{ id: 'a', address: 'a', maxTextBytes: 16_384 }]);
    const link = links.get('a');
    link.open();
    const client = await node.tcp();
    client.hello(await tokens.token(1n));
    await expect.poll(() => link.kinds).toContain(LinkKind.LOGIN);
    link.loginResult({ conn: 1 });
    link.attachAll();
    await client.next(FrameType.WELCOME);

    link.result = SendResult.CLOSED;
    const sends = [1, 2].map((ref) => encodeFrame(FrameType.SEND, ref, 1n, new Uint8Array(0)));
    client.write(Buffer.concat(sends));
    expect((await client.nextNack(1)).code).toBe('OVERLOADED');
    expect((await client.nextNack(2)).code).toBe('RESYNC_REQUIRED');
    link.drain();
    await resync(client);
    client.send(3, 1n, 'again');
    await expect.poll(() => link.bodies(LinkKind.FRAME).length).toBe(1);
  });
});
