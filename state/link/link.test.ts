import { describe, expect, test, vi } from 'vitest';
import { GochatError } from '../../common/mod.ts';
import { SendResult } from '../../crpc/mod.ts';
import {
  client,
  encodeFrame,
  encodeFrameHead,
  encodeRecord,
  FrameType,
  link,
  LinkKind,
} from '../../proto/mod.ts';
import { FakeStream, FakeWorker, sendFrame } from '../testing/fake-stream.ts';
import type { TestStore } from '../testing/test-store.ts';
import { settle, testNode } from '../testing/test-node.ts';
import { eventually } from '../../test/harness/eventually.ts';

const ROOM = 7n;

function loginResult(records: readonly Uint8Array[]): link.LoginResult {
  const record = records.find((candidate) => candidate[0] === LinkKind.LOGIN_RESULT);
  if (record === undefined) throw new Error('there is no LOGIN_RESULT');
  return link.LoginResult.decode(record.subarray(1));
}

/** Waits until the connections of a worker have got so many frames, and says which. */
async function gather(w: FakeWorker, count: number): Promise<string[]> {
  const lines: string[] = [];
  await eventually(() => {
    lines.push(...w.lines());
    return lines.length >= count;
  });
  return lines;
}

describe('link: attach and detach', () => {
  test('ATTACH records of one batch: are answered with one ATTACHED', async () => {
    const { worker } = await testNode();
    const w = worker();
    const attach = (conn: number) =>
      encodeRecord(
        LinkKind.ATTACH,
        link.Attach.encode(link.Attach.fromPartial({ conn, user: 1n, unnamedDevice: true })).finish(),
      );
    w.records(attach(1), attach(2), attach(3));
    expect(w.lines()).toEqual(['attached 1,2,3']);
  });

  test('the same device on another worker: the older one is kicked, in either order of arrival', async () => {
    const { worker } = await testNode();
    const [a, b] = [worker(), worker()];
    a.attach(1, 5n, { device: 'phone', epoch: 10n });
    b.attach(1, 5n, { device: 'phone', epoch: 11n });
    expect(a.lines()).toEqual(['attached 1', 'kick 1 SESSION_REPLACED']);
    a.attach(2, 5n, { device: 'phone', epoch: 9n });
    expect(a.lines()).toEqual(['kick 2 SESSION_REPLACED', 'attached 2']);
    expect(b.lines()).toEqual(['attached 1']);
  });

  test('the end of a stream: its connections are removed', async () => {
    const { node, store, worker } = await testNode();
    await store.addRoom(ROOM, 'room', [1n, 2n]);
    const [a, b] = [worker(), worker()];
    a.attach(1, 1n);
    b.attach(1, 2n);
    b.end('lost');
    expect(node.locations.size).toBe(1);
    a.take();
    b.take();
    a.send(1, 1, ROOM, 'm1');
    await settle();
    expect(a.lines()).toEqual(['1: SENT ref=1 m1 seq=1']);
    expect(b.lines()).toEqual([]);
  });

  test('a frame from a connection that is not attached: the connection is closed as retryable', async () => {
    const { worker } = await testNode();
    const w = worker();
    w.send(9, 1, ROOM, 'm1');
    expect(w.lines()).toEqual(['kick 9 STATE_UNAVAILABLE']);
  });
});

