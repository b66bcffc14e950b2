/** GOAWAY: a server that drains, and the callers that are connected to it. There is no registry to warn them. */
import { once } from 'node:events';
import { connect } from 'node:http2';
import { randomUUID } from 'node:crypto';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { answerPingsOfClosingSessions, silentLogger as logger } from '../../common/mod.ts';
import { openRegistry } from '../registry/registry-url.ts';
import { EchoCluster } from '../testing/cluster.ts';
import { Inbox, endpointOf } from '../testing/support.ts';
import { eventually, within } from '../../test/harness/eventually.ts';
import { TestClock } from '../../test/harness/test-clock.ts';

answerPingsOfClosingSessions(logger);
let clock: TestClock;
let cluster: EchoCluster;
beforeEach(() => {
  clock = new TestClock();
  cluster = new EchoCluster();
});
afterEach(async () => {
  await cluster[Symbol.asyncDispose]();
  clock[Symbol.dispose]();
});

/** Short, so that a call that is held outlives many probes. */
const keepalive = { keepaliveIntervalMs: 20, keepaliveTimeoutMs: 10_000 };
const MANY_PROBES_MS = 1000;
const HELD = 4;
const CALLERS = 8;
const go = { text: 'go', count: 0 };

test('calls in flight finish, new ones go to another endpoint, and none fails, even without retries', async () => {
  const arrived = new Inbox<string>();
  const finish = Promise.withResolvers<void>();
  const a = await cluster.serve(
    'a',
    {
      unary: async ({ text }) => {
        if (text === 'hold') {
          arrived.push(text);
          await finish.promise;
        }
        return { text, server: 'a' };
      },
    },
    keepalive,
  );
  const b = await cluster.serve('b');
  const client = cluster.client(`static:///${a.address},${b.address}`, { retry: false, ...keepalive });
  const held: Promise<{ server: string }>[] = [];
  while (arrived.all.length < HELD) {
    const call = client.unary({ text: 'hold', count: 0 });
    const where = await Promise.race([arrived.next().then(() => 'a'), call.then(({ server }) => server)]);
    if (where === 'a') held.push(call);
  }

  // From now on there is always a call that is just being sent.
  const answers: string[] = [];
  const over = new AbortController();
  const callers = Array.from({ length: CALLERS }, async () => {
    while (!over.signal.aborted) answers.push((await client.unary(go)).server);
  });
  const drained = a.drain(20_000);
  const isQuiet = (): boolean => answers.length >= 500 && !answers.slice(-300).includes('a');
  while (!isQuiet()) await client.unary(go);
  over.abort();
  await Promise.all(callers);

  // It takes no new connection, and the calls that it had are still running.
  await expect(cluster.client(a.address, { retry: false }).unary(go)).rejects.toMatchObject({
    code: 'SERVER_UNREACHABLE',
  });
  let isDrained = false;
  void drained.then(() => {
    isDrained = true;
  });
  await clock.advance(MANY_PROBES_MS);
  expect((await client.unary(go)).server).toBe('b');
  expect(isDrained).toBe(false);
  finish.resolve();
  expect((await Promise.all(held)).map(({ server }) => server)).toEqual(Array(HELD).fill('a'));
  await within('the end of the drain', drained);
});

test('an endpoint that leaves the registry: its running calls finish, however long they take', async () => {
  const registry = cluster.own(openRegistry(`memory://${randomUUID()}`, { logger }));
  const arrived = Promise.withResolvers<void>();
  const finish = Promise.withResolvers<void>();
  const server = await cluster.serve(
    'a',
    {
      unary: async ({ text }) => {
        arrived.resolve();
        await finish.promise;
        return { text, server: 'a' };
      },
    },
    keepalive,
  );
  const registration = await registry.register('echo', endpointOf('a', { address: server.address }));
  const client = cluster.client('memory:///echo', { registry, retry: false, ...keepalive });
  let answer: Promise<{ server: string }> | undefined;
  await eventually(async () => {
    const call = client.unary(go);
    const failed = call.then(
      () => false,
      () => true,
    );
    answer = call;
    // Until the channel has heard of the endpoint, calls fail.
    return !(await Promise.race([failed, arrived.promise.then(() => false)]));
  });
  await registration.deregister();
  // Until it has heard that it is gone, new calls reach it.
  await eventually(() =>
    collect(client.serverStream(go)).then(
      () => false,
      () => true,
    ),
  );
  await clock.advance(MANY_PROBES_MS);
  finish.resolve();
  expect((await answer)?.server).toBe('a');
});

test('what goes over the wire: GOAWAY with NO_ERROR, then the end of the connection', async () => {
  const server = await cluster.serve('a');
  const session = connect(`http://${server.address}`);
  await once(session, 'connect');
  const goaway = once(session, 'goaway');
  const closed = once(session, 'close');
  const drained = server.drain(20_000);
  expect((await goaway)[0]).toBe(0);
  await Promise.all([closed, drained]);
});

async function collect(responses: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of responses);
}
