import { PassThrough } from 'node:stream';
import { beforeEach, describe, expect, test } from 'vitest';
import { SendResult } from '../../crpc/mod.ts';
import {
  encodeConns,
  encodeDeliverHead,
  encodeFrame,
  encodePublishHead,
  encodeRecord,
  FrameType,
  link as wire,
  LinkKind,
  MAX_TOPICS,
  NO_CONNECTION,
} from '../../proto/mod.ts';
import { Connection, Phase } from '../connections/connection.ts';
import { FakeLinks, topicRecord } from '../testing/test-link.ts';
import { fakeTransport } from '../testing/test-transport.ts';
import { StateLink } from './state-link.ts';
import { Uplink } from './uplink.ts';

const A = { id: 'a', address: 'host-a:1', maxTextBytes: 20_000 };
const B = { id: 'b', address: 'host-b:1', maxTextBytes: 10_000 };

function publish(topic: number): Uint8Array {
  return encodePublishHead(topic, NO_CONNECTION);
}

describe('Uplink', () => {
  let links: FakeLinks;
  let connections: Connection[];
  let told: unknown[][];
  let uplink: Uplink;

  beforeEach(() => {
    links = new FakeLinks();
    connections = [];
    told = [];
    const tell =
      (name: string) =>
      (...rest: unknown[]) =>
        void told.push([name, ...rest]);
    uplink = new Uplink(7, {
      gatewayName: 'gw',
      worker: 3,
      open: links.open,
      events: {
        connections: () => connections,
        onRouteChange: tell('route'),
        onLinkEnded: ({ node }) => told.push(['ended', node.id]),
        onAttached: ({ node }, conn) => told.push(['attached', node.id, conn]),
        onAttachedLate: tell('late'),
        onSilent: tell('silent'),
        onLoginResult: tell('login'),
        onDeliver: (records, from, named) => told.push(['deliver', records[from], named]) && 1,
        onWatching: tell('watching'),
        onWatchResult: tell('watched'),
        onKick: tell('kick'),
        onFence: tell('fence'),
        onTrace: ({ message }) => [wire.TraceHop.fromPartial({ what: `of ${message}` })],
        onUncongested: tell('uncongested'),
        onMalformed: ({ node }) => told.push(['malformed', node.id]),
      },
    });
  });

  function live(conn: number, user = 1n): Connection {
    const connection = new Connection(conn, fakeTransport, new PassThrough(), {});
    Object.assign(connection, {
      phase: Phase.LIVE,
      user,
      userName: 'u',
      device: 'd',
      session: 5n,
      epoch: 6n,
      token: 7n,
    });
    connections.push(connection);
    return connection;
  }

  function frame(key: bigint): Uint8Array {
    return encodeFrame(FrameType.SEND, 1, key, new Uint8Array(3));
  }

  function openAll(...nodes: (typeof A)[]): void {
    uplink.setNodes(nodes);
    for (const node of nodes) links.get(node.address).open();
    told.length = 0;
  }

  function count(name: string): number {
    return told.filter(([what]) => what === name).length;
  }

  test('a stream that opens with no connections: OPEN, READY, and it takes frames', () => {
    uplink.setNodes([A]);
    expect(uplink.readyLinks).toBe(0);
    const link = links.get(A.address);
    link.open();
    expect(link.kinds).toEqual([LinkKind.OPEN, LinkKind.READY]);
    const open = wire.Open.decode(link.bodies(LinkKind.OPEN)[0] as Uint8Array);
    expect(open).toEqual({ gateway: 7, gatewayName: 'gw', worker: 3 });
    expect(uplink.readyLinks).toBe(1);
    expect(told).toEqual([['route']]);
  });

  test('a snapshot: the node gets frames only when it has confirmed every connection', () => {
    live(1);
    live(2);
    uplink.setNodes([A]);
    const link = links.get(A.address);
    link.open();
    expect(link.kinds).toEqual([LinkKind.OPEN, LinkKind.ATTACH, LinkKind.ATTACH, LinkKind.READY]);
    expect(wire.Attach.decode(link.bodies(LinkKind.ATTACH)[0] as Uint8Array)).toEqual({
      conn: 1,
      user: 1n,
      userName: 'u',
      device: 'd',
      session: 5n,
      epoch: 6n,
      token: 7n,
      unnamedDevice: false,
    });
    expect(uplink.forward(connections[0] as Connection, frame(1n))).toBe('STATE_UNAVAILABLE');
    link.receive(encodeConns(LinkKind.ATTACHED, [1]));
    expect(uplink.readyLinks).toBe(0);
    link.receive(encodeConns(LinkKind.ATTACHED, [2]));
    expect(uplink.readyLinks).toBe(1);
    expect(count('route')).toBe(1);
  });

  test('a connection that closes during the snapshot: is not waited for', () => {
    const gone = live(1);
    uplink.setNodes([A]);
    const link = links.get(A.address);
    link.open();
    gone.phase = Phase.CLOSED;
    uplink.detach(1, true);
    expect(link.detached).toEqual([1]);
    expect(uplink.readyLinks).toBe(1);
  });

  test('a snapshot larger than the queue: goes on with each drain, READY last', () => {
    for (let conn = 1; conn <= 5; conn++) live(conn);
    uplink.setNodes([A]);
    const link = links.get(A.address);
    link.room = 3;
    link.result = SendResult.CLOSED;
    link.open();
    expect(link.attached).toEqual([1, 2]);
    const late = live(6);
    expect(uplink.attach(late, undefined)).toHaveLength(1);
    (connections[2] as Connection).phase = Phase.CLOSING;
    uplink.detach(3, true);
    link.drain();
    expect(link.attached).toEqual([1, 2, 4, 5, 6]);
    expect(link.kinds.filter((kind) => kind === LinkKind.READY)).toHaveLength(1);
    link.attachAll();
    expect(uplink.readyLinks).toBe(1);
  });

  test('frames: the same key always goes to the same node, and both nodes are used', () => {
    openAll(A, B);
    const connection = live(9);
    const before = [A, B].map(({ address }) => links.get(address).sent.length);
    for (let round = 0; round < 2; round++)
      for (let key = 1n; key <= 64n; key++)
        expect(uplink.forward(connection, frame(key))).toBeInstanceOf(StateLink);
    const [a, b] = [A, B].map(({ address }, i) => links.get(address).sent.slice(before[i]).map(String)) as [
      string[],
      string[],
    ];
    expect(a.length + b.length).toBe(128);
    expect(Math.min(a.length, b.length)).toBeGreaterThan(20);
    expect(a.filter((record) => b.includes(record))).toEqual([]);
  });

  test('a FRAME record: the connection, its round and the frame as it came', () => {
    openAll(A);
    const connection = live(0x01020304);
    connection.round = 5;
    uplink.forward(connection, frame(77n));
    const [body] = links.get(A.address).bodies(LinkKind.FRAME);
    expect(Buffer.from(body as Uint8Array)).toEqual(
      Buffer.concat([Buffer.from([1, 2, 3, 4, 0, 0, 0, 5]), frame(77n)]),
    );
  });

  test('a frame without a key: goes to the node of the user, as the login does', () => {
    openAll(A, B);
    for (let user = 1n; user < 20n; user++) {
      const connection = live(Number(user), user);
      uplink.forward(connection, frame(0n));
      const home = uplink.login(wire.Login.fromPartial({ conn: Number(user), user }));
      const last = links.get(home?.node.address ?? '').sent.slice(-2);
      expect(last.map((record) => record[0])).toEqual([LinkKind.FRAME, LinkKind.LOGIN]);
    }
  });

  test('a stream that ends: its keys move to the other node, and the change is announced', () => {
    openAll(A, B);
    links.get(A.address).end();
    expect(told).toEqual([['ended', 'a'], ['route']]);
    const connection = live(1);
    for (let key = 1n; key < 20n; key++)
      expect(uplink.forward(connection, frame(key))).toBeInstanceOf(StateLink);
    expect(links.get(B.address).bodies(LinkKind.FRAME)).toHaveLength(19);
    links.get(B.address).end();
    expect(uplink.forward(connection, frame(1n))).toBe('STATE_UNAVAILABLE');
    expect(uplink.login(wire.Login.fromPartial({ user: 1n }))).toBeUndefined();
  });

  test('a stream that opens again: the snapshot has the connections of that moment', () => {
    openAll(A);
    const link = links.get(A.address);
    link.end();
    live(5);
    link.open();
    expect(link.attached).toEqual([5]);
  });

  test('a node that has left the registry: is used until its stream ends', () => {
    openAll(A, B);
    uplink.setNodes([B]);
    expect(uplink.readyLinks).toBe(2);
    expect(told).toEqual([]);
    links.get(A.address).end('peer-draining');
    expect(links.get(A.address).closed).toBe(true);
    expect(uplink.readyLinks).toBe(1);
    expect(count('route')).toBe(1);
  });

  test('the longest text: what all nodes accept', () => {
    uplink.setNodes([A]);
    expect(uplink.maxTextBytes).toBe(20_000);
    uplink.setNodes([A, B]);
    expect(uplink.maxTextBytes).toBe(10_000);
  });

  test('a node that leaves the registry while unreachable: its pushes may be lost', () => {
    openAll(B);
    uplink.setNodes([A, B]);
    uplink.setNodes([B]);
    expect(links.get(A.address).closed).toBe(true);
    expect(count('route')).toBe(1);
  });

  test('a node that another process replaces at its address: nothing can be lost', () => {
    openAll(B);
    uplink.setNodes([A, B]);
    uplink.setNodes([{ ...A, id: 'a2' }, B]);
    expect(count('route')).toBe(0);
  });

  test('backpressure: congested until every node that takes frames has drained', () => {
    openAll(A, B);
    const connection = live(1);
    for (const { address } of [A, B]) links.get(address).result = SendResult.BACKPRESSURE;
    for (let key = 1n; key < 20n; key++)
      expect(uplink.forward(connection, frame(key))).toBeInstanceOf(StateLink);
    expect(uplink.congested).toBe(true);
    links.get(A.address).drain();
    expect(uplink.congested).toBe(true);
    links.get(B.address).drain();
    expect(uplink.congested).toBe(false);
    expect(count('uncongested')).toBe(1);
  });

  test('a full queue: OVERLOADED, and it counts as congestion', () => {
    openAll(A);
    links.get(A.address).result = SendResult.CLOSED;
    expect(uplink.forward(live(1), frame(1n))).toBe('OVERLOADED');
    expect(uplink.congested).toBe(true);
  });

  test('a congested stream that ends: no longer counts as congestion', () => {
    openAll(A, B);
    const connection = live(1);
    links.get(A.address).result = SendResult.BACKPRESSURE;
    for (let key = 1n; key < 20n; key++) uplink.forward(connection, frame(key));
    expect(uplink.congested).toBe(true);
    links.get(A.address).end();
    expect(uplink.congested).toBe(false);
    expect(count('uncongested')).toBe(1);
  });

  test('records of a state node: reach their handler', () => {
    openAll(A);
    const link = links.get(A.address);
    const deliver = Buffer.concat([encodeDeliverHead([1]), frame(1n)]);
    link.receive(
      deliver,
      encodeRecord(LinkKind.KICK, wire.Kick.encode({ conn: 4, code: 'KICKED', reason: 'spam' }).finish()),
      encodeRecord(
        LinkKind.KICK,
        wire.Kick.encode({ conn: 5, code: 'FROM_THE_FUTURE', reason: '' }).finish(),
      ),
      encodeConns(LinkKind.FENCE, [6, 7]),
      encodeConns(LinkKind.ATTACHED, [8]),
      new Uint8Array([99, 1, 2]),
      new Uint8Array([LinkKind.KICK, 0xff]),
    );
    link.loginResult({ conn: 9 });
    expect(told.map(([what, ...rest]) => [what, ...(what === 'login' ? [] : rest)])).toEqual([
      ['deliver', deliver, deliver],
      ['kick', 4, 'KICKED', 'spam'],
      ['kick', 5, 'INTERNAL', ''],
      ['fence', [6, 7]],
      ['attached', 'a', 8],
      ['malformed', 'a'],
      ['login'],
    ]);
  });

  test('topics: each PUBLISH uses the definition of its topic at that point', () => {
    openAll(A, B);
    const [one, another, other] = [topicRecord(5, [1, 2]), topicRecord(5, [3]), topicRecord(5, [4])];
    links.get(A.address).receive(one, publish(5), publish(5), another, publish(5));
    links.get(B.address).receive(other, publish(5));
    links.get(A.address).receive(publish(5));
    expect(told.filter(([what]) => what === 'deliver')).toEqual(
      [one, one, another, other, another].map((named) => ['deliver', publish(5), new Uint8Array(named)]),
    );
  });

  test.each([
    ['a topic that was never defined', [publish(5)]],
    ['a topic that is no longer defined', [topicRecord(5, [1]), topicRecord(5, []), publish(5)]],
    ['a TOPIC that is out of bounds', [topicRecord(MAX_TOPICS, [1])]],
  ])('%s: throws, which ends the stream, and tells', (_, records) => {
    openAll(A);
    expect(() => links.get(A.address).receive(...records)).toThrow(/TOPIC|PUBLISH/);
    expect(told).toEqual([['malformed', 'a']]);
  });

  test('the end of a stream: its topics are forgotten', () => {
    openAll(A);
    const link = links.get(A.address);
    link.receive(topicRecord(5, [1]));
    link.end();
    link.open();
    expect(() => link.receive(publish(5))).toThrow('PUBLISH');
  });

  test('a TRACE: is answered under its number', () => {
    openAll(A);
    const link = links.get(A.address);
    const question = { number: 5, message: 77n, conversation: 0n, sender: 0n, fingerprint: 0 };
    link.receive(encodeRecord(LinkKind.TRACE, wire.Trace.encode(question).finish()));
    const [answer] = link.bodies(LinkKind.TRACED);
    const { number, hops } = wire.Traced.decode(answer as Uint8Array);
    expect([number, hops.map(({ what }) => what)]).toEqual([5, ['of 77']]);
  });

  test('another gateway number: every stream is opened anew under it', () => {
    openAll(A);
    const before = links.get(A.address);
    uplink.setGateway(8);
    expect(before.closed).toBe(true);
    expect(uplink.readyLinks).toBe(0);
    const after = links.get(A.address);
    expect(after).not.toBe(before);
    after.open();
    before.end('closed');
    expect(wire.Open.decode(after.bodies(LinkKind.OPEN)[0] as Uint8Array).gateway).toBe(8);
    expect(uplink.readyLinks).toBe(1);
  });

  test('no gateway number: no new logins; streams stay, and frames still pass', () => {
    openAll(A);
    const login = wire.Login.fromPartial({ conn: 1, user: 1n });
    uplink.setGateway(undefined);
    expect(uplink.login(login)).toBeUndefined();
    expect([links.get(A.address).closed, uplink.readyLinks]).toEqual([false, 1]);
    expect(uplink.nodeOfUser(1n)).toBeDefined();
    uplink.setGateway(uplink.gateway);
    expect(uplink.login(login)).toBeDefined();
    expect(links.get(A.address).closed).toBe(false);
  });
});
