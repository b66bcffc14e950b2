import { expect, test } from 'vitest';
import { type AdminHandler, Snowflake, type UserId } from '../common/mod.ts';
import { operatorRoutes } from './operator-routes.ts';
import { settle, testNode } from './testing/test-node.ts';

const ROOM = 9n;

/** Calls the routes of a node as the admin port does. */
async function operator() {
  const it = await testNode();
  const snowflake = new Snowflake(2);
  await it.store.createAccount({ id: 1n as UserId, name: 'ann', passwordHash: 'x' });
  const routes = operatorRoutes(it.node, it.store, { available: true, next: () => snowflake.next() });
  const call = async (route: keyof typeof routes, query: string) => {
    let answer: unknown;
    const response = {
      writeHead: () => response,
      end: (text: string) => {
        answer = JSON.parse(text);
      },
    };
    const handler = routes[route] as AdminHandler;
    await handler({} as never, response as never, new URL(`http://admin/?${query}`));
    return answer;
  };
  return { ...it, call };
}

test('kick: by name, all devices or one, and with --revoke the tokens as well', async () => {
  const { node, worker, call } = await operator();
  const w = worker();
  w.attach(1, 1n, { device: 'phone', epoch: 1n, token: 5n });
  w.attach(2, 1n, { device: 'tv', epoch: 1n, token: 5n });
  expect(await call('POST /kick', 'user=ann&device=tv')).toEqual({
    user: '1',
    connections: 1,
    revoked: false,
  });
  expect(node.evictions.refusal(1n as UserId, 5n)).toBeUndefined();
  expect(await call('POST /kick', 'user=1&revoke=true&reason=spam')).toMatchObject({ connections: 1 });
  expect(node.evictions.refusal(1n as UserId, 5n)).toBe('TOKEN_REVOKED');
  expect(w.lines().filter((line) => line.startsWith('kick'))).toEqual(['kick 2 KICKED', 'kick 1 KICKED']);
  await expect(call('POST /kick', 'user=nobody')).rejects.toMatchObject({ code: 'USER_NOT_FOUND' });
  await expect(call('POST /kick', '')).rejects.toMatchObject({ code: 'ARGUMENT_INVALID' });
});

test('session: live connections and what happened, by user or session', async () => {
  const { worker, call } = await operator();
  const w = worker();
  w.attach(1, 1n, { device: 'phone' });
  w.attach(2, 1n, { device: 'tv' });
  w.detach(2, false);
  const of = (id: string) =>
    call('GET /session', `id=${id}`) as Promise<{ live: unknown[]; events: { what: string }[] }>;
  const user = await of('ann');
  expect(user.live).toMatchObject([{ device: 'phone', session: '1001', gateway: 'gw/0' }]);
  expect(user.events.map(({ what }) => what)).toEqual(['attached', 'attached', 'dropped']);
  expect((await of('1002')).events.map(({ what }) => what)).toEqual(['attached', 'dropped']);
});

test('trace: the commit of a message, its pushes and repetitions, and never its text', async () => {
  const { store, worker, call } = await operator();
  store.addRoom(ROOM, 'room', [1n, 2n]);
  const w = worker();
  w.attach(1, 1n);
  w.attach(2, 2n);
  w.send(1, 1, ROOM, 'm1', 'the secret');
  await settle();
  w.send(1, 2, ROOM, 'm2');
  await settle();
  w.send(1, 3, ROOM, 'm2');
  await settle();
  const messages = store.rooms.get(ROOM as never)?.messages ?? [];
  const of = (index: number) => call('GET /trace', `id=${String(messages[index]?.id)}`);
  expect(await of(0)).toMatchObject({
    hops: [{ seq: 1, sender: '1', batch: 1, duplicate: false, pushed: -1 }],
  });
  expect(await of(1)).toMatchObject({
    hops: [
      { seq: 2, pushed: 1 },
      { seq: 2, duplicate: true },
    ],
  });
  expect(JSON.stringify([await of(0), await of(1)])).not.toContain('secret');
  expect(await call('GET /trace', 'id=77')).toEqual({ hops: [] });
  await expect(call('GET /trace', 'id=x')).rejects.toMatchObject({ code: 'ARGUMENT_INVALID' });
});
