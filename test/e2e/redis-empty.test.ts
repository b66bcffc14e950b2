import { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Cluster, startCluster } from '../harness/cluster.ts';
import { Client, runGochat, signup } from '../harness/gochat.ts';
import { helloFrame, RawClient, tokenOf } from '../harness/raw-client.ts';
import { type Services, startServices } from '../harness/services.ts';
import { eventually } from '../harness/eventually.ts';

// Engines of this file's own. Redis keeps nothing on disk: killed and started it is empty.
let services: Services;
let cluster: Cluster;

beforeAll(async () => {
  services = await startServices({ durable: false });
  cluster = await startCluster({ gateways: 1, states: 2 }, services.urls);
}, 120_000);

afterAll(async () => {
  await cluster?.[Symbol.asyncDispose]();
  await services?.[Symbol.asyncDispose]();
});

test('Redis restarted empty while people chat: nothing is lost, a device has one connection, a revoked token stays revoked', async () => {
  await Promise.all(['ann', 'bob', 'eve'].map((name) => signup(cluster, name)));
  const revoked = await tokenOf(cluster, 'eve', 'eve-secret');
  const admin = `http://${cluster.states[0]?.up['admin']}`;
  expect((await runGochat(['ctl', 'kick', 'eve', '--revoke', '--admin', admin])).code).toBe(0);
  const phone = ['--device', 'phone'];
  await using ann = new Client(cluster, 'ann', undefined, phone);
  await using bob = new Client(cluster, 'bob');
  await Promise.all([ann.event('synced'), bob.event('synced')]);
  const texts: string[] = [];
  const talk = async (text: string) => {
    texts.push(text);
    ann.say(text);
    await bob.event('message', (event) => event['text'] === text);
  };
  ann.say('/dm bob');
  await talk('before');

  await services.kill('redis');
  await talk('without');
  await services.start('redis');
  const redis = new Redis(services.urls.redis);
  try {
    // Who remembers the order puts it back into what began empty.
    await eventually('the order is back', async () => (await redis.zcard('gochat:evictions')) > 0);
    expect(await redis.keys('gochat:session:*')).toEqual([]);
  } finally {
    redis.disconnect();
  }
  await talk('with an empty one');

  await using late = new RawClient(cluster.gateways[0]?.up['tcp'] as string);
  late.send(helloFrame({ token: revoked }));
  expect((await late.closeFrame()).code).toBe('TOKEN_REVOKED');
  await using second = new Client(cluster, 'ann', undefined, phone);
  await second.event('synced');
  expect(await ann.event('disconnected')).toMatchObject({ code: 'SESSION_REPLACED' });
  expect(bob.texts()).toEqual(texts);
  for (const client of [bob, second])
    expect(client.events.filter(({ event }) => event === 'disconnected')).toEqual([]);
}, 180_000);
