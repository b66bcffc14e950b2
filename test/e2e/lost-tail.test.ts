import pg from 'pg';
import { expect, test } from 'vitest';
import { FaultProxy } from '../chaos/fault-proxy.ts';
import { Random } from '../chaos/random.ts';
import { startCluster } from '../harness/cluster.ts';
import { Client, signup } from '../harness/gochat.ts';
import { freePorts } from '../harness/services.ts';
import { eventually } from '../harness/eventually.ts';

const [HERE, THERE] = ['127.0.0.1', '127.0.0.2'];

test('the last message is committed and its push is lost with the stream: RESYNC brings it, without later traffic', async () => {
  const [port = 0] = await freePorts(1);
  const target = { host: HERE, port };
  await using proxy = await FaultProxy.start({ host: THERE, port, target, random: new Random(1, 'proxy') });
  const behindProxy = { args: ['--port', `${port}`, '--advertise-host', THERE] };
  await using cluster = await startCluster({ gateways: 1, states: [behindProxy] });
  await Promise.all(['ann', 'bob'].map((name) => signup(cluster, name)));
  await using bob = new Client(cluster, 'bob');
  await bob.event('synced');
  {
    await using ann = new Client(cluster, 'ann');
    ann.say('/dm bob first');
    await Promise.all([ann.event('sent'), bob.event('message')]);

    // What state says from now on does not arrive.
    proxy.impose({ down: { hold: true } });
    ann.say('the tail');
    const log = new pg.Client(cluster.env['GOCHAT_STORE']);
    await log.connect();
    await eventually('the commit', async () => (await log.query('select from messages')).rowCount === 2);
    await log.end();
    // The sender dies, so that nobody sends it again.
  }
  proxy.reset();
  proxy.heal();
  await bob.event('message', (event) => event['text'] === 'the tail');
  expect(bob.texts()).toEqual(['first', 'the tail']);
  expect(bob.events.filter(({ event }) => event === 'disconnected')).toEqual([]);
}, 120_000);
