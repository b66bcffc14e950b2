import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Cluster, pinned, startCluster } from '../harness/cluster.ts';
import { Client, type SystemUrls, signup, startUp } from '../harness/gochat.ts';

/** Two entry points for two people: the same system, on different gateways where there are two. */
interface System extends AsyncDisposable {
  readonly left: SystemUrls;
  readonly right: SystemUrls;
}

async function embedded(env: Readonly<Record<string, string>> = {}): Promise<System> {
  const folder = mkdtempSync(join(tmpdir(), 'gochat-e2e-'));
  const up = await startUp(folder, [], env);
  return {
    left: up,
    right: up,
    [Symbol.asyncDispose]: async () => {
      await up[Symbol.asyncDispose]();
      rmSync(folder, { recursive: true });
    },
  };
}

async function separate(): Promise<System> {
  const cleanup = new AsyncDisposableStack();
  const cluster: Cluster = cleanup.use(await startCluster({ gateways: 2, states: 2 }));
  const [first, second] = cluster.gateways;
  const left = cleanup.use(await pinned(cluster, first as NonNullable<typeof first>));
  const right = cleanup.use(await pinned(cluster, second as NonNullable<typeof second>));
  return { left, right, [Symbol.asyncDispose]: () => cleanup.disposeAsync() };
}

