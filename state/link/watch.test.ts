import { describe, expect, test } from 'vitest';
import type { UserId } from '../../common/mod.ts';
import { client, FrameType, LinkKind } from '../../proto/mod.ts';
import { eventually } from '../../test/harness/eventually.ts';
import type { StateLimits } from '../limits.ts';
import type { FakeWorker } from '../testing/fake-stream.ts';
import { settle, testNode } from '../testing/test-node.ts';

const { PRESENCE_STATUS_ONLINE, PRESENCE_STATUS_IDLE, PRESENCE_STATUS_OFFLINE } = client.PresenceStatus;
const STATUS = {
  [PRESENCE_STATUS_ONLINE]: 'online',
  [PRESENCE_STATUS_IDLE]: 'idle',
  [PRESENCE_STATUS_OFFLINE]: 'offline',
} as Record<number, string>;

const shown = ({ user, status, lastSeenMs }: client.UserPresence) =>
  `${user} ${STATUS[status]}${lastSeenMs === 0n ? '' : ' seen'}`;

/** What came for clients, by connection. */
class Told {
  readonly #w: FakeWorker;
  readonly all: { conn: number; what: string }[] = [];

  constructor(w: FakeWorker) {
    this.#w = w;
  }

  take(): void {
    for (const { conn, type, payload } of this.#w.delivered()) {
      if (type === FrameType.PRESENCE)
        for (const user of client.Presence.decode(payload).users) this.all.push({ conn, what: shown(user) });
      else if (type === FrameType.NACK) this.all.push({ conn, what: client.Nack.decode(payload).code });
      else if (type === FrameType.WATCHED) {
        const { conversations, users } = client.Watched.decode(payload);
        const rooms = conversations.map(({ conversation, members }) => `#${conversation} of ${members}`);
        this.all.push({ conn, what: `watched ${[...rooms, ...users.map(shown)].join(', ')}` });
      } else if (type === FrameType.RESPONSE) {
        const { result } = client.Response.decode(payload);
        if (result?.$case === 'presences')
          this.all.push({ conn, what: `answer ${result.presences.users.map(shown).join(', ')}` });
        else if (result?.$case === 'members')
          this.all.push({
            conn,
            what: `members ${result.members.members.map(({ user, online }) => `${user} ${online}`).join(', ')}`,
          });
        else this.all.push({ conn, what: result?.$case ?? '' });
      }
    }
  }

  /** Waits until a connection is told something, and returns what, with what came before it. */
  async until(conn: number, what: string): Promise<string[]> {
    const own = () => this.all.filter((each) => each.conn === conn).map((each) => each.what);
    await eventually(`${what} for ${conn}`, () => {
      this.take();
      if (!own().includes(what)) throw new Error(own().join('; '));
    });
    return own();
  }
}

/** Users 1, 2 and 3 in room 7, user 4 in a direct conversation with 1; connections of the users' numbers but for 3. */
async function world(limits: Partial<StateLimits> = {}) {
  const made = await testNode(limits);
  const { store, worker } = made;
  await store.addRoom(7n, 'room', [1n, 2n, 3n]);
  await store.addUser(4n);
  await store.addUser(5n);
  await store.openDirect(8n as never, 1n as UserId, 4n as UserId);
  const w = worker();
  for (const conn of [1, 2, 4]) w.attach(conn, BigInt(conn));
  w.take();
  const told = new Told(w);
  const set = async (conn: number, name: string, value: unknown) => {
    const settings = [{ name, value: JSON.stringify(value) }];
    w.request(conn, 9, 0n, { $case: 'setSettings', setSettings: { settings, ifVersion: 0n } });
    await told.until(conn, 'settings');
  };
  return { ...made, w, told, set };
}

describe('WATCH at the user’s node', () => {
  test('it is answered by the whole state, and followed by what changes', async () => {
    const { w, told } = await world();
    w.watch(1, { ids: [7n], people: [2n, 3n, 4n] });
    await told.until(1, 'watched #7 of 3, 2 online, 3 offline, 4 online');
    w.detach(4);
    await told.until(1, '4 offline seen');
    w.attach(3, 3n);
    await told.until(1, '3 online');
    // Of user 2 nothing has changed; and nobody else is told.
    expect(told.all.filter(({ what }) => what.startsWith('2'))).toEqual([]);
    expect(told.all.every(({ conn }) => conn === 1)).toBe(true);
  });

  test('it replaces the watch before', async () => {
    const { w, told } = await world();
    w.watch(1, { people: [2n, 4n] });
    await told.until(1, 'watched 2 online, 4 online');
    w.watch(1, { people: [4n] });
    await told.until(1, 'watched 4 online');
    w.detach(2);
    w.detach(4);
    await told.until(1, '4 offline seen');
    expect(told.all.map(({ what }) => what)).not.toContain('2 offline seen');
  });

  test.each([
    ['a conversation that the user is not in', { ids: [7n, 9n] }],
    ['an id beyond the store', { ids: [2n ** 64n - 1n] }],
    ['a user who shares no conversation', { people: [2n, 5n] }],
    ['a user who does not exist', { people: [2n, 77n] }],
  ])('%s: NOT_VISIBLE, and the watch before stays', async (_, wrong) => {
    const { w, told } = await world();
    w.watch(1, { people: [4n] });
    await told.until(1, 'watched 4 online');
    w.watch(1, { number: 2, ...wrong });
    await told.until(1, 'NOT_VISIBLE');
    w.detach(4);
    await told.until(1, '4 offline seen');
  });

  test('the connection ends: nothing more is pushed to its number', async () => {
    const { w, told } = await world();
    w.watch(1, { people: [4n] });
    await told.until(1, 'watched 4 online');
    w.watch(2, { people: [1n, 3n] });
    await told.until(2, 'watched 1 online, 3 offline');
    w.detach(1);
    await told.until(2, '1 offline seen');
    w.detach(4);
    w.attach(3, 3n);
    await told.until(2, '3 online');
    expect(told.all.filter(({ conn }) => conn === 1)).toHaveLength(1);
  });

  test('another node is told: it confirms, and answers no client', async () => {
    const { w } = await world();
    w.watch(1, { isHome: false, number: 9, ids: [7n] });
    await settle();
    expect(w.lines()).toEqual([`record of kind ${LinkKind.WATCHING}`]);
    w.watch(1, { isHome: false, number: 0, ids: [7n] });
    await settle();
    expect(w.lines()).toEqual([]);
  });
});

