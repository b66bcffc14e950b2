import { afterEach, beforeEach, expect, test } from 'vitest';
import { client, encodeFrame, FrameType } from '../../proto/mod.ts';
import { eventually } from '../../test/harness/eventually.ts';
import type { TestClient } from '../testing/test-client.ts';
import { TestNode } from '../testing/test-node.ts';
import { FakeState } from '../testing/test-state.ts';
import { TokenMaker } from '../testing/test-tokens.ts';

const ANN = 1n;

let tokens: TokenMaker;
let states: FakeState[];

beforeEach(async () => {
  tokens = await TokenMaker.make();
  states = [await FakeState.start(), await FakeState.start()];
});

afterEach(async () => {
  for (const state of states) await state.stop();
});

function watch(to: TestClient, ref: number, fields: Partial<client.Watch>): void {
  const payload = client.Watch.encode(client.Watch.fromPartial(fields)).finish();
  to.write(encodeFrame(FrameType.WATCH, ref, 0n, payload));
}

/** Returns the node that the client logged in at, and the other one. */
function homeAndOther(): [FakeState, FakeState] {
  const [a, b] = states as [FakeState, FakeState];
  return a.logins.length > 0 ? [a, b] : [b, a];
}

const told = ({ watches }: FakeState) =>
  watches.map(({ isHome, conversations, users, idle }) =>
    [isHome ? 'home' : 'told', ...conversations, '|', ...users, ...(idle ? ['idle'] : [])].join(' '),
  );

test('WATCH: all other nodes confirm it before the user’s node, which alone is told of the users, answers', async () => {
  await using node = await TestNode.start(tokens, states);
  const ann = await node.tcp();
  await ann.login(await tokens.token(ANN));
  const [home, other] = homeAndOther();
  other.answersWatch = false;
  watch(ann, 3, { conversations: [9n, 5n, 9n], users: [8n] });
  await eventually('the other node', () => other.watches.length === 1);
  expect([told(other), told(home)]).toEqual([['told 5 9 |'], []]);
  watch(ann, 4, {});
  expect(await ann.nextNack(4)).toMatchObject({ code: 'RATE_LIMITED', retryable: true });
  // It ends instead of confirming.
  await other.crash();
  await ann.next(FrameType.WATCHED, ({ ref }) => ref === 3);
  expect(told(home)).toEqual(['home 5 9 | 8']);
});

test('the same conversations again: only the user’s node is asked', async () => {
  await using node = await TestNode.start(tokens, states);
  const ann = await node.tcp();
  await ann.login(await tokens.token(ANN));
  const [home, other] = homeAndOther();
  for (const [ref, users] of [
    [1, [8n]],
    [2, [8n, 9n]],
  ] as const) {
    watch(ann, ref, { conversations: [5n], users: [...users] });
    await ann.next(FrameType.WATCHED, (frame) => frame.ref === ref);
  }
  watch(ann, 3, { conversations: [5n], users: [], idle: true });
  await ann.next(FrameType.WATCHED, (frame) => frame.ref === 3);
  expect(told(home)).toEqual(['home 5 | 8', 'home 5 | 8 9', 'home 5 | idle']);
  expect(told(other)).toEqual(['told 5 |', 'told 5 | idle']);
});

test('a refused WATCH: the other nodes are told the one before', async () => {
  await using node = await TestNode.start(tokens, states);
  const ann = await node.tcp();
  await ann.login(await tokens.token(ANN));
  const [home, other] = homeAndOther();
  watch(ann, 1, { conversations: [5n] });
  await ann.next(FrameType.WATCHED);
  home.acceptsWatch = false;
  watch(ann, 2, { conversations: [6n] });
  expect(await ann.nextNack(2)).toMatchObject({ code: 'NOT_VISIBLE' });
  await eventually('the watch before', () => other.watches.length === 3);
  expect(told(other)).toEqual(['told 5 |', 'told 6 |', 'told 5 |']);
});

test('a node that comes back is told what its stream begins with, without the clients', async () => {
  await using node = await TestNode.start(tokens, states.slice(0, 1));
  const ann = await node.tcp();
  await ann.login(await tokens.token(ANN));
  watch(ann, 1, { conversations: [5n], users: [8n] });
  await ann.next(FrameType.WATCHED);
  const [, second] = states as [FakeState, FakeState];
  await node.reach(states);
  expect(told(second)).toEqual(['told 5 |']);
});

test('bad input: the code, and no node is told', async () => {
  await using node = await TestNode.start(tokens, states);
  const ann = await node.tcp();
  await ann.login(await tokens.token(ANN));
  const ids = (count: number) => Array.from({ length: count }, (_, i) => BigInt(i + 1));
  watch(ann, 1, { conversations: ids(9) });
  expect(await ann.nextNack(1)).toMatchObject({ code: 'WATCH_TOO_LARGE', retryable: false });
  watch(ann, 2, { users: ids(501) });
  expect(await ann.nextNack(2)).toMatchObject({ code: 'WATCH_TOO_LARGE' });
  ann.write(encodeFrame(FrameType.WATCH, 3, 0n, Uint8Array.of(0xff)));
  expect(await ann.nextNack(3)).toMatchObject({ code: 'FRAME_INVALID' });
  expect(states.flatMap(told)).toEqual([]);
  watch(ann, 4, { conversations: ids(8), users: ids(500) });
  await ann.next(FrameType.WATCHED, ({ ref }) => ref === 4);
});

test('a thousand at once: a few are answered, the others refused with RATE_LIMITED', async () => {
  await using node = await TestNode.start(tokens, states);
  const ann = await node.tcp();
  await ann.login(await tokens.token(ANN));
  const asked = 1000;
  for (let ref = 1; ref <= asked; ref++) watch(ann, ref, { users: [BigInt(ref)] });
  ann.write(encodeFrame(FrameType.PING, asked + 1, 0n));
  await ann.next(FrameType.PONG);
  const nacks = ann.received.filter(({ type }) => type === FrameType.NACK);
  expect(new Set(nacks.map(({ payload }) => client.Nack.decode(payload).code))).toEqual(
    new Set(['RATE_LIMITED']),
  );
  const answered = asked - nacks.length;
  expect(answered).toBeGreaterThan(0);
  expect(answered).toBeLessThan(asked / 2);
  const [home] = homeAndOther();
  await eventually('those that are not refused', () => home.watches.length === answered);
});

test('the user’s node ends while it is asked: the WATCH is forgotten, and may come again', async () => {
  await using node = await TestNode.start(tokens, states);
  const ann = await node.tcp();
  await ann.login(await tokens.token(ANN));
  const [home, other] = homeAndOther();
  home.answersWatch = false;
  watch(ann, 1, { conversations: [5n] });
  await eventually('the question', () => home.watches.length === 1);
  await home.crash();
  await ann.next(FrameType.RESYNC);
  watch(ann, 2, { conversations: [5n] });
  await ann.next(FrameType.WATCHED, ({ ref }) => ref === 2);
  expect(told(other)).toEqual(['told 5 |', 'home 5 |']);
});