describe.each([
  ['embedded, one process', () => embedded(), false],
  ['embedded, without what reaches into internals', () => embedded({ GOCHAT_NATIVE: '0' }), false],
  ['two gateways and two state nodes on etcd, Redis and PostgreSQL', separate, true],
] as const)('%s', (_, start, apart) => {
  let system: System;
  beforeAll(async () => {
    system = await start();
  });
  afterAll(async () => {
    await system?.[Symbol.asyncDispose]();
  });

  test('direct messages: both ways, in order, acknowledged, on different gateways if there are two', async () => {
    await Promise.all([signup(system.left, 'ann'), signup(system.left, 'bob')]);
    await using ann = new Client(system.left, 'ann');
    await using bob = new Client(system.right, 'bob');
    const [a, b] = await Promise.all([ann.event('connected'), bob.event('connected')]);
    if (apart) expect(a['gateway']).not.toBe(b['gateway']);
    expect(a).toMatchObject({ user: 'ann', resumed: false });
    await Promise.all([ann.event('synced'), bob.event('synced')]);

    ann.say('/dm bob hello bob', 'second line');
    const hello = await bob.event('message', (event) => event['text'] === 'hello bob');
    const sent = await ann.event('sent');
    expect(sent).toMatchObject({
      seq: 1,
      duplicate: false,
      conversation: hello['conversation'],
      id: hello['id'],
    });
    expect(hello).toMatchObject({ from: 'ann', seq: 1 });
    expect(typeof hello['id']).toBe('string');
    await bob.event('message', (event) => event['text'] === 'second line' && event['seq'] === 2);

    bob.say('/dm ann hello ann');
    expect(await ann.event('message')).toMatchObject({ from: 'bob', text: 'hello ann', seq: 3 });
    ann.end();
    bob.end();
    expect((await ann.exit()).code).toBe(0);
    expect((await bob.exit()).code).toBe(0);
  });

  test('room: one creates it, the other joins, both talk; the history is there', async () => {
    await Promise.all([signup(system.left, 'carol'), signup(system.left, 'dave')]);
    await using carol = new Client(system.left, 'carol');
    carol.say('/create garden', 'first');
    const joined = await carol.event('joined');
    await carol.event('sent');
    await using dave = new Client(system.right, 'dave');
    dave.say('/join garden', 'hi carol', '/history 10', '/who');
    expect(await dave.event('joined')).toMatchObject({
      conversation: joined['conversation'],
      name: 'garden',
    });
    expect(await carol.event('message')).toMatchObject({ from: 'dave', text: 'hi carol', seq: 3 });
    await dave.event('message', (event) => event['text'] === 'first' && event['history'] === true);
    const members = (await dave.event('members'))['members'] as { name: string; online: boolean }[];
    expect(members.map(({ name }) => name).toSorted()).toEqual(['carol', 'dave']);
    carol.say('welcome');
    expect(await dave.event('message', (event) => event['text'] === 'welcome')).toMatchObject({ seq: 4 });
    carol.end();
    dave.end();
    expect([(await carol.exit()).code, (await dave.exit()).code]).toEqual([0, 0]);
  });

  test('offline: missed messages arrive on connecting, once', async () => {
    await Promise.all([signup(system.left, 'erin'), signup(system.left, 'frank')]);
    await using erin = new Client(system.left, 'erin');
    erin.say('/dm frank one', 'two', 'three');
    erin.end();
    expect((await erin.exit()).code).toBe(0);

    await using frank = new Client(system.right, 'frank');
    await frank.event('synced');
    expect(frank.texts()).toEqual(['one', 'two', 'three']);
    frank.end();
    expect((await frank.exit()).code).toBe(0);

    await using again = new Client(system.left, 'frank');
    await again.event('synced');
    expect(again.texts()).toEqual([]);
    again.end();
    expect((await again.exit()).code).toBe(0);
  });

  test("several devices: the user's other devices see what one sends", async () => {
    await Promise.all([signup(system.left, 'gina'), signup(system.left, 'hugo')]);
    await using phone = new Client(system.left, 'gina', undefined, ['--device', 'phone']);
    await using laptop = new Client(system.right, 'gina', undefined, ['--device', 'laptop']);
    await Promise.all([phone.event('synced'), laptop.event('synced')]);
    phone.say('/dm hugo from the phone');
    expect(await laptop.event('message')).toMatchObject({ from: 'gina', text: 'from the phone', seq: 1 });
    expect(phone.texts()).toEqual([]);
  });

  test('the same device twice: the newest connection wins, and the older one is told why', async () => {
    await signup(system.left, 'iris');
    await using first = new Client(system.left, 'iris', undefined, ['--device', 'tablet']);
    await first.event('synced');
    await using second = new Client(system.right, 'iris', undefined, ['--device', 'tablet']);
    await second.event('synced');
    expect(await first.event('disconnected')).toMatchObject({ code: 'SESSION_REPLACED' });
    expect((await first.exit()).code).toBe(1);
    second.end();
    expect((await second.exit()).code).toBe(0);
  });

  test('bad input: a code and a sentence each, and the conversation goes on', async () => {
    await Promise.all([signup(system.left, 'jack'), signup(system.left, 'kate')]);
    await using jack = new Client(system.left, 'jack');
    await jack.event('synced');
    jack.say(
      'to nobody',
      '/dm nosuchuser hi',
      '/join nosuchroom',
      '/nonsense',
      '/dm kate',
      'x'.repeat(100_000),
      'fine',
    );
    await jack.event('error', (event) => event['code'] === 'USER_NOT_FOUND');
    await jack.event('error', (event) => event['code'] === 'ROOM_NOT_FOUND');
    expect(await jack.event('failed', (event) => event['code'] === 'TEXT_TOO_LONG')).toMatchObject({
      retryable: false,
    });
    expect(await jack.event('sent')).toMatchObject({ seq: 1 });
    jack.end();
    expect((await jack.exit()).code).toBe(1);
  });

  test.each([
    ['wrong password', 'lena', 'not-it'],
    ['unknown user', 'nobody-here', 'whatever'],
  ])('%s: CREDENTIALS_WRONG, exit 1', async (_case, name, password) => {
    if (name === 'lena') await signup(system.left, 'lena');
    await using client = new Client(system.left, name, password);
    expect(await client.event('error')).toMatchObject({ code: 'CREDENTIALS_WRONG' });
    expect((await client.exit()).code).toBe(1);
  });
});
