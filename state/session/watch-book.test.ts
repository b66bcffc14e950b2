import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { ConversationId, UserId } from '../../common/mod.ts';
import { WatchBook } from './watch-book.ts';

const room = (id: number) => BigInt(id) as ConversationId;
const user = (id: number) => BigInt(id) as UserId;

/** What watches, as text. */
function watchersOf(book: WatchBook, kind: 'conversation' | 'user', id: number): string[] {
  const found: string[] = [];
  const visit = (stream: number, conn: number, watcher: UserId, sharesRoom: boolean) =>
    found.push(`${stream}/${conn} ${watcher}${sharesRoom ? ' room' : ''}`);
  if (kind === 'conversation') book.eachOfConversation(room(id), visit);
  else book.eachOfUser(user(id), visit);
  return found.sort();
}

describe('WatchBook', () => {
  test('set: replaces what the connection watched; conversations and users with one id are told apart', () => {
    const book = new WatchBook();
    book.set(0, 1, user(7), [room(5), room(6)], [{ user: user(5), sharesRoom: true }]);
    book.set(0, 2, user(8), [room(5)], []);
    expect(watchersOf(book, 'conversation', 5)).toEqual(['0/1 7', '0/2 8']);
    expect(watchersOf(book, 'user', 5)).toEqual(['0/1 7 room']);
    book.set(0, 1, user(7), [room(6)], [{ user: user(9), sharesRoom: false }]);
    expect(watchersOf(book, 'conversation', 5)).toEqual(['0/2 8']);
    expect([book.hasUser(user(5)), book.hasUser(user(9))]).toEqual([false, true]);
    book.set(0, 1, user(7), [], []);
    expect([book.size, book.edges]).toEqual([1, 1]);
  });

  test('removeMember: of all connections of the user, from this conversation alone', () => {
    const book = new WatchBook();
    for (const conn of [1, 2]) book.set(0, conn, user(7), [room(5), room(6)], []);
    book.set(1, 1, user(7), [room(5)], []);
    book.set(0, 3, user(8), [room(5)], []);
    book.removeMember(room(5), user(7));
    expect(watchersOf(book, 'conversation', 5)).toEqual(['0/3 8']);
    expect(watchersOf(book, 'conversation', 6)).toEqual(['0/1 7', '0/2 7']);
    expect(book.size).toBe(3);
  });

  test('any operations in any order: as a map of sets', () => {
    const id = fc.integer({ min: 1, max: 6 });
    const ids = fc.uniqueArray(id, { maxLength: 5 });
    const operation = fc.oneof(
      fc.record({ what: fc.constant('set' as const), stream: fc.nat(2), conn: id, rooms: ids, users: ids }),
      fc.record({ what: fc.constant('remove' as const), stream: fc.nat(2), conn: id }),
      fc.record({ what: fc.constant('end' as const), stream: fc.nat(2), most: fc.nat(3) }),
      fc.record({ what: fc.constant('out' as const), room: id, user: id }),
    );
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 200 }), (operations) => {
        const book = new WatchBook();
        const model = new Map<string, { rooms: Set<number>; users: Set<number> }>();
        for (const each of operations) {
          const key = 'conn' in each ? `${each.stream}/${each.conn}` : '';
          if (each.what === 'set') {
            const people = each.users.map((other) => ({ user: user(other), sharesRoom: other % 2 === 0 }));
            book.set(each.stream, each.conn, user(each.conn), each.rooms.map(room), people);
            model.set(key, { rooms: new Set(each.rooms), users: new Set(each.users) });
          } else if (each.what === 'remove') {
            book.remove(each.stream, each.conn);
            model.delete(key);
          } else if (each.what === 'out') {
            book.removeMember(room(each.room), user(each.user));
            for (const [watcher, { rooms }] of model)
              if (watcher.endsWith(`/${each.user}`)) rooms.delete(each.room);
          } else {
            while (!book.removeStream(each.stream, each.most + 1));
            for (const watcher of model.keys())
              if (watcher.startsWith(`${each.stream}/`)) model.delete(watcher);
          }
          for (const [watcher, { rooms, users }] of model)
            if (rooms.size + users.size === 0) model.delete(watcher);
        }
        for (let target = 1; target <= 6; target++) {
          const watching = (of: 'rooms' | 'users', mark = '') =>
            [...model]
              .filter(([, watch]) => watch[of].has(target))
              .map(([watcher]) => `${watcher} ${watcher.split('/')[1]}${mark}`)
              .sort();
          expect(watchersOf(book, 'conversation', target)).toEqual(watching('rooms'));
          expect(watchersOf(book, 'user', target)).toEqual(
            watching('users', target % 2 === 0 ? ' room' : ''),
          );
        }
        expect(book.size).toBe(model.size);
      }),
    );
  });
});
