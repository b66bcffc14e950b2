import pg from 'pg';
import { expect, test } from 'vitest';
import { FaultProxy } from '../chaos/fault-proxy.ts';
import { Random } from '../chaos/random.ts';
import { eventually, freshDatabase, sharedEngines } from '../harness/cluster.ts';
import { Client, signup, startServer } from '../harness/gochat.ts';
import { freePorts } from '../harness/services.ts';

const [HERE, THERE] = ['127.0.0.1', '127.0.0.2'];

test('the last message is committed and its push lost with the stream: RESYNC brings it, without later traffic', async () => {
  await using cleanup = new AsyncDisposableStack();
  const engines = sharedEngines();
  const database = cleanup.use(await freshDatabase(engines.postgres));
  const [port = 0] = await freePorts(1);
  const target = { host: HERE, port };
  const proxy = cleanup.use(
    await FaultProxy.start({ host: THERE, port, target, random: new Random(1, 'proxy') }),
  );
  const env = {
    GOCHAT_REGISTRY: `${engines.etcd}/tail-${process.pid}-${Math.random().toString(36).slice(2)}`,
    GOCHAT_STORE: database.url,
    GOCHAT_HOT: engines.redis,
    GOCHAT_WORKERS: '1',
    GOCHAT_START_TIMEOUT_MS: '60000',
  };
  const [, , ipconf, api] = await Promise.all([
    startServer('gateway', env).then((server) => cleanup.use(server)),
    startServer('state', env, ['--port', `${port}`, '--advertise-host', THERE]).then((server) =>
      cleanup.use(server),
    ),
    startServer('ipconf', env).then((server) => cleanup.use(server)),
    startServer('api', env).then((server) => cleanup.use(server)),
  ]);
  const doors = { ipconf: `http://${ipconf.up['http']}`, api: `http://${api.up['http']}` };
  await eventually('a gateway', async () => {
    const { data } = (await (await fetch(`${doors.ipconf}/ip/list`)).json()) as { data?: unknown[] };
    return data?.length === 1;
  });
  await Promise.all(['ann', 'bob'].map((name) => signup(doors, name)));
  await using bob = new Client(doors, 'bob');
  await bob.event('synced');
  {
    await using ann = new Client(doors, 'ann');
    ann.say('/dm bob first');
    await Promise.all([ann.event('sent'), bob.event('message')]);

    // What state says from now on does not arrive.
    proxy.impose({ down: { hold: true } });
    ann.say('the tail');
    const log = new pg.Client(database.url);
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