describe('link: login', () => {
  test('LOGIN: claims the session; a later login of the device has a greater epoch', async () => {
    const { worker } = await testNode();
    const w = worker();
    w.login({ conn: 1, connection: 100n, user: 5n, userName: 'ann', device: 'phone' });
    await settle();
    const first = loginResult(w.take());
    expect(first).toMatchObject({ conn: 1, errorCode: '', resumed: false });
    w.login({
      conn: 2,
      connection: 101n,
      user: 5n,
      userName: 'ann',
      device: 'phone',
      resumeSession: first.session,
    });
    await settle();
    const second = loginResult(w.take());
    expect(second).toMatchObject({ conn: 2, errorCode: '', resumed: true, session: first.session });
    expect(second.epoch > first.epoch).toBe(true);
  });

  test('DETACH of a connection that was logged in here: releases, and the session can be resumed', async () => {
    const { worker, hot } = await testNode();
    const w = worker();
    w.login({ conn: 1, connection: 100n, user: 5n, userName: 'ann', device: 'phone' });
    await settle();
    const { epoch, session } = loginResult(w.take());
    expect((await hot.holder(5n as never, 'phone'))?.epoch).toBe(epoch);
    w.detach(1);
    await settle();
    expect(await hot.holder(5n as never, 'phone')).toBeUndefined();
    w.login({
      conn: 2,
      connection: 101n,
      user: 5n,
      userName: 'ann',
      device: 'phone',
      resumeSession: session,
    });
    await settle();
    expect(loginResult(w.take())).toMatchObject({ resumed: true, session });
  });

  test('a granted LOGIN: the connection is in the location map before the worker gets the answer', async () => {
    const { node, store, worker } = await testNode();
    await store.addRoom(ROOM, 'room', [5n, 6n]);
    const w = worker();
    w.attach(1, 6n);
    w.login({ conn: 2, connection: 100n, user: 5n, userName: 'ann', device: 'phone', token: 9n });
    await settle();
    expect(w.lines()).toEqual(['attached 1', 'login 2 ok']);
    expect(node.locations.connectionsOf(5n as never)).toMatchObject([
      { conn: 2, device: 'phone', token: 9n },
    ]);
    w.send(1, 1, ROOM, 'm1');
    await settle();
    expect(w.lines()).toContainEqual(expect.stringMatching(/^2: MESSAGE/));
  });

  test.each(['the client', 'the stream'])(
    '%s closes while its session is claimed: released, and not attached',
    async (who) => {
      const { node, worker, hot } = await testNode();
      const { promise, resolve: claimed } = Promise.withResolvers<void>();
      const claim = hot.claim.bind(hot);
      hot.claim = async (...args) => {
        const result = await claim(...args);
        await promise;
        return result;
      };
      const w = worker();
      w.login({ conn: 1, connection: 100n, user: 5n, userName: 'ann', device: 'phone' });
      await settle();
      expect(await hot.holder(5n as never, 'phone')).toBeDefined();
      if (who === 'the client') w.detach(1);
      else w.end('lost');
      claimed();
      await settle();
      expect(w.lines()).toEqual([]);
      expect(node.locations.size).toBe(0);
      expect(await hot.holder(5n as never, 'phone')).toBeUndefined();
    },
  );

  test('hot state down: HOT_UNAVAILABLE with a retry hint, and the next login works', async () => {
    const { worker, hot } = await testNode();
    const claim = hot.claim.bind(hot);
    hot.claim = () => Promise.reject(new GochatError('HOT_UNAVAILABLE'));
    const w = worker();
    w.login({ conn: 1, connection: 100n, user: 5n, userName: 'ann', device: 'phone' });
    await settle();
    const result = loginResult(w.take());
    expect(result.errorCode).toBe('HOT_UNAVAILABLE');
    expect(result.retryAfterMs).toBeGreaterThan(0);
    hot.claim = claim;
    w.login({ conn: 1, connection: 100n, user: 5n, userName: 'ann', device: 'phone' });
    await settle();
    expect(w.lines()).toEqual(['login 1 ok']);
  });

  test('more claims in flight than allowed: OVERLOADED', async () => {
    const { worker, hot } = await testNode({ logins: 1 });
    let finish: (() => void) | undefined;
    const claim = hot.claim.bind(hot);
    hot.claim = async (...args) => {
      await new Promise<void>((resolve) => {
        finish = resolve;
      });
      return claim(...args);
    };
    const w = worker();
    w.login({ conn: 1, connection: 100n, user: 5n, device: 'phone' });
    w.login({ conn: 2, connection: 101n, user: 6n, device: 'phone' });
    await settle();
    expect(w.lines()).toEqual(['login 2 OVERLOADED']);
    finish?.();
    await settle();
    expect(w.lines()).toEqual(['login 1 ok']);
  });
});

