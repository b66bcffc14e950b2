import { expect, test } from 'vitest';
import { type AdminHandler, type SessionId, type UserId } from '../../common/mod.ts';
import { encodeRecord, link as wire, LinkKind } from '../../proto/mod.ts';
import { operatorRoutes } from './operator-routes.ts';
import type { FakeWorker } from '../testing/fake-stream.ts';
import { append } from '../testing/drafts.ts';
import { settle, testNode } from '../testing/test-node.ts';
import { eventually } from '../../test/harness/eventually.ts';

const ROOM = 9n;

/** Calls the routes of a node as the admin port does. */
async function operator() {
  const it = await testNode();
  await it.store.createAccount({ id: 1n as UserId, name: 'ann', passwordHash: 'x' });
  const routes = operatorRoutes('state-a', it.node, it.store);
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

test('session: a login is shown with the client software', async () => {
  const { worker, call } = await operator();
  const w = worker();
  w.login({ conn: 1, connection: 9n, user: 1n, userName: 'ann', device: 'phone', client: 'page/1.2' });
  await eventually(async () => {
    const { events } = (await call('GET /session', 'id=ann')) as { events: object[] };
    expect(events).toMatchObject([{ what: 'attached', device: 'phone', detail: 'page/1.2' }]);
  });
});

test('session: a connection replaced by a newer one of the device is shown as such', async () => {
  const { worker, call } = await operator();
  const [a, b] = [worker(), worker()];
  a.attach(1, 1n, { device: 'phone', epoch: 10n });
  b.attach(2, 1n, { device: 'phone', epoch: 11n });
  // Its login was answered first and its ATTACH comes last.
  a.attach(3, 1n, { device: 'phone', epoch: 9n });
  const replaced = { what: 'kicked', detail: 'SESSION_REPLACED', device: 'phone', gateway: 'gw/0' };
  expect(await call('GET /session', 'id=1001')).toMatchObject({
    live: [],
    events: [{ what: 'attached' }, replaced],
  });
  expect(await call('GET /session', 'id=1003')).toMatchObject({
    live: [],
    events: [{ what: 'attached' }, replaced],
  });
  expect(await call('GET /session', 'id=1002')).toMatchObject({
    live: [{ session: '1002' }],
    events: [{ what: 'attached' }],
  });
});

test('session: a live one is found even when its login has been forgotten', async () => {
  const { node, worker, call } = await operator();
  worker().attach(1, 1n, { device: 'phone' });
  const other = { user: 2n as UserId, session: 5n as SessionId, device: '', gateway: '', detail: '' };
  for (let i = 0; i < 20_000; i++) node.sessionLog.add({ ...other, what: 'attached' });
  expect(await call('GET /session', 'id=1001')).toMatchObject({ live: [{ device: 'phone' }], events: [] });
});

/** A worker that answers each question about a message with what `know` makes of it. */
function answering(w: FakeWorker, know: (trace: wire.Trace) => Partial<wire.TraceHop>[]): FakeWorker {
  w.stream.onSend = (record) => {
    if (record[0] !== LinkKind.TRACE) return;
    const trace = wire.Trace.decode(record.subarray(1));
    const hops = know(trace).map((hop) => wire.TraceHop.fromPartial(hop));
    w.records(encodeRecord(LinkKind.TRACED, wire.Traced.encode({ number: trace.number, hops }).finish()));
  };
  return w;
}

test('trace: a push skipped because the worker was slow is shown as such', async () => {
  const { store, worker, call } = await operator();
  await store.addRoom(ROOM, 'room', [1n, 2n]);
  const w = answering(worker(), () => []);
  w.attach(1, 1n);
  w.attach(2, 2n);
  w.send(1, 1, ROOM, 'm1');
  await settle();
  w.stream.queuedBytes = 64 * 1024 * 1024;
  w.send(1, 2, ROOM, 'm2');
  await settle();
  const id = store.log(ROOM)[1]?.id;
  expect(await call('GET /trace', `id=${String(id)}`)).toMatchObject({
    hops: [{ what: 'committed', seq: 2, pushed: 0, skipped: 1 }],
  });
});

test('trace: the commit of a message, its pushes and repetitions, and never its text', async () => {
  const { store, worker, call } = await operator();
  await store.addRoom(ROOM, 'room', [1n, 2n]);
  const w = answering(worker(), () => []);
  w.attach(1, 1n);
  w.attach(2, 2n);
  w.send(1, 1, ROOM, 'm1', 'the secret');
  await settle();
  w.send(1, 2, ROOM, 'm2');
  await settle();
  w.send(1, 3, ROOM, 'm2');
  await settle();
  const messages = store.log(ROOM);
  const of = (index: number) => call('GET /trace', `id=${String(messages[index]?.id)}`);
  expect(await of(0)).toMatchObject({
    hops: [{ where: 'state-a', what: 'committed', seq: 1, sender: '1', batch: 1, pushed: -1 }],
  });
  expect(await of(1)).toMatchObject({
    hops: [
      { what: 'committed', seq: 2, pushed: 1 },
      { what: 'found-committed', seq: 2 },
    ],
  });
  expect(JSON.stringify([await of(0), await of(1)])).not.toContain('secret');
  expect(await call('GET /trace', 'id=77')).toEqual({ message: '77', hops: [], silent: [] });
  await expect(call('GET /trace', 'id=x')).rejects.toMatchObject({ code: 'ARGUMENT_INVALID' });
});

test("trace: the hops of all gateways in order, with the sender's attempts; workers that do not answer are named", async () => {
  const { worker, call } = await operator();
  const sentBy = { conversation: ROOM, sender: 1n, fingerprint: 99 };
  answering(worker(), ({ message, fingerprint }) => {
    if (message === 77n) return [{ what: 'acknowledged', atMs: 30, conn: 4, ref: 2, sockets: 1, ...sentBy }];
    return fingerprint === 99 ? [{ what: 'received', atMs: 10, conn: 4, ref: 2, state: 's:1' }] : [];
  });
  answering(worker(), ({ message, fingerprint }) => {
    if (message === 77n) return [{ what: 'pushed', atMs: 31, sockets: 5, slow: 1, gone: 2 }];
    return fingerprint === 99 ? [{ what: 'refused', atMs: 5, conn: 8, ref: 1, code: 'RESYNC_REQUIRED' }] : [];
  });
  worker();
  const { hops, silent } = (await call('GET /trace', 'id=77')) as { hops: unknown[]; silent: string[] };
  expect(silent).toEqual(['gw/0']);
  expect(hops).toEqual([
    { at: at(5), where: 'gw/0', what: 'refused', connection: 8, ref: 1, code: 'RESYNC_REQUIRED' },
    { at: at(10), where: 'gw/0', what: 'received', connection: 4, ref: 2, to: 's:1' },
    { at: at(30), where: 'gw/0', what: 'acknowledged', connection: 4, ref: 2, sockets: 1, slow: 0, gone: 0 },
    { at: at(31), where: 'gw/0', what: 'pushed', sockets: 5, slow: 1, gone: 2 },
  ]);
});

const at = (ms: number) => new Date(ms).toISOString();

test('evidence: what moderators have retracted, with its texts, and nothing that authors have', async () => {
  const { store, call } = await operator();
  const room = await store.addRoom(ROOM, 'room', [1n, 2n]);
  const bob = 2n as UserId;
  await append(store, room, { sender: bob, text: 'rude', atMs: 1000 });
  await append(store, room, {
    sender: bob,
    text: 'less rude',
    atMs: 2000,
    entry: { kind: 'edit', target: 1 },
  });
  await append(store, room, { sender: bob, text: 'mistake', atMs: 3000 });
  const atMs = Date.now();
  const entry = { kind: 'retract', target: 1, reason: 'rules' } as const;
  await append(store, room, { sender: 1n as UserId, atMs, entry });
  await append(store, room, { sender: bob, atMs, entry: { kind: 'retract', target: 3 } });
  const found = (await call('GET /evidence', `conversation=${room}`)) as { evidence: unknown[] };
  expect(found.evidence).toEqual([
    {
      seq: 1,
      sender: '2',
      at: expect.any(String),
      texts: ['rude', 'less rude'],
      retracted: { seq: 4, by: '1', at: new Date(atMs).toISOString(), reason: 'rules' },
      expires: expect.any(String),
    },
  ]);
  expect(await call('GET /evidence', 'conversation=77')).toEqual({ conversation: '77', evidence: [] });
  await expect(call('GET /evidence', 'conversation=x')).rejects.toMatchObject({ code: 'ARGUMENT_INVALID' });
});
