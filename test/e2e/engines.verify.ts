import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Cluster, startCluster } from '../harness/cluster.ts';
import { Client, signup } from '../harness/gochat.ts';
import { type Services, startServices } from '../harness/services.ts';
import { eventually } from '../harness/eventually.ts';

// Engines of this file's own: they are stopped and started under a system that runs on.
let services: Services;
let cluster: Cluster;

beforeAll(async () => {
  services = await startServices({ durable: true });
  cluster = await startCluster({ gateways: 1, states: 2 }, services.urls);
}, 120_000);

afterAll(async () => {
  await cluster?.[Symbol.asyncDispose]();
  await services?.[Symbol.asyncDispose]();
});

/** Waits until each state node says that it has its engines, or that it lacks one. */
const allSay = (status: 200 | 503) =>
  eventually(`every state node says ${status}`, async () => {
    const answers = cluster.states.map((state) => fetch(`http://${state.up['admin']}/readyz`));
    return (await Promise.all(answers)).every((answer) => answer.status === status);
  });

async function pair(left: string, right: string): Promise<{ left: Client; right: Client } & AsyncDisposable> {
  // Each by itself finds out that what the last test took away is back.
  await allSay(200);
  await Promise.all([signup(cluster, left), signup(cluster, right)]);
  const [a, b] = [new Client(cluster, left), new Client(cluster, right)];
  await Promise.all([a.event('synced'), b.event('synced')]);
  a.say(`/dm ${right} before`);
  await Promise.all([a.event('sent'), b.event('message')]);
  return {
    left: a,
    right: b,
    [Symbol.asyncDispose]: async () => {
      await Promise.all([a[Symbol.asyncDispose](), b[Symbol.asyncDispose]()]);
    },
  };
}

const sentCount = (client: Client) => client.events.filter((event) => event['event'] === 'sent').length;

describe('an engine that is away for a while', () => {
  test('PostgreSQL: nothing is acknowledged while it is down, and all is delivered in order when it is back', async () => {
    await using talk = await pair('ann', 'bob');
    await services.stop('postgres');
    talk.left.say('one', 'two', 'three');
    await allSay(503);
    expect(sentCount(talk.left)).toBe(1);
    expect(talk.right.texts()).toEqual(['before']);

    await services.start('postgres');
    await eventually('three more acks', async () => sentCount(talk.left) === 4);
    await talk.right.event('message', (event) => event['text'] === 'three');
    expect(talk.right.texts()).toEqual(['before', 'one', 'two', 'three']);
    await allSay(200);
    talk.left.end();
    expect((await talk.left.exit()).code).toBe(0);
  }, 120_000);

  test('Redis: messages go on; logins are refused with a code, and work when it is back', async () => {
    await using talk = await pair('carl', 'dora');
    await services.stop('redis');
    await allSay(503);
    talk.left.say('without redis');
    await talk.right.event('message', (event) => event['text'] === 'without redis');
    await using early = new Client(cluster, 'carl');
    expect(await early.event('error')).toMatchObject({ code: 'HOT_UNAVAILABLE' });
    expect((await early.exit()).code).toBe(1);

    await services.start('redis');
    await eventually('logging in works again', async () => {
      await using late = new Client(cluster, 'carl');
      late.end();
      return (await late.exit()).code === 0;
    });
  }, 120_000);

  test('Redis wiped, then restarted: connected clients go on, and a newer connection of a device still replaces the older one', async () => {
    await using talk = await pair('gina', 'hugo');
    const device = ['--device', 'phone'];
    await using first = new Client(cluster, 'gina', undefined, device);
    await first.event('synced');
    const redis = new Redis(services.urls.redis);
    await redis.flushall();
    redis.disconnect();
    talk.left.say('wiped');
    await talk.right.event('message', (event) => event['text'] === 'wiped');
    await using second = new Client(cluster, 'gina', undefined, device);
    await second.event('synced');
    expect(await first.event('disconnected')).toMatchObject({ code: 'SESSION_REPLACED' });

    await services.kill('redis');
    await services.start('redis');
    talk.left.say('restarted');
    await talk.right.event('message', (event) => event['text'] === 'restarted');
    const third = async () => {
      await using client = new Client(cluster, 'gina', undefined, device);
      await Promise.race([client.event('synced'), client.exit()]);
      return second.events.some((event) => event['event'] === 'disconnected');
    };
    await eventually('the third puts the second out', third);
    expect(await second.event('disconnected')).toMatchObject({ code: 'SESSION_REPLACED' });
    expect(talk.right.texts()).toEqual(['before', 'wiped', 'restarted']);
  }, 120_000);

  test('etcd: connected clients go on, new ones connect, and all servers are registered when it is back', async () => {
    await using talk = await pair('emil', 'fay');
    await services.stop('etcd');
    talk.left.say('without etcd');
    await talk.right.event('message', (event) => event['text'] === 'without etcd');
    await using late = new Client(cluster, 'emil');
    await late.event('synced');

    await services.start('etcd');
    const fresh = async () =>
      (await (await fetch(`${cluster.ipconf}/ip/list`)).json()) as { data?: unknown[]; stale?: boolean };
    await eventually('ipconf up to date', async () => {
      const { data, stale } = await fresh();
      return data?.length === 1 && stale === false;
    });
    talk.left.say('with etcd');
    await talk.right.event('message', (event) => event['text'] === 'with etcd');
  }, 120_000);
});