describe('link: bad input from clients', () => {
  test('frames that do not parse, unknown types: NACK with the ref, and the connection stays', async () => {
    const { store, worker } = await testNode();
    await store.addRoom(ROOM, 'room', [1n]);
    const w = worker();
    w.attach(1, 1n);
    w.take();
    const garbage = Uint8Array.of(0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f);
    w.frames(
      [1, encodeFrame(FrameType.SEND, 1, ROOM, garbage)],
      [1, encodeFrame(FrameType.REQUEST, 2, 0n, garbage)],
      [1, encodeFrame(FrameType.RECEIPTS, 3, 0n, garbage)],
      [1, encodeFrame(99 as never, 4, 0n)],
      [1, encodeFrame(FrameType.MESSAGE, 5, 0n)],
      [1, encodeFrame(FrameType.REQUEST, 6, 0n)],
    );
    w.send(1, 7, ROOM, 'm1');
    expect((await gather(w, 7)).toSorted()).toEqual([
      '1: NACK ref=1 FRAME_INVALID',
      '1: NACK ref=2 FRAME_INVALID',
      '1: NACK ref=3 FRAME_INVALID',
      '1: NACK ref=4 FRAME_UNKNOWN',
      '1: NACK ref=5 FRAME_UNKNOWN',
      '1: NACK ref=6 ARGUMENT_INVALID',
      '1: SENT ref=7 m1 seq=1',
    ]);
  });

  test("SEND out of bounds: refused with its own code and the message's id, and does not reach the store", async () => {
    const { store, worker } = await testNode({ textBytes: 10 });
    await store.addRoom(ROOM, 'room', [1n]);
    const w = worker();
    w.attach(1, 1n);
    w.take();
    w.send(1, 1, ROOM, 'm1', '');
    w.send(1, 2, ROOM, 'm2', 'ééééééé');
    w.send(1, 3, ROOM, '', 'text');
    w.send(1, 4, ROOM, 'x'.repeat(65), 'text');
    w.send(1, 5, ROOM, 'm5', 'a\0b');
    w.send(1, 6, 0n, 'm6', 'text');
    w.send(1, 7, (1n << 63n) + 5n, 'm7', 'text');
    const badUtf8 = Uint8Array.of(0x0a, 1, 0x61, 0x12, 2, 0xc3, 0x28);
    w.frames([1, encodeFrame(FrameType.SEND, 8, ROOM, badUtf8)]);
    await settle();
    const nacks = w.delivered().map(({ ref, payload }) => ({ ref, nack: client.Nack.decode(payload) }));
    expect(nacks.map(({ ref, nack }) => `${ref} ${nack.code} ${nack.clientMsgId}`)).toEqual([
      '1 TEXT_EMPTY m1',
      '2 TEXT_TOO_LONG m2',
      '3 CLIENT_MSG_ID_INVALID ',
      '4 CLIENT_MSG_ID_INVALID ',
      '5 ARGUMENT_INVALID m5',
      '6 NOT_A_MEMBER m6',
      '7 NOT_A_MEMBER m7',
      '8 FRAME_INVALID a',
    ]);
    expect(nacks[1]?.nack.message).toContain('10 bytes');
    expect(store.batches).toEqual([]);
  });

  test('U+FFFD that the client sent itself: is a text like any other', async () => {
    const { store, worker } = await testNode();
    await store.addRoom(ROOM, 'room', [1n]);
    const w = worker();
    w.attach(1, 1n);
    w.send(1, 1, ROOM, 'm1', 'a\ufffdb');
    await settle();
    expect(store.log(ROOM)[0]?.text).toBe('a\ufffdb');
  });

  test('too many requests in flight of one connection: OVERLOADED; others go on', async () => {
    const { node, store, worker } = await testNode({ requestsPerConnection: 2 });
    const w = worker();
    w.attach(1, 1n);
    w.attach(2, 2n);
    w.take();
    for (let ref = 1; ref <= 3; ref++)
      w.request(1, ref, 0n, { $case: 'listConversations', listConversations: { after: '', limit: 0 } });
    w.request(2, 9, 0n, { $case: 'listConversations', listConversations: { after: '', limit: 0 } });
    expect((await gather(w, 4)).toSorted()).toEqual([
      '1: NACK ref=3 OVERLOADED',
      '1: RESPONSE ref=1 conversations',
      '1: RESPONSE ref=2 conversations',
      '2: RESPONSE ref=9 conversations',
    ]);
    expect(store.calls.get('conversationsOf')).toBe(3);
    await node.drain();
    w.request(1, 4, 0n, { $case: 'listConversations', listConversations: { after: '', limit: 0 } });
    expect(w.lines()).toEqual(['1: NACK ref=4 STATE_UNAVAILABLE']);
  });
});

