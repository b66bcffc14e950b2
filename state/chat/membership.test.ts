/** Changes of who is in a room, as connections see them. */
import { describe, expect, test } from 'vitest';
import type { UserId } from '../../common/mod.ts';
import { client, FrameType } from '../../proto/mod.ts';
import type { Delivered, FakeWorker } from '../testing/fake-stream.ts';
import { settle, type TestNode, testNode } from '../testing/test-node.ts';
import { eventually } from '../../test/harness/eventually.ts';

const [ANN, BOB, CID] = [1n as UserId, 2n as UserId, 3n as UserId];
const [ANN_HERE, BOB_HERE, CID_HERE] = [
  { user: ANN, userName: 'ann', device: '' },
  { user: BOB, userName: 'bob', device: '' },
  { user: CID, userName: 'cid', device: '' },
];

/** Makes a room of ann's in which all three are, each with a connection of that number. */
async function roomOfThree(hidesHistory = false) {
  const it = await testNode();
  const { store, node, worker } = it;
  for (const [id, name] of [
    [ANN, 'ann'],
    [BOB, 'bob'],
    [CID, 'cid'],
  ] as const)
    await store.createAccount({ id, name, passwordHash: 'x' });
  const room = await node.membership.create(ANN_HERE, 'lobby', hidesHistory);
  for (const [user, userName] of [
    [BOB, 'bob'],
    [CID, 'cid'],
  ] as const)
    await node.membership.join({ user, userName, device: '' }, 'lobby');
  // Nobody who attaches is told of these.
  await settle();
  const w = worker();
  w.attach(1, ANN, { name: 'ann' });
  w.attach(2, BOB, { name: 'bob' });
  w.attach(3, CID, { name: 'cid' });
  w.take();
  return { ...it, w, room: room.id, seen: [] as Delivered[] };
}

/** Says which connections were told of which change. */
function changes(w: FakeWorker): string[] {
  return w.delivered().flatMap(({ conn, type, payload }) => {
    if (type !== FrameType.MEMBERS_CHANGED) return [];
    const { change, name, by, afterSeq } = client.MembersChanged.decode(payload);
    return [`${conn}: ${change} ${name} ${by} ${afterSeq}`.trim()];
  });
}

async function ask(
  it: TestNode & { w: FakeWorker; seen: Delivered[] },
  conn: number,
  key: bigint,
  call: NonNullable<client.Request['call']>,
) {
  it.w.request(conn, 9, key, call);
  const answers: string[] = [];
  await eventually(() => {
    for (const frame of it.w.delivered()) {
      it.seen.push(frame);
      const { conn: to, type, payload } = frame;
      if (to !== conn) continue;
      if (type === FrameType.RESPONSE) answers.push(client.Response.decode(payload).result?.$case ?? '');
      if (type === FrameType.NACK) answers.push(client.Nack.decode(payload).code);
    }
    return answers.length > 0;
  });
  return answers[0];
}

