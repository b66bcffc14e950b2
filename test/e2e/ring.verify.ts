import { expect, test } from 'vitest';
import { startCluster } from '../harness/cluster.ts';
import { Client, type RunningServer, signup, startServer } from '../harness/gochat.ts';
import { eventsOf, expectEverything, lineOf } from './hall.ts';
import { eventually } from '../harness/eventually.ts';

const SENDERS = ['ann', 'bob', 'cleo', 'dan'] as const;
/** One half while a node joins, one while one leaves. */
const SENDS_EACH = 4000;

test('a state node joins and one leaves by TERM while people write: no send fails, everything arrives once and in order', async () => {
  await using cluster = await startCluster({ gateways: 2, states: 2 });
  await Promise.all([...SENDERS, 'reader'].map((name) => signup(cluster, name)));
  await using cleanup = new AsyncDisposableStack();
  const clients: Client[] = [];
  for (const name of [...SENDERS, 'reader']) {
    const client = cleanup.use(new Client(cluster, name, undefined, ['--device', 'one']));
    await client.event('synced');
    client.say(clients.length === 0 ? '/create hall' : '/join hall');
    await client.event('joined');
    clients.push(client);
  }
  const reader = clients.pop() as Client;
  const senders = new Map(SENDERS.map((name, i) => [name, clients[i] as Client]));
  const say = (from: number, to: number) => {
    for (const [name, client] of senders)
      client.say(...Array.from({ length: to - from }, (_, k) => lineOf(name, from + k)));
  };
  const acks = () => clients.reduce((sum, client) => sum + eventsOf(client, 'sent').length, 0);
  const total = SENDERS.length * SENDS_EACH;

  say(0, SENDS_EACH / 2);
  await eventually('a tenth of the sends', async () => acks() > total / 10);
  expect(acks()).toBeLessThan(total / 2);
  cleanup.use(await startServer('state', cluster.env));
  say(SENDS_EACH / 2, SENDS_EACH);
  await eventually('more than half of the sends', async () => acks() > total * 0.6);
  expect(acks()).toBeLessThan(total);
  const [leaver] = cluster.states as [RunningServer, RunningServer];
  leaver.process.signal('SIGTERM');
  expect((await leaver.process.exit()).code).toBe(0);

  for (const client of clients) client.end();
  for (const client of clients) expect((await client.exit(120_000)).code).toBe(0);
  await eventually(
    'all messages at the reader',
    async () => eventsOf(reader, 'message').length >= total,
    60_000,
  );
  expectEverything(reader, senders, SENDS_EACH);
  expect(eventsOf(reader, 'disconnected')).toEqual([]);
}, 240_000);