describe('presence', () => {
  test('a killed gateway: its users are offline at the end of their grace, without anybody asking', async () => {
    const { worker, w, told } = await world({ sessionGraceMs: 50 });
    const other = worker();
    other.attach(1, 3n);
    w.watch(1, { people: [3n] });
    await told.until(1, 'watched 3 online');
    other.end('lost');
    await told.until(1, '3 offline seen');
  });

  test('idle: told when a device says so of the only device, not while another is in use', async () => {
    const { w, told } = await world();
    w.watch(1, { people: [2n] });
    await told.until(1, 'watched 2 online');
    w.watch(2, { idle: true });
    await told.until(1, '2 idle');
    w.attach(22, 2n, { device: 'phone' });
    await told.until(1, '2 online');
    // Told to a node that is not the user's.
    w.watch(22, { idle: true, isHome: false });
    await eventually('idle again', () => {
      told.take();
      return told.all.filter(({ what }) => what === '2 idle').length === 2;
    });
  });

  test('last seen: everybody, who shares a room, nobody; who hides it is told of none', async () => {
    const { w, told, set } = await world();
    w.attach(3, 3n);
    await set(3, 'last_seen', 'rooms');
    await set(4, 'last_seen', 'rooms');
    w.detach(3);
    w.detach(4);
    const ask = async (conn: number, what: string) => {
      w.request(conn, 9, 0n, { $case: 'getPresence', getPresence: { users: [3n, 4n] } });
      await told.until(conn, what);
    };
    await ask(1, 'answer 3 offline seen, 4 offline');
    await set(1, 'last_seen', 'nobody');
    await ask(1, 'answer 3 offline, 4 offline');
  });

  test('get_presence: of who is not visible, or of too many: refused', async () => {
    const { w, told } = await world();
    const ask = (users: bigint[]) => w.request(1, 9, 0n, { $case: 'getPresence', getPresence: { users } });
    ask([5n]);
    await told.until(1, 'NOT_VISIBLE');
    ask(Array.from({ length: 501 }, (_, i) => BigInt(i + 1)));
    await told.until(1, 'ARGUMENT_INVALID');
  });
});

describe('invisible', () => {
  /** Everything that user 1 is told of users 2, who is invisible and here, and 3, who is offline. */
  test('the answers about an invisible user equal those about an offline one, all of them', async () => {
    const { w, told, set } = await world();
    w.attach(3, 3n);
    await set(2, 'invisible', true);
    w.detach(3);
    const answers: string[] = [];
    const of = (user: string, line: string) =>
      line
        .replace(/^(watched|answer|members) /, '')
        .split(', ')
        .filter((part) => part.startsWith(`${user} `))
        .map((part) => part.slice(2));
    w.watch(1, { people: [2n, 3n] });
    answers.push((await told.until(1, 'watched 2 offline seen, 3 offline seen')).at(-1) ?? '');
    w.request(1, 9, 0n, { $case: 'getPresence', getPresence: { users: [2n, 3n] } });
    answers.push((await told.until(1, 'answer 2 offline seen, 3 offline seen')).at(-1) ?? '');
    w.request(1, 9, 7n, { $case: 'getMembers', getMembers: { after: '', limit: 0 } });
    answers.push((await told.until(1, 'members 1 true, 2 false, 3 false')).at(-1) ?? '');
    for (const line of answers) expect(of('2', line)).toEqual(of('3', line));
    // What the user does is not told either: idle, another device, the end of one.
    w.watch(2, { idle: true });
    w.attach(22, 2n, { device: 'phone' });
    w.detach(2);
    w.watch(4, { people: [1n] });
    await told.until(4, 'watched 1 online');
    w.detach(22);
    w.attach(3, 3n);
    const lines = await told.until(1, '3 online');
    expect(lines.filter((line) => line.startsWith('2 '))).toEqual([]);
  });

  test('becoming invisible is going offline, and visible again is coming back; oneself is shown the truth', async () => {
    const { w, told, set } = await world();
    w.watch(1, { people: [2n] });
    await told.until(1, 'watched 2 online');
    await set(2, 'invisible', true);
    await told.until(1, '2 offline seen');
    w.request(2, 9, 0n, { $case: 'getPresence', getPresence: { users: [2n] } });
    await told.until(2, 'answer 2 online');
    await set(2, 'invisible', false);
    await told.until(1, '2 online');
  });
});
