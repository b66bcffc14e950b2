import { describe, expect, test } from 'vitest';
import { type Cluster, pinned, startCluster } from '../harness/cluster.ts';
import { Client, type Json, type RunningServer, signup } from '../harness/gochat.ts';
import { eventually } from '../harness/eventually.ts';

const SENDERS = ['ann', 'bob'] as const;
const SENDS_EACH = 5000;
/** Others read the newest 1000 entries after an absence. */
const DEVICE = ['--device', 'one'];

/** Both people write 5,000 messages to one room and 10 further rooms hold the rest of the ring busy. */
async function run(cluster: Cluster, victim: RunningServer): Promise<void> {
  const [first, second] = cluster.gateways as [RunningServer, RunningServer];
  await using left = await pinned(cluster, first);
  await using right = await pinned(cluster, second);
  await Promise.all([...SENDERS, 'reader'].map((name) => signup(cluster, name)));
  await using ann = new Client(left, 'ann', undefined, DEVICE);
  await using bob = new Client(right, 'bob', undefined, DEVICE);
  await using reader = new Client(right, 'reader', undefined, DEVICE);
  ann.say('/create hall');
  await ann.event('joined');
  for (const other of [bob, reader]) {
    other.say('/join hall');
    await other.event('joined');
  }

  const clients = { ann, bob };
  for (const name of SENDERS) {
    clients[name].say(...Array.from({ length: SENDS_EACH }, (_, i) => `${name} ${i}`));
    clients[name].end();
  }
  // In the middle of the run, not before and not after it.
  await eventually(
    'a fifth of the sends',
    async () => sentOf(ann).length + sentOf(bob).length > SENDS_EACH / 5,
  );
  expect(sentOf(ann).length).toBeLessThan(SENDS_EACH);
  victim.process.signal('SIGKILL');

  const [annExit, bobExit] = await Promise.all([ann.exit(120_000), bob.exit(120_000)]);
  expect([annExit.code, bobExit.code]).toEqual([0, 0]);
  const total = SENDERS.length * SENDS_EACH;
  await eventually('all messages at the reader', async () => messagesOf(reader).length >= total);

  // What the reader saw: everything once, contiguous, in order, and each sender's own order kept.
  const seen = messagesOf(reader);
  // The entries of the joins come first.
  const begin = Number(seen[0]?.['seq']);
  expect(seen.map((event) => event['seq'])).toEqual(Array.from({ length: total }, (_, i) => begin + i));
  expect(new Set(seen.map((event) => event['text'])).size).toBe(total);
  for (const name of SENDERS) {
    const own = seen.filter((event) => event['from'] === name).map((event) => event['text']);
    expect(own).toEqual(Array.from({ length: SENDS_EACH }, (_, i) => `${name} ${i}`));
  }
  // What was acked is what was seen, under the same seq and id.
  const byId = new Map(seen.map((event) => [event['id'], event]));
  for (const name of SENDERS) {
    const sent = sentOf(clients[name]);
    expect(sent.length).toBe(SENDS_EACH);
    for (const ack of sent) expect(byId.get(ack['id'])?.['seq']).toBe(ack['seq']);
  }
  // What the other sender saw is the same order, without its own.
  for (const [name, other] of [
    ['ann', bob],
    ['bob', ann],
  ] as const) {
    const got = messagesOf(other).filter((event) => event['from'] === name);
    const seqs = got.map((event) => Number(event['seq']));
    expect(seqs).toEqual([...new Set(seqs)].toSorted((a, b) => a - b));
    for (const event of got) expect(byId.get(event['id'])?.['seq']).toBe(event['seq']);
  }
}

function sentOf(client: Client): Json[] {
  return client.events.filter((event) => event['event'] === 'sent');
}

function messagesOf(client: Client): Json[] {
  return client.events.filter((event) => event['event'] === 'message');
}

describe('kill -9 of a state node during 10,000 sends', () => {
  test.each([0, 1])(
    'state node %i: no acknowledged message is lost, none is shown twice, and the order is kept',
    async (index) => {
      await using cluster = await startCluster({ gateways: 2, states: 2 });
      await run(cluster, cluster.states[index] as RunningServer);
    },
    240_000,
  );
});
