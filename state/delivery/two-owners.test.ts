/** Two nodes that both believe they own a conversation, on a real PostgreSQL: the store makes one order. */
import { expect, onTestFinished, test } from 'vitest';
import { type ConversationId, silentLogger as logger, type UserId } from '../../common/mod.ts';
import { openHotState } from '../hot/mod.ts';
import { DEFAULT_LIMITS } from '../limits.ts';
import { StateNode } from '../node.ts';
import { scratchPostgres, World } from '../store/contract/scratch.contract.ts';
import { FakeWorker } from '../testing/fake-stream.ts';
import { TestIds } from '../testing/test-node.ts';
import { eventually } from '../../test/harness/eventually.ts';

const MESSAGES = 300;

/** Two nodes on two stores of one database; each gateway's worker has a stream to each node. */
async function twoNodes() {
  const scratch = await scratchPostgres();
  const [one, two] = [await World.open(scratch), await World.open(scratch)];
  const hot = await openHotState('memory://', { logger });
  const nodes = [one, two].map((world, number) => {
    const ids = new TestIds(number + 1);
    return new StateNode({ store: world.store, hot, ids, limits: DEFAULT_LIMITS, logger });
  });
  const workers = nodes.map((node): [FakeWorker, FakeWorker] => [
    new FakeWorker((s) => node.accept(s)),
    new FakeWorker((s) => node.accept(s)),
  ]);
  onTestFinished(async () => {
    for (const node of nodes) node.stop();
    await one.store.close();
    await two.store.close();
    await hot.close();
    await scratch[Symbol.asyncDispose]();
  });
  return { scratch, one, two, workers };
}

test('two nodes commit to one conversation at once: contiguous, each message once, each seen by all', async () => {
  const { scratch, one, workers } = await twoNodes();
  const [ann, bob] = [await one.user(), await one.user()];
  const room = await one.room(ann, bob);
  // Each gateway sends to the node that it takes for the owner; every node knows every connection.
  for (const [a, b] of workers) {
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
  await eventually(() => {
    for (const [a, b] of workers)
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
    `select seq, client_msg_id from messages where conversation = ${room} and kind = 0 order by seq`,
  );
  const first = Number(log[0]?.['seq']);
  expect(log.map(({ seq }) => Number(seq) - first)).toEqual(
    Array.from({ length: 2 * MESSAGES }, (_, i) => i),
  );
  const order = new Map(log.map(({ seq, client_msg_id: id }) => [Number(seq), String(id)]));
  for (const mine of seen.values()) expect(mine).toEqual(order);
  for (const letter of ['a', 'b']) {
    const own = [...order.values()].filter((id) => id.startsWith(letter));
    expect(own).toEqual(Array.from({ length: MESSAGES }, (_, i) => `${letter}${i + 1}`));
  }
});

test('a user who joins and leaves while two nodes commit: gets the messages in between, and no others from either node', async () => {
  const { one, two, workers, scratch } = await twoNodes();
  const [ann, bob, cid] = [await one.user(), await one.user(), await one.user()];
  const made = await one.store.createRoom(one.conversationId(), one.name(), ann, true);
  const room = made?.id as ConversationId;
  await one.joinRoom(room, bob);
  for (const [a, b] of workers) {
    a.attach(1, ann, { name: 'ann', device: 'a', epoch: 1n });
    a.attach(2, cid, { name: 'cid', device: 'c', epoch: 1n });
    b.attach(1, bob, { name: 'bob', device: 'b', epoch: 1n });
  }
  const [toOne, toTwo] = [workers[0]?.[0] as FakeWorker, workers[1]?.[1] as FakeWorker];
  const seqs = { ann: new Set<number>(), bob: new Set<number>(), cid: new Set<number>() };
  const read = () => {
    for (const [a, b] of workers)
      for (const [worker, first] of [
        [a, seqs.ann],
        [b, seqs.bob],
      ] as const)
        for (const line of worker.lines()) {
          const [, conn, pushed, acked] = /^(\d): (?:MESSAGE \d+#(\d+) |SENT .* seq=(\d+)$)/.exec(line) ?? [];
          if (conn !== undefined) (conn === '2' ? seqs.cid : first).add(Number(pushed ?? acked));
        }
  };
  const spans: { from: number; to: number }[] = [];
  let n = 0;
  const talk = () => {
    n++;
    toOne.send(1, n, room, `a${n}`);
    toTwo.send(1, n, room, `b${n}`);
  };
  for (let turn = 0; turn < 10; turn++) {
    talk();
    const joined = await two.joinRoom(room, cid);
    talk();
    const gone = await one.leaveRoom(room, cid);
    if (typeof gone === 'string') throw new Error(gone);
    spans.push({ from: joined?.visibleAfterSeq ?? -1, to: gone.seq });
  }
  const stays = await two.joinRoom(room, cid);
  spans.push({ from: stays?.visibleAfterSeq ?? -1, to: Number.POSITIVE_INFINITY });
  talk();
  await eventually(() => {
    read();
    // Its last messages come to cid as well: that one stays from then on.
    return seqs.ann.size === 2 * n && seqs.bob.size === 2 * n && seqs.cid.has(Math.max(...seqs.ann));
  });
  const log = await scratch.query(
    `select seq from messages where conversation = ${room} and kind = 0 order by seq`,
  );
  const all = log.map(({ seq }) => Number(seq));
  expect([...seqs.ann].toSorted((x, y) => x - y)).toEqual(all);
  expect([...seqs.bob].toSorted((x, y) => x - y)).toEqual(all);
  for (const seq of seqs.cid) expect(spans.some(({ from, to }) => from < seq && seq <= to)).toBe(true);
});

test('a send that a slow network brings to one node after the other has refused it and its sender is back: is refused', async () => {
  const { one, two, workers } = await twoNodes();
  const [ann, bob] = [await one.user(), await one.user()];
  const room = await one.room(ann, bob);
  for (const [index, worker] of workers.map(([a]) => a).entries())
    worker.attach(index + 1, bob, { name: 'bob', device: 'b', epoch: BigInt(index + 1) });
  const [toOne, toTwo] = workers.map(([a, b], index) => (index === 0 ? a : b)) as [FakeWorker, FakeWorker];
  toOne.attach(5, bob);
  toTwo.attach(5, bob);
  /** Sends, and returns the answer. */
  const answer = async (worker: FakeWorker, ref: number, id: string) => {
    worker.resynced();
    worker.send(5, ref, room, id);
    let lines: string[] = [];
    await eventually(() => {
      lines = lines.concat(worker.lines());
      return lines.some((line) => line.includes(`ref=${ref} `));
    });
    return lines.find((line) => line.includes(`ref=${ref} `));
  };
  expect(await answer(toTwo, 1, 'early')).toBe('5: SENT ref=1 early seq=1');
  await two.leaveRoom(room, bob);
  expect(await answer(toOne, 2, 'early')).toBe('5: SENT ref=2 early seq=1 duplicate');
  // The first copy of this one is still on its way to the other node.
  expect(await answer(toOne, 3, 'late')).toBe('5: NACK ref=3 NOT_A_MEMBER');
  await one.joinRoom(room, bob);
  expect(await answer(toTwo, 4, 'late')).toBe('5: NACK ref=4 NOT_A_MEMBER');
  expect(await answer(toTwo, 5, 'new')).toBe('5: SENT ref=5 new seq=4');
  const page = await one.page(ann, room);
  expect(page?.messages.map(({ seq, clientMsgId }) => [seq, clientMsgId])).toMatchObject([
    [1, 'early'],
    [2, expect.anything()],
    [3, expect.anything()],
    [4, 'new'],
  ]);
});
