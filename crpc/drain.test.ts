/** GOAWAY: a server that drains, and the callers that are connected to it. There is no registry to warn them. */
import { once } from 'node:events';
import { connect } from 'node:http2';
import { afterEach, expect, test } from 'vitest';
import { EchoCluster } from './testing/cluster.ts';
import { Inbox } from './testing/support.ts';

let cluster = new EchoCluster();
afterEach(async () => {
  await cluster[Symbol.asyncDispose]();
  cluster = new EchoCluster();
});

const HELD = 4;
const CALLERS = 8;
const go = { text: 'go', count: 0 };

test('in-flight calls finish, new ones go elsewhere, and none fails, though none may be repeated', async () => {
  const arrived = new Inbox<string>();
  const finish = Promise.withResolvers<void>();
  const a = await cluster.serve('a', {
    unary: async ({ text }) => {
      if (text === 'hold') {
        arrived.push(text);
        await finish.promise;
      }
      return { text, server: 'a' };
    },
  });
  const b = await cluster.serve('b');
  const client = cluster.client(`static:///${a.address},${b.address}`, { retry: false });
  const held: Promise<{ server: string }>[] = [];
  while (arrived.all.length < HELD) {
    const call = client.unary({ text: 'hold', count: 0 });
    const where = await Promise.race([arrived.next().then(() => 'a'), call.then(({ server }) => server)]);
    if (where === 'a') held.push(call);
  }

  // From now on there is always a call that is just being sent.
  const answers: string[] = [];
  let isOver = false;
  const callers = Array.from({ length: CALLERS }, async () => {
    while (!isOver) answers.push((await client.unary(go)).server);
  });
  const drained = a.drain(20_000);
  const isQuiet = (): boolean => answers.length >= 500 && !answers.slice(-300).includes('a');
  while (!isQuiet()) await client.unary(go);
  isOver = true;
  await Promise.all(callers);

  // It takes no new connection, and the calls that it had are still running.
  await expect(cluster.client(a.address, { retry: false }).unary(go)).rejects.toMatchObject({
    code: 'SERVER_UNREACHABLE',
  });
  let isDrained = false;
  void drained.then(() => {
    isDrained = true;
  });
  expect((await client.unary(go)).server).toBe('b');
  expect(isDrained).toBe(false);
  finish.resolve();
  expect((await Promise.all(held)).map(({ server }) => server)).toEqual(Array(HELD).fill('a'));
  await drained;
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
