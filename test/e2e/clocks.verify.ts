import { describe, expect, test } from 'vitest';
import { type Cluster, startCluster } from '../harness/cluster.ts';
import { FakeClock } from '../harness/fake-clock.ts';
import { Client, signup } from '../harness/gochat.ts';
import { eventually } from '../harness/eventually.ts';

const SAID = 20;

/** A gateway and two state nodes, one process of which has a clock of its own. */
function startAll(which: 'gateway' | 'state', clock: FakeClock): Promise<Cluster> {
  const right = { env: { GOCHAT_WORKERS: '1', GOCHAT_START_TIMEOUT_MS: '60000' } };
  const wrong = { env: { ...right.env, ...clock.env } };
  return startCluster({
    gateways: [which === 'gateway' ? wrong : right],
    states: [which === 'state' ? wrong : right, right],
  });
}

describe.each(['gateway', 'state'] as const)(
  "a %s's wall clock that jumps a day ahead and a day back",
  (which) => {
    test('connections stay, nothing is lost, repeated or out of order, and logins work when the clock is right', async () => {
      await using clock = await FakeClock.make();
      await using urls = await startAll(which, clock);
      await Promise.all(['ann', 'bob'].map((name) => signup(urls, name)));
      await using ann = new Client(urls, 'ann');
      await using bob = new Client(urls, 'bob');
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

      await using late = new Client(urls, 'ann');
      await late.event('synced');
    }, 240_000);
  },
);
