import { describe, expect, test } from 'vitest';
import { type Cluster, startCluster } from '../harness/cluster.ts';
import { Client, runGochat, type RunningServer, signup } from '../harness/gochat.ts';
import { eventsOf, expectEverything, lineOf } from './hall.ts';
import { eventually } from '../harness/eventually.ts';

const SENDERS = ['ann', 'bob', 'cleo', 'dan'] as const;
const SENDS_EACH = 500;

/** The gateway that a client is connected to, by its last `connected` event. */
function gatewayOf(client: Client): unknown {
  return client.events.findLast((event) => event['event'] === 'connected')?.['gateway'];
}

/** The gateway of that instance. */
function gatewayAt(cluster: Cluster, instance: unknown): RunningServer {
  const gateway = cluster.gateways.find(({ up }) => up['instance'] === instance);
  if (gateway === undefined) throw new Error(`no gateway is called ${String(instance)}`);
  return gateway;
}

/** Everybody writes to one room through both gateways; one of these is drained in the middle. */
async function run(cluster: Cluster, drain: (victim: RunningServer) => Promise<void>): Promise<void> {
  await Promise.all([...SENDERS, 'reader'].map((name) => signup(cluster, name)));
  await using cleanup = new AsyncDisposableStack();
  const join = async (name: string) => {
    // Without a device name it would read the newest 1000 entries after an absence.
    const client = cleanup.use(new Client(cluster, name, undefined, ['--device', 'one']));
    await client.event('connected');
    return client;
  };
  const [ann, bob, cleo, dan, reader] = (await Promise.all([...SENDERS, 'reader'].map(join))) as [
    Client,
    Client,
    Client,
    Client,
    Client,
  ];
  ann.say('/create hall');
  await ann.event('joined');
  for (const client of [bob, cleo, dan, reader]) {
    client.say('/join hall');
    await client.event('joined');
  }
  const clients = [ann, bob, cleo, dan];
  // The reader's, as who writes may have left before it is told to.
  const victim = gatewayAt(cluster, gatewayOf(reader));
  const other = cluster.gateways.find((gateway) => gateway !== victim) as RunningServer;
  const moved = [...clients, reader].filter((client) => gatewayOf(client) === victim.up['instance']);
  const senders = new Map(SENDERS.map((name, i) => [name, clients[i] as Client]));
  for (const [name, client] of senders)
    client.say(...Array.from({ length: SENDS_EACH }, (_, k) => lineOf(name, k)));
  await eventually('a tenth of the sends', () =>
    Promise.resolve(
      clients.reduce((sum, client) => sum + eventsOf(client, 'sent').length, 0) > SENDS_EACH * 0.4,
    ),
  );
  await drain(victim);

  const { code, stderr } = await victim.process.exit(60_000);
  expect([code, stderr.includes('"msg":"stopped"')]).toEqual([0, true]);
  for (const client of clients) client.end();
  for (const client of clients) expect((await client.exit(120_000)).code).toBe(0);
  const total = SENDERS.length * SENDS_EACH;
  await eventually(
    'all messages at the reader',
    () => Promise.resolve(eventsOf(reader, 'message').length >= total),
    60_000,
  );

  expectEverything(reader, senders, SENDS_EACH);
  // Who was there was told, and went where it was told to.
  // The reader's messages may all have come before it was told to go.
  await eventually('the reader elsewhere', () => Promise.resolve(gatewayOf(reader) === other.up['instance']));
  for (const client of moved) {
    const told = client.events.findIndex((event) => event['code'] === 'SERVER_DRAINING');
    const after = client.events.slice(told).filter((event) => event['event'] === 'connected');
    expect(told).toBeGreaterThan(0);
    // One that had nothing left to do may have ended instead.
    for (const event of after) expect(event['gateway']).toBe(other.up['instance']);
    if (client === reader) expect(after.length).toBe(1);
  }
}

describe('a gateway is drained under load', () => {
  test('TERM: it exits, its clients continue at the other one, and nothing is lost', async () => {
    await using cluster = await startCluster({ gateways: 2, states: 1 });
    await run(cluster, (victim) => {
      victim.process.signal('SIGTERM');
      return Promise.resolve();
    });
  }, 240_000);

  test('gochat ctl drain: the same', async () => {
    await using cluster = await startCluster({ gateways: 2, states: 1 });
    await run(cluster, async (victim) => {
      const { code, stdout } = await runGochat(['ctl', 'drain', '--admin', `http://${victim.up['admin']}`]);
      expect([code, stdout]).toEqual([0, 'draining, for at most 10000 ms\n']);
    });
  }, 240_000);
});