describe('link: many requests', () => {
  const listing = { $case: 'listConversations' as const, listConversations: { after: '', limit: 0 } };

  test('one user floods with large requests: it is told RATE_LIMITED and when to come back, others are served', async () => {
    const { store, worker } = await testNode({ requestBytesPerUser: 128 * 1024 });
    const w = worker();
    for (let conn = 1; conn <= 5; conn++) w.attach(conn, 1n);
    w.attach(9, 2n);
    w.take();
    const { promise: never } = Promise.withResolvers<never>();
    const sync = store.sync.bind(store);
    const asked = vi
      .spyOn(store, 'sync')
      .mockImplementation((request) => (request.user === 1n ? never : sync(request)));
    const cursors = Array.from({ length: 1000 }, (_, n) => ({ conversation: BigInt(n + 1) << 40n, seq: 1n }));
    const large = {
      $case: 'sync' as const,
      sync: { cursors, limit: 0, pushed: [], after: 0n, until: 0n, newest: 0 },
    };
    for (let ref = 1; ref <= 20; ref++) w.request((ref % 5) + 1, ref, 0n, large);
    w.request(9, 1, 0n, {
      $case: 'sync',
      sync: { cursors: [], limit: 0, pushed: [], after: 0n, until: 0n, newest: 0 },
    });
    await settle();
    const frames = w.delivered();
    const nacks = frames.flatMap(({ type, payload }) =>
      type === FrameType.NACK ? [client.Nack.decode(payload)] : [],
    );
    expect(nacks.length).toBeGreaterThan(5);
    for (const nack of nacks) expect(nack).toMatchObject({ code: 'RATE_LIMITED', retryable: true });
    expect(nacks.every(({ retryAfterMs }) => retryAfterMs > 0)).toBe(true);
    expect(frames.filter(({ type }) => type === FrameType.RESPONSE)).toMatchObject([{ conn: 9, ref: 1 }]);
    expect(asked).toHaveBeenCalledTimes(2);
  });

  /** Holds what is asked of the store until `release`; `asked` counts it. */
  function hold(store: TestStore) {
    const { promise, resolve: release } = Promise.withResolvers<void>();
    const list = store.conversationsOf.bind(store);
    const asked = vi.spyOn(store, 'conversationsOf').mockImplementation(async (...of) => {
      await promise;
      return list(...of);
    });
    return { asked, release };
  }

  test('6 run, the others wait; requests of ended connections are skipped', async () => {
    const { store, worker } = await testNode();
    const w = worker();
    for (let conn = 1; conn <= 20; conn++) w.attach(conn, BigInt(conn));
    w.take();
    const { asked, release } = hold(store);
    for (let conn = 1; conn <= 20; conn++) w.request(conn, conn, 0n, listing);
    await settle();
    expect(asked).toHaveBeenCalledTimes(6);
    w.detach(18);
    release();
    const lines = await gather(w, 19);
    expect(asked).toHaveBeenCalledTimes(19);
    const answered = [...Array(20).keys()].map((i) => i + 1).filter((conn) => conn !== 18);
    const expected = answered.map((conn) => `${conn}: RESPONSE ref=${conn} conversations`);
    expect(lines.toSorted()).toEqual(expected.toSorted());
  });

  test('the worker is lost: what waits is dropped, even if another stream has its number', async () => {
    const { store, worker } = await testNode();
    const w = worker();
    for (let conn = 1; conn <= 20; conn++) w.attach(conn, BigInt(conn));
    const { asked, release } = hold(store);
    for (let conn = 1; conn <= 20; conn++) w.request(conn, conn, 0n, listing);
    await settle();
    w.end('lost');
    const other = worker();
    for (let conn = 1; conn <= 20; conn++) other.attach(conn, BigInt(conn));
    other.take();
    release();
    await settle();
    expect(asked).toHaveBeenCalledTimes(6);
    expect(other.lines()).toEqual([]);
  });

  test('more bytes than may wait: OVERLOADED', async () => {
    const { store, worker } = await testNode({ requestBytes: 60 });
    const w = worker();
    w.attach(1, 1n);
    w.take();
    const { release } = hold(store);
    for (let ref = 1; ref <= 4; ref++) w.request(1, ref, 0n, listing);
    expect(w.lines()).toEqual(['1: NACK ref=4 OVERLOADED']);
    release();
    await gather(w, 3);
    w.request(1, 5, 0n, listing);
    expect(await gather(w, 1)).toEqual(['1: RESPONSE ref=5 conversations']);
  });
});

