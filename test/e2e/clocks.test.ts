import { describe, expect, test } from 'vitest';
import { eventually, freshDatabase, sharedEngines } from '../harness/cluster.ts';
import { FakeClock } from '../harness/fake-clock.ts';
import { Client, type Doors, signup, startServer } from '../harness/gochat.ts';

const SAID = 20;

/** A gateway and two state nodes, one process of which has a clock of its own. */
async function startAll(which: 'gateway' | 'state', clock: FakeClock): Promise<Doors & AsyncDisposable> {
  await using cleanup = new AsyncDisposableStack();
  const engines = sharedEngines();
  const database = cleanup.use(await freshDatabase(engines.postgres));
  const env = {
    GOCHAT_REGISTRY: `${engines.etcd}/clock-${process.pid}-${Math.random().toString(36).slice(2)}`,
    GOCHAT_STORE: database.url,
    GOCHAT_HOT: engines.redis,
    GOCHAT_WORKERS: '1',
    GOCHAT_START_TIMEOUT_MS: '60000',
  };
  const wrong = { ...env, ...clock.env };
  const [, , , ipconf, api] = await Promise.all([
    startServer('gateway', which === 'gateway' ? wrong : env).then((server) => cleanup.use(server)),
    startServer('state', which === 'state' ? wrong : env).then((server) => cleanup.use(server)),
    startServer('state', env).then((server) => cleanup.use(server)),
    startServer('ipconf', env).then((server) => cleanup.use(server)),
    startServer('api', env).then((server) => cleanup.use(server)),
  ]);
  const doors = { ipconf: `http://${ipconf.up['http']}`, api: `http://${api.up['http']}` };
  await eventually('a gateway', async () => {
    const { data } = (await (await fetch(`${doors.ipconf}/ip/list`)).json()) as { data?: unknown[] };
    return data?.length === 1;
  });
  const owned = cleanup.move();
  return { ...doors, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

describe.each(['gateway', 'state'] as const)(
  "a %s's wall clock that jumps a day ahead and a day back",
  (which) => {
    test('connections live, nothing is lost, repeated or out of order, and one can log in when it is right', async () => {
      await using clock = await FakeClock.make();
      await using doors = await startAll(which, clock);
      await Promise.all(['ann', 'bob'].map((name) => signup(doors, name)));
      await using ann = new Client(doors, 'ann');
      await using bob = new Client(doors, 'bob');
      await Promise.all([ann.event('synced'), bob.event('synced')]);
      ann.say('/dm bob 0');
      await bob.event('message');
      bob.say('/dm ann');
      const expected = ['0'];
      for (const offset of ['+0', '+1d', '-1d', '+1d', '+0']) {
        await clock.set(offset);
        // A second conversation, so that both state nodes have work.
        ann.say(`/create room${expected.length}`, `first in the room`, '/dm bob');
        const texts = Array.from({ length: SAID }, (_, i) => `${offset} ${expected.length + i}`);
        ann.say(...texts);
        expected.push(...texts);
        const last = texts.at(-1);
        await bob.event('message', (event) => event['text'] === last);
      }
      expect(bob.texts()).toEqual(expected);
      const seqs = bob.events.filter((event) => event['event'] === 'message').map((event) => event['seq']);
      expect(seqs).toEqual(expected.map((_, i) => i + 1));
      const acks = () => ann.events.filter((event) => event['event'] === 'sent');
      // One more in each room.
      await eventually('an ack for everything', async () => acks().length === expected.length + 5);
      expect(new Set(acks().map((ack) => ack['id'])).size).toBe(acks().length);
      for (const client of [ann, bob])
        expect(client.events.filter((event) => event['event'] === 'disconnected')).toEqual([]);

      await using late = new Client(doors, 'ann');
      await late.event('synced');
    }, 240_000);
  },
);
