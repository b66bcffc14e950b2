/** The contract of a storage, for each implementation; the page's, on IndexedDB, is tried by test/e2e. */
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { memoryStorage } from './sdk/mod.ts';
import { fileStorage } from './storage-file.ts';
import { makeClient, makeWorld, next } from './testing/harness.ts';

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'gochat-storage-'));
  onTestFinished(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

const MAKERS = { memory: memoryStorage, file: () => fileStorage(join(folder(), 'new')) };

describe.each(Object.entries(MAKERS))('%s', (_, make) => {
  test('nothing stored: the list is empty, and deleting does nothing', async () => {
    const storage = make();
    await storage.delete('a');
    expect(await storage.list('')).toEqual([]);
  });

  test('values: come by prefix, ascending by key, as they were stored last', async () => {
    const storage = make();
    await storage.set('b/2', { text: 'ü/..\n' });
    await storage.set('b/10', 1);
    await storage.set('c/1', 2);
    await storage.set('b/2', [3]);
    expect(await storage.list('b/')).toEqual([
      ['b/10', 1],
      ['b/2', [3]],
    ]);
    await storage.delete('b/2');
    expect(await storage.list('b/')).toEqual([['b/10', 1]]);
  });
});

test('file: nobody else may read it, and the next one has what was stored', async () => {
  const path = join(folder(), 'deep/er');
  await fileStorage(path).set('key', 'value');
  expect(statSync(path).mode & 0o777).toBe(0o700);
  expect(await fileStorage(path).list('')).toEqual([['key', 'value']]);
});

describe('outbox', () => {
  test('a client that ends before the answer: the next one sends it once, in order, before its own', async () => {
    const world = await makeWorld();
    const storage = memoryStorage();
    const room = world.room.toString();
    const first = makeClient(world, { storage });
    await first.connect();
    world.gateway.fate = () => 'lose-answer';
    first.send(room, 'one').catch(() => undefined);
    await expect.poll(() => world.gateway.chat.conversations.get(world.room)?.log.length).toBe(1);
    world.gateway.fate = () => 'lose';
    const one = first.send(room, 'two');
    await first.close();
    await expect(one).rejects.toMatchObject({ code: 'CLIENT_CLOSED' });
    world.gateway.fate = () => 'accept';
    const second = makeClient(world, { storage });
    const queued = next(second, 'queued', ({ text }) => text === 'two');
    const three = second.send(room, 'three');
    await second.connect();
    expect(await queued).toMatchObject({ kind: 'message', conversation: room });
    await three;
    const texts = world.gateway.chat.conversations.get(world.room)?.log.map(({ text }) => text);
    expect(texts).toEqual(['one', 'two', 'three']);
    await expect.poll(() => storage.list('')).toEqual([]);
  });

  test("another user's sends: are not sent", async () => {
    const world = await makeWorld();
    const storage = memoryStorage();
    const alice = makeClient(world, { storage });
    await alice.connect();
    world.gateway.fate = () => 'lose';
    alice.send(world.room.toString(), 'mine').catch(() => undefined);
    await alice.close();
    world.gateway.fate = () => 'accept';
    const bob = makeClient(world, { storage, user: 'bob' });
    await bob.connect();
    await bob.send(world.room.toString(), 'his');
    expect(world.gateway.chat.conversations.get(world.room)?.log.map(({ text }) => text)).toEqual(['his']);
  });

  test('a send that is refused, or older than three days: is given up', async () => {
    const world = await makeWorld();
    const storage = memoryStorage();
    const room = world.room.toString();
    const client = makeClient(world, { storage });
    await client.connect();
    world.gateway.fate = () => ({ nack: 'ROLE_TOO_LOW' });
    await expect(client.send(room, 'no')).rejects.toMatchObject({ code: 'ROLE_TOO_LOW' });
    await expect.poll(() => storage.list('')).toEqual([]);
    world.gateway.fate = () => 'lose';
    client.send(room, 'old').catch(() => undefined);
    await expect.poll(async () => (await storage.list('')).length).toBe(1);
    await client.close();
    for (const [key, value] of await storage.list(''))
      await storage.set(key, { ...(value as object), atMs: 1 });
    const later = makeClient(world, { storage });
    const failed = next(later, 'failed');
    await later.connect();
    expect(await failed).toMatchObject({ code: 'DEADLINE_EXCEEDED' });
    expect(await storage.list('')).toEqual([]);
  });
});