describe('link: faults of the worker', () => {
  test.each([
    ['a frame before OPEN', Uint8Array.from([...encodeFrameHead(1, 0), ...sendFrame(1, 1n, 'm', 'm')])],
    ['READY before OPEN', Uint8Array.of(LinkKind.READY)],
    ['an unknown kind', Uint8Array.of(200)],
    ['an empty record', new Uint8Array(0)],
  ])('%s: the stream is ended', async (_, record) => {
    const { node } = await testNode();
    const stream = new FakeStream();
    node.accept(stream).onRecords([record]);
    expect(stream.isClosed).toBe(true);
  });

  test('records that do not parse after OPEN: the stream is ended and its connections are removed', async () => {
    for (const record of [
      Uint8Array.of(LinkKind.ATTACH, 0xff),
      Uint8Array.of(LinkKind.DETACH, 1),
      Uint8Array.of(LinkKind.FRAME, 0, 0, 0, 1),
      Uint8Array.of(LinkKind.OPEN),
    ]) {
      const { node, worker } = await testNode();
      const w = worker();
      w.attach(1, 1n);
      w.records(record);
      expect(w.stream.isClosed).toBe(true);
      expect(node.locations.size).toBe(0);
    }
  });

  test('a stream that does not accept an answer: is ended, because the worker then resynchronises all', async () => {
    const { node, store, worker } = await testNode();
    await store.addRoom(ROOM, 'room', [1n]);
    const w = worker();
    w.attach(1, 1n);
    w.stream.result = SendResult.CLOSED;
    w.send(1, 1, ROOM, 'm1');
    await eventually(() => w.stream.isClosed);
    expect(node.locations.size).toBe(0);
    w.end('closed');
    expect(node.locations.size).toBe(0);
  });

  test('after stop: no further stream is accepted', async () => {
    const { node, worker } = await testNode();
    const w = worker();
    node.stop();
    expect(w.stream.isClosed).toBe(true);
    expect(() => new FakeWorker((stream) => node.accept(stream))).toThrow(GochatError);
  });
});
