import { expect, test } from 'vitest';
import { settle, testNode } from '../testing/test-node.ts';
import { sendFrame } from '../testing/fake-stream.ts';

const ROOM = 7n;
const LOBBY = 8n;
const HONEST = 1n;
const ACCOUNTS = 10;
const CONNECTIONS = 64;
const EACH = 400;

test('64 connections of ten accounts that send all at once: another user is in the next commit', async () => {
  const { store, worker } = await testNode();
  const accounts = Array.from({ length: ACCOUNTS }, (_, i) => 100n + BigInt(i));
  await store.addRoom(ROOM, 'room', accounts);
  await store.addRoom(LOBBY, 'lobby', [HONEST]);
  const flood = worker();
  const honest = worker();
  for (let conn = 1; conn <= CONNECTIONS; conn++) flood.attach(conn, accounts[conn % ACCOUNTS] as bigint);
  honest.attach(1, HONEST);
  honest.take();
  store.holding = true;
  for (let i = 0; i < EACH; i++) {
    const frame = (conn: number) => sendFrame(i + 1, ROOM, `c${conn}-${i}`, 'spam');
    flood.frames(...Array.from({ length: CONNECTIONS }, (_, c) => [c + 1, frame(c + 1)] as const));
  }
  // More has come than the queue may hold.
  const nacks = flood.lines().filter((line) => line.includes('NACK'));
  expect(nacks.length).toBeGreaterThan(5000);
  for (let n = 1; n <= 20; n++) {
    honest.send(1, n, LOBBY, `h${n}`);
    const begun = store.batches.length;
    // The commit that is under way, and the one that has the message.
    store.release();
    await settle();
    store.release();
    await settle();
    expect(honest.lines()).toEqual([`1: SENT ref=${n} h${n} seq=${n}`]);
    const rows = store.batches[begun]?.length ?? 0;
    expect(rows).toBeLessThanOrEqual(64 * ACCOUNTS + 1);
  }
});
