import { PassThrough } from 'node:stream';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { frameRef, frameType, FrameType } from '../../proto/mod.ts';
import { Connection, Fence, Phase } from '../connections/connection.ts';
import { RESYNC_HOLD_MS, RESYNC_SPREAD_MS } from '../limits.ts';
import { ResyncFence } from './resync-fence.ts';
import { fakeTransport } from '../testing/test-transport.ts';

describe('ResyncFence', () => {
  let sent: { conn: number; mark: number }[];
  let reachable: boolean;
  let fence: ResyncFence;

  beforeEach(() => {
    vi.useFakeTimers();
    sent = [];
    reachable = true;
    fence = new ResyncFence({
      isReachable: () => reachable,
      send: ({ conn }, frame) => {
        expect(frameType(frame)).toBe(FrameType.RESYNC);
        sent.push({ conn, mark: frameRef(frame) });
      },
    });
  });

  afterEach(() => {
    fence.close();
    vi.useRealTimers();
  });

  function live(count: number): Connection[] {
    return Array.from({ length: count }, (_, i) => {
      const connection = new Connection(i + 1, fakeTransport, new PassThrough(), {});
      connection.phase = Phase.LIVE;
      return connection;
    });
  }

  test('a connection that is not fenced: passes', () => {
    const [connection] = live(1) as [Connection];
    expect(fence.pass(connection)).toBe(true);
    expect(sent).toEqual([]);
  });

  test('fenceAll: RESYNC to each live connection, and nothing passes until the matching RESYNCED', () => {
    const [a, b, joining] = live(3) as [Connection, Connection, Connection];
    joining.phase = Phase.ATTACH;
    fence.fenceAll([a, b, joining]);
    expect(sent.map(({ conn }) => conn).toSorted((a, b) => a - b)).toEqual([1, 2]);
    expect(fence.pass(a)).toBe(false);
    fence.onResynced(a, a.mark + 1);
    expect(fence.pass(a)).toBe(false);
    fence.onResynced(a, a.mark);
    expect(fence.pass(a)).toBe(true);
    expect(fence.pass(b)).toBe(false);
    expect(sent).toHaveLength(2);
  });

  test('a second change before the answer: only the answer to the second RESYNC counts', () => {
    const [connection] = live(1) as [Connection];
    fence.fenceAll([connection]);
    const first = connection.mark;
    fence.fenceAll([connection]);
    expect(connection.mark).not.toBe(first);
    fence.onResynced(connection, first);
    expect(fence.pass(connection)).toBe(false);
    expect(connection.round).toBe(0);
    fence.onResynced(connection, connection.mark);
    expect(fence.pass(connection)).toBe(true);
    expect(connection.round).toBe(1);
  });

  test('an unexpected or repeated RESYNCED: begins no round', () => {
    const [connection] = live(1) as [Connection];
    fence.onResynced(connection, connection.mark);
    expect(connection.round).toBe(0);
    fence.fenceAll([connection]);
    fence.onResynced(connection, connection.mark);
    fence.onResynced(connection, connection.mark);
    expect(connection.round).toBe(1);
  });

  test('many connections: RESYNCs are spread over the time, one each; a connection that sends gets its own at once', () => {
    const connections = live(10_000);
    fence.fenceAll(connections);
    expect(sent.length).toBe(500);
    const waiting = connections.find((connection) => connection.fence === Fence.DUE) as Connection;
    expect(fence.pass(waiting)).toBe(false);
    expect(sent.at(-1)?.conn).toBe(waiting.conn);
    vi.advanceTimersByTime(RESYNC_SPREAD_MS);
    expect(sent).toHaveLength(10_000);
    expect(new Set(sent.map(({ conn }) => conn)).size).toBe(10_000);
  });

  test('no state node: fenced without RESYNC until there is one', () => {
    const [connection] = live(1) as [Connection];
    reachable = false;
    fence.fenceAll([connection]);
    expect(fence.pass(connection)).toBe(false);
    vi.advanceTimersByTime(10 * RESYNC_SPREAD_MS);
    expect(sent).toEqual([]);
    reachable = true;
    fence.fenceAll([connection]);
    expect(sent).toHaveLength(1);
  });

  test('hold: RESYNC only after the wait, whatever the client sends meanwhile', () => {
    const connections = live(2);
    fence.hold(connections);
    fence.hold(connections);
    for (const connection of connections) expect(fence.pass(connection)).toBe(false);
    vi.advanceTimersByTime(RESYNC_HOLD_MS - 1);
    expect(sent).toEqual([]);
    vi.advanceTimersByTime(RESYNC_HOLD_MS + 1);
    expect(sent.map(({ conn }) => conn).toSorted((a, b) => a - b)).toEqual([1, 2]);
  });

  test('hold while a RESYNC is unanswered: the client must answer a new one', () => {
    const [connection] = live(1) as [Connection];
    fence.fenceAll([connection]);
    fence.hold([connection]);
    fence.onResynced(connection, connection.mark);
    expect(fence.pass(connection)).toBe(false);
    vi.advanceTimersByTime(2 * RESYNC_HOLD_MS);
    fence.onResynced(connection, connection.mark);
    expect(fence.pass(connection)).toBe(true);
  });

  test('a connection that closes meanwhile: gets no RESYNC', () => {
    const connections = live(200);
    fence.fenceAll(connections);
    const told = sent.length;
    for (const connection of connections) connection.phase = Phase.CLOSING;
    fence.hold(live(1).map((connection) => Object.assign(connection, { phase: Phase.CLOSED })));
    vi.advanceTimersByTime(RESYNC_SPREAD_MS);
    expect(sent).toHaveLength(told);
  });

  test('numbers: wrap around after 16 bits and skip 0', () => {
    const [connection] = live(1) as [Connection];
    connection.mark = 0xffff;
    fence.fenceAll([connection]);
    expect(connection.mark).toBe(1);
  });
});