describe('membership', () => {
  test("a conversation made or opened on one device: announced once to the user's other devices, and to nobody else", async () => {
    const it = await roomOfThree();
    it.w.attach(4, ANN, { name: 'ann', device: 'desk' });
    it.w.take();
    await ask(it, 1, 0n, { $case: 'createRoom', createRoom: { name: 'garden', hideHistory: false } });
    await ask(it, 4, 0n, { $case: 'openDirect', openDirect: { userName: 'bob' } });
    await ask(it, 4, 0n, { $case: 'openDirect', openDirect: { userName: 'bob' } });
    // Of changes of their own users: bob's would come behind the answer to bob.
    await ask(it, 2, 0n, { $case: 'listConversations', listConversations: { after: '', limit: 0 } });
    const told = it.seen.filter(({ type }) => type === FrameType.MEMBERS_CHANGED);
    expect(told.map(({ conn }) => conn).toSorted((a, b) => a - b)).toEqual([1, 1, 4, 4]);
    for (const { payload } of told)
      expect(client.MembersChanged.decode(payload)).toMatchObject({ change: 1, user: ANN, afterSeq: 0n });
  });

  test('a join: announced to the members once; a repeat is not', async () => {
    const it = await roomOfThree();
    await it.store.createAccount({ id: 4n as UserId, name: 'dan', passwordHash: 'x' });
    const dan = { user: 4n as UserId, userName: 'dan', device: '' };
    await it.node.membership.join(dan, 'lobby');
    await settle();
    expect(changes(it.w)).toEqual(['1: 1 dan  2', '2: 1 dan  2', '3: 1 dan  2']);
    await it.node.membership.join(dan, it.room.toString());
    await settle();
    expect(changes(it.w)).toEqual([]);
  });

  test('leave: announced to the user, who gets no later messages', async () => {
    const it = await roomOfThree();
    it.w.send(1, 1, it.room, 'm1');
    await settle();
    it.w.take();
    await it.node.membership.leave(BOB_HERE, it.room);
    await settle();
    expect(changes(it.w)).toEqual(expect.arrayContaining(['1: 2 bob  3', '2: 2 bob  3', '3: 2 bob  3']));
    it.w.send(1, 2, it.room, 'm2');
    it.w.send(2, 3, it.room, 'm3');
    await settle();
    expect(it.w.lines().toSorted()).toEqual([
      '1: SENT ref=2 m2 seq=5',
      '2: NACK ref=3 NOT_A_MEMBER',
      `3: MESSAGE ${it.room}#5 ann: m2`,
    ]);
  });

  test.each(['bob', BOB.toString()])(
    'a removal of oneself, %s, is a leave: notices and sync say LEFT',
    async (user) => {
      const it = await roomOfThree();
      await it.node.membership.remove(BOB_HERE, it.room, user);
      await settle();
      expect(changes(it.w).toSorted()).toEqual(['1: 2 bob  2', '2: 2 bob  2', '3: 2 bob  2']);
      const { gone } = await it.node.log.sync(BOB_HERE, {
        cursors: [{ conversation: it.room, seq: 2n }],
        pushed: [],
        limit: 10,
        after: 0n,
        until: 0n,
        newest: 0,
      });
      expect(gone).toEqual([{ conversation: it.room, reason: 2, lastSeq: 2n }]);
    },
  );

  test('the owner removes a member, others may not', async () => {
    const it = await roomOfThree();
    const remove = (conn: number, user: string) =>
      ask(it, conn, it.room, { $case: 'removeMember', removeMember: { user } });
    expect(await remove(2, 'cid')).toBe('ROLE_TOO_LOW');
    expect(await remove(1, 'eve')).toBe('USER_NOT_FOUND');
    expect(await remove(1, '77')).toBe('TARGET_NOT_A_MEMBER');
    expect(await remove(1, 'cid')).toBe('done');
    expect(await remove(1, CID.toString())).toBe('done');
    expect(await ask(it, 3, it.room, { $case: 'getMembers', getMembers: { after: '', limit: 0 } })).toBe(
      'NOT_A_MEMBER',
    );
  });

  test('roles: the policy applies, and a change is announced to all members once', async () => {
    const it = await roomOfThree();
    const { ROLE_MEMBER, ROLE_MODERATOR, ROLE_OWNER, ROLE_UNSPECIFIED } = client.Role;
    const set = (conn: number, user: string, role: client.Role) =>
      ask(it, conn, it.room, { $case: 'setRole', setRole: { user, role } });
    const told = () => {
      const changed = it.seen.splice(0).filter(({ type }) => type === FrameType.MEMBERS_CHANGED);
      return changed.map(({ conn, payload }) => {
        const { change, name, by, role } = client.MembersChanged.decode(payload);
        return `${conn}: ${change} ${name} ${by} ${role}`;
      });
    };
    expect(await set(2, 'cid', ROLE_MODERATOR)).toBe('ROLE_TOO_LOW');
    expect(await set(1, 'eve', ROLE_MODERATOR)).toBe('USER_NOT_FOUND');
    expect(await set(1, 'bob', ROLE_UNSPECIFIED)).toBe('ARGUMENT_INVALID');
    expect(await set(1, 'bob', 9 as client.Role)).toBe('ARGUMENT_INVALID');
    expect(told()).toEqual([]);
    expect(await set(1, 'bob', ROLE_MODERATOR)).toBe('done');
    expect(await set(1, BOB.toString(), ROLE_MODERATOR)).toBe('done');
    await ask(it, 3, it.room, { $case: 'getMembers', getMembers: { after: '', limit: 0 } });
    expect(told()).toEqual([1, 2, 3].map((conn) => `${conn}: 5 bob ann 2`));
    const { members } = await it.node.rooms.members(CID_HERE, it.room, { after: '', limit: 0 });
    expect(members.map(({ name, role }) => [name, role])).toEqual([
      ['ann', ROLE_OWNER],
      ['bob', ROLE_MODERATOR],
      ['cid', ROLE_MEMBER],
    ]);
    // The room passes on to bob, which is told too.
    expect(await set(1, 'ann', ROLE_MEMBER)).toBe('done');
    await ask(it, 3, it.room, { $case: 'getMembers', getMembers: { after: '', limit: 0 } });
    expect(told().toSorted()).toEqual(
      [1, 2, 3].flatMap((conn) => [`${conn}: 5 ann  1`, `${conn}: 5 bob  3`]),
    );
    expect(await ask(it, 2, it.room, { $case: 'removeMember', removeMember: { user: 'ann' } })).toBe('done');
    expect(await ask(it, 3, it.room, { $case: 'leaveRoom', leaveRoom: {} })).toBe('done');
    expect(await set(2, 'bob', ROLE_MEMBER)).toBe('LAST_OWNER');
  });

  test('a repeated leave or removal: not announced again', async () => {
    const it = await roomOfThree();
    await it.node.membership.leave(BOB_HERE, it.room);
    await it.node.membership.remove(ANN_HERE, it.room, 'cid');
    await settle();
    it.w.take();
    await it.node.membership.leave(BOB_HERE, it.room);
    await it.node.membership.remove(ANN_HERE, it.room, CID.toString());
    await settle();
    expect(changes(it.w)).toEqual([]);
  });

  test('delete: announced to everybody, and nobody can send there', async () => {
    const it = await roomOfThree();
    expect(await ask(it, 2, it.room, { $case: 'deleteRoom', deleteRoom: {} })).toBe('ROLE_TOO_LOW');
    await it.node.membership.delete(ANN_HERE, it.room);
    expect(changes(it.w)).toEqual(['1: 4  ann 2', '2: 4  ann 2', '3: 4  ann 2']);
    it.w.send(2, 1, it.room, 'm1');
    await settle();
    expect(it.w.lines()).toEqual(['2: NACK ref=1 NOT_A_MEMBER']);
    expect(await ask(it, 2, it.room, { $case: 'leaveRoom', leaveRoom: {} })).toBe('ROOM_NOT_FOUND');
  });

  test('erasing interrupted by a failing store: resumes by itself', async () => {
    const it = await roomOfThree();
    const tries = () => it.store.calls.get('erase') ?? 0;
    it.store.failing.add('erase');
    await it.node.membership.delete(ANN_HERE, it.room);
    await eventually(() => tries() >= 2);
    it.store.failing.delete('erase');
    const failed = tries();
    await eventually(() => tries() > failed);
    await it.node.drain();
  });

  test('a change: its entry comes to the members as a MESSAGE, in its place, and to nobody who is out', async () => {
    const it = await roomOfThree();
    await ask(it, 3, 0n, {
      $case: 'setProfile',
      setProfile: { displayName: 'Cid the First', ifDisplayName: '' },
    });
    const entries = () =>
      it.w.delivered().flatMap(({ conn, type, payload }) => {
        if (type !== FrameType.MESSAGE) return [];
        const { seq, kind, sender, clientMsgId, system } = client.Message.decode(payload);
        expect([kind, clientMsgId]).toEqual([client.EntryKind.ENTRY_KIND_SYSTEM, '']);
        return [`${conn}: ${seq} by ${sender}: ${system?.event} ${system?.name} ${system?.role}`];
      });
    await it.node.membership.setRole(ANN_HERE, it.room, 'cid', client.Role.ROLE_MODERATOR);
    await settle();
    const role = (conn: number) => `${conn}: 3 by 1: 4 Cid the First 2`;
    expect(entries().toSorted()).toEqual([1, 2, 3].map(role));
    await it.node.membership.remove(CID_HERE, it.room, 'bob');
    await settle();
    expect(entries().toSorted()).toEqual(['1: 4 by 3: 3 bob 0', '3: 4 by 3: 3 bob 0']);
    await it.node.membership.join(BOB_HERE, 'lobby');
    await settle();
    expect(entries().toSorted()).toEqual([1, 2, 3].map((conn) => `${conn}: 5 by 2: 1 bob 0`));
    await it.node.membership.leave(ANN_HERE, it.room);
    await settle();
    expect(entries().toSorted()).toEqual([
      '2: 6 by 1: 2 ann 0',
      '2: 7 by 1: 4 Cid the First 3',
      '3: 6 by 1: 2 ann 0',
      '3: 7 by 1: 4 Cid the First 3',
    ]);
  });

  test('what only rooms have, in a direct conversation: ARGUMENT_INVALID for who is in it, else ROOM_NOT_FOUND', async () => {
    const it = await roomOfThree();
    const { id } = await it.node.membership.openDirect(ANN_HERE, 'bob');
    it.w.take();
    const calls = [
      { $case: 'leaveRoom', leaveRoom: {} },
      { $case: 'deleteRoom', deleteRoom: {} },
      { $case: 'removeMember', removeMember: { user: 'bob' } },
      { $case: 'setRole', setRole: { user: 'bob', role: client.Role.ROLE_MODERATOR } },
      { $case: 'joinRoom', joinRoom: { room: id.toString() } },
    ] as const;
    for (const call of calls) {
      const told = [await ask(it, 1, id, call), await ask(it, 3, id, call)];
      expect([call.$case, ...told]).toEqual([call.$case, 'ARGUMENT_INVALID', 'ROOM_NOT_FOUND']);
    }
  });

  test('an id that is not a room: ROOM_NOT_FOUND', async () => {
    const it = await roomOfThree();
    for (const key of [0n, 77n, 1n << 63n])
      expect(await ask(it, 1, key, { $case: 'leaveRoom', leaveRoom: {} })).toBe('ROOM_NOT_FOUND');
  });

  test('a room that hides its history: a message from before a join is not pushed to the new member', async () => {
    const it = await roomOfThree(true);
    it.store.holding = true;
    it.w.send(1, 1, it.room, 'm1');
    await settle();
    it.store.release();
    it.store.holding = false;
    // The members are loaded after the join, for a message that came before it.
    const append = it.store.append.bind(it.store);
    await settle();
    it.w.take();
    it.store.append = async (...given) => {
      const answers = await append(...given);
      await it.store.addMember(it.room, 4n);
      return answers.map((answer) =>
        answer.ok ? { ...answer, memberVersion: answer.memberVersion + 1 } : answer,
      );
    };
    it.w.attach(4, 4n, { name: 'dan' });
    it.w.send(1, 2, it.room, 'm2');
    await settle();
    it.store.append = append;
    it.w.send(1, 3, it.room, 'm3');
    await settle();
    const toDan = it.w.lines().filter((line) => line.startsWith('4: '));
    expect(toDan).toEqual([`4: MESSAGE ${it.room}#5 ann: m3`]);
  });

  test('unread: what lies beyond the read cursor and may be read', async () => {
    const it = await roomOfThree();
    for (let ref = 1; ref <= 3; ref++) it.w.send(1, ref, it.room, `m${ref}`);
    await settle();
    const unread = async () =>
      (await it.node.rooms.conversations({ ...BOB_HERE, device: 'd' }, { after: '', limit: 0 }))
        .conversations[0]?.unread;
    expect(await unread()).toBe(3n);
    await it.store.moveCursors([
      { user: BOB, device: 'other', conversation: it.room as never, deliveredSeq: 0, readSeq: 4 },
    ]);
    expect(await unread()).toBe(1n);
    const { rooms } = await it.node.rooms.listRooms(BOB, { after: '', limit: 10 });
    expect(rooms.map((room) => room.unread)).toEqual([1n]);
  });
});
