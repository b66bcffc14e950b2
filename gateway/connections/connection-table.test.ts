import { PassThrough } from 'node:stream';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Connection } from './connection.ts';
import { ConnectionTable } from './connection-table.ts';
import { fakeTransport } from '../testing/test-transport.ts';

const socket = new PassThrough();

function add(table: ConnectionTable): Connection {
  return table.add((conn) => new Connection(conn, fakeTransport, socket, {}));
}

describe('ConnectionTable', () => {
  test('numbers: count up from 1 and find their connection', () => {
    const table = new ConnectionTable();
    const first = add(table);
    const second = add(table);
    expect([first.conn, second.conn]).toEqual([1, 2]);
    expect(table.get(1)).toBe(first);
    expect(table.get(2)).toBe(second);
    expect(table.get(3)).toBeUndefined();
  });

  test('a deleted number: is not found and not reused', () => {
    const table = new ConnectionTable();
    const gone = add(table);
    table.delete(gone);
    table.delete(gone);
    expect(table.size).toBe(0);
    expect(table.get(gone.conn)).toBeUndefined();
    expect(add(table).conn).not.toBe(gone.conn);
  });

  test('a number that shares the slot of a live one: finds its own connection', () => {
    const table = new ConnectionTable();
    const { conn } = add(table);
    expect(table.get(conn + 64)).toBeUndefined();
    expect(table.get(conn + (1 << 20))).toBeUndefined();
  });

  test('beyond 32 bits: goes on from 1 and skips live connections', () => {
    const table = new ConnectionTable(0xffff_fffe);
    const last = add(table);
    const next = add(table);
    expect([last.conn, next.conn]).toEqual([0xffff_ffff, 1]);
    expect(table.get(0xffff_ffff)).toBe(last);
    expect(table.get(1)).toBe(next);
  });

  test('any order of adding and deleting: holds exactly the live connections, and no number is used twice', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.boolean(), fc.nat()), { maxLength: 600 }), (steps) => {
        const table = new ConnectionTable();
        const live: Connection[] = [];
        const used = new Set<number>();
        for (const [adds, pick] of steps) {
          if (adds || live.length === 0) {
            const connection = add(table);
            expect(used.has(connection.conn)).toBe(false);
            used.add(connection.conn);
            live.push(connection);
          } else table.delete(live.splice(pick % live.length, 1)[0] as Connection);
        }
        expect(table.size).toBe(live.length);
        expect(new Set(table)).toEqual(new Set(live));
        for (const connection of live) expect(table.get(connection.conn)).toBe(connection);
      }),
    );
  });
});
