/** Two nodes that both believe they own a conversation, on a real PostgreSQL: the store makes one order. */
import { expect, test } from 'vitest';
import { silentLogger as logger, Snowflake, type UserId } from '../../common/mod.ts';
import { openHotState } from '../hot/mod.ts';
import { DEFAULT_LIMITS } from '../limits.ts';
import { StateNode } from '../node.ts';
import { scratchPostgres, World } from '../store/scratch.contract.ts';
import { FakeWorker } from '../testing/fake-stream.ts';
import { until } from '../testing/test-node.ts';

const MESSAGES = 300;

test('two nodes commit one conversation at once: contiguous, each message once, each seen by all', async () => {
  await using scratch = await scratchPostgres();
  const [one, two] = [await World.open(scratch), await World.open(scratch)];
  await using hot = await openHotState('memory://', { logger });
  const [ann, bob] = [await one.user(), await one.user()];
  const room = await one.room(ann, bob);
  const makeNode = (world: World, number: number) => {
    const snowflake = new Snowflake(number);
    const ids = { available: true, next: () => snowflake.next() };
    return new StateNode({ store: world.store, hot, ids, limits: DEFAULT_LIMITS, logger });
  };
  const nodes = [makeNode(one, 1), makeNode(two, 2)];
  // Each gateway sends to the node that it takes for the owner; every node knows every connection.
  const workers = nodes.map((node) => [
    new FakeWorker((s) => node.accept(s)),
    new FakeWorker((s) => node.accept(s)),
  ]);
  for (const [a, b] of workers as [FakeWorker, FakeWorker][]) {
    a.attach(1, ann, { name: 'ann', device: 'a', epoch: 1n });
    b.attach(1, bob, { name: 'bob', device: 'b', epoch: 1n });
  }
  const [toOne, toTwo] = [workers[0]?.[0] as FakeWorker, workers[1]?.[1] as FakeWorker];
  for (let n = 1; n <= MESSAGES; n++) {
    toOne.send(1, n, room, `a${n}`);
    toTwo.send(1, n, room, `b${n}`);
    if (n % 10 === 0) await new Promise(setImmediate);
  }
  const seen = new Map<UserId, Map<number, string>>([
    [ann, new Map()],
    [bob, new Map()],
  ]);
  await until(() => {
    for (const [a, b] of workers as [FakeWorker, FakeWorker][])
      for (const [worker, user, letter] of [
        [a, ann, 'a'],
        [b, bob, 'b'],
      ] as const)
        for (const line of worker.lines()) {
          const pushed = /MESSAGE \d+#(\d+) \w+: (\w+)$/.exec(line);
          const sent = /SENT ref=\d+ (\w+) seq=(\d+)$/.exec(line);
          const mine = seen.get(user) as Map<number, string>;
          if (pushed) mine.set(Number(pushed[1]), pushed[2] as string);
          if (sent && (sent[1] as string).startsWith(letter)) mine.set(Number(sent[2]), sent[1] as string);
        }
    return [...seen.values()].every((mine) => mine.size === 2 * MESSAGES);
  });
  const log = await scratch.query(
    `select seq, client_msg_id from messages where conversation = ${room} order by seq`,
  );
  expect(log.map(({ seq }) => Number(seq))).toEqual(Array.from({ length: 2 * MESSAGES }, (_, i) => i + 1));
  const order = new Map(log.map(({ seq, client_msg_id: id }) => [Number(seq), String(id)]));
  for (const mine of seen.values()) expect(mine).toEqual(order);
  for (const letter of ['a', 'b']) {
    const own = [...order.values()].filter((id) => id.startsWith(letter));
    expect(own).toEqual(Array.from({ length: MESSAGES }, (_, i) => `${letter}${i + 1}`));
  }
  for (const node of nodes) node.stop();
  await one.store.close();
  await two.store.close();
});
