/** The part of the store's contract about roles: who may do what, as the locked rows say, and that no room is without an owner. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { ConversationId, UserId } from '../../../common/mod.ts';
import {
  type Action,
  accessCheck,
  refusal,
  type Role,
  ROLES,
  type Standing,
  STANDINGS,
} from '../../policy.ts';
import type { Nodes, World } from './scratch.contract.ts';

/** Two users of each standing. */
type Cast = Readonly<Record<Standing, readonly [UserId, UserId]>>;

async function makeCast(world: World): Promise<Cast> {
  const pair = async () => [await world.user(), await world.user()] as const;
  return {
    nonmember: await pair(),
    former: await pair(),
    member: await pair(),
    moderator: await pair(),
    owner: await pair(),
  };
}

/** Makes a room in which each stands as the cast says, with a message. */
async function stage(world: World, { former, member, moderator, owner }: Cast): Promise<ConversationId> {
  const [first] = owner;
  const room = await world.room(first, ...former, ...member, ...moderator, owner[1]);
  for (const user of former) await world.leaveRoom(room, user);
  for (const user of moderator) await world.setRole(room, first, user, 'moderator');
  await world.setRole(room, first, owner[1], 'owner');
  await world.fill(room, first, 1);
  return room;
}

async function rolesOf(
  world: World,
  room: ConversationId,
  ...users: UserId[]
): Promise<(Role | undefined)[]> {
  const found = await Promise.all(users.map((user) => world.store.conversationOf(room, user, '')));
  return found.map((conversation) => conversation?.role);
}

export function describeRoles(nodes: () => Nodes): void {
  describe('roles', () => {
    test('every action, by every standing on every standing, in either kind: as the policy says', async () => {
      const { a, b } = nodes();
      const cast = await makeCast(a);
      const shared = await stage(a, cast);
      const direct = (await a.store.openDirect(a.conversationId(), cast.owner[0], cast.member[0])).id;
      const calls: readonly {
        readonly action: Action;
        readonly given?: Role;
        readonly call: (room: ConversationId, actor: UserId, target: UserId) => Promise<object | string>;
      }[] = [
        {
          action: 'joinRoom',
          call: (room, actor) => b.store.joinRoom(room, accessCheck('joinRoom', actor), b.stamp()),
        },
        { action: 'leaveRoom', call: (room, actor) => b.leaveRoom(room, actor) },
        { action: 'deleteRoom', call: (room, actor) => b.deleteRoom(room, actor) },
        {
          action: 'getHistory',
          call: (room, actor) =>
            b.store.history(room, accessCheck('getHistory', actor), { at: 'before', seq: 0 }, 1),
        },
        { action: 'removeMember', call: (room, actor, target) => b.removeMember(room, actor, target) },
        ...ROLES.map((given) => ({
          action: 'setRole' as const,
          given,
          call: (room: ConversationId, actor: UserId, target: UserId) =>
            b.setRole(room, actor, target, given),
        })),
      ];
      for (const { action, given, call } of calls) {
        const isOnSomebody = action === 'removeMember' || action === 'setRole';
        for (const standing of STANDINGS)
          for (const about of isOnSomebody ? ([...STANDINGS, 'self'] as const) : [undefined]) {
            const [actor, target] =
              about === undefined || about === 'self'
                ? [cast[standing][0], cast[standing][0]]
                : [cast[standing][0], cast[about][1]];
            const { requirement } = accessCheck(action, actor);
            const expected = refusal(requirement, { kind: 'room', actor: standing, target: about, given });
            // What is refused changes nothing.
            const room = expected === undefined ? await stage(a, cast) : shared;
            const answer = await call(room, actor, target);
            const told = typeof answer === 'string' ? answer : undefined;
            expect([action, given, standing, about, told]).toEqual([
              action,
              given,
              standing,
              about,
              expected,
            ]);
          }
        const [one, other] = [cast.owner[0], cast.member[0]];
        const { requirement } = accessCheck(action, one);
        const expected = refusal(requirement, { kind: 'direct', actor: 'member', target: 'member', given });
        const answer = await call(direct, one, other);
        expect([action, typeof answer === 'string' ? answer : undefined]).toEqual([action, expected]);
        expect(await call(a.conversationId(), one, other)).toBe(requirement.missing);
      }
      const everybody = Object.values(cast).flat();
      expect((await a.store.membersOf(shared))?.members).toHaveLength(6);
      const roles = ['member', 'member', 'moderator', 'moderator', 'owner', 'owner'];
      expect(await rolesOf(b, shared, ...everybody)).toEqual([...Array(4), ...roles]);
    });

    test('setRole: every node knows it; a repeat has no effect; the member version stays', async () => {
      const { a, b } = nodes();
      const [ann, bob, cid] = [await a.user(), await a.user(), await a.user()];
      const room = await a.room(ann, bob, cid);
      await a.fill(room, ann, 2);
      const change = { changed: true, memberVersion: 3 };
      expect(await a.setRole(room, ann, bob, 'moderator')).toMatchObject({ ...change, seq: 3 });
      expect(await b.setRole(room, ann, bob, 'moderator')).toEqual({
        changed: false,
        seq: 3,
        memberVersion: 3,
        entries: [],
      });
      expect(await b.store.rolesOf(room)).toEqual(
        new Map([
          [ann, 'owner'],
          [bob, 'moderator'],
        ]),
      );
      expect((await b.conversations(bob, ''))[0]).toMatchObject({ id: room, role: 'moderator' });
      expect(
        (await b.sync({ user: bob, device: '', cursors: new Map(), limit: 9 })).conversations,
      ).toMatchObject([{ conversation: { role: 'moderator' } }]);
      expect(await a.setRole(room, ann, bob, 'owner')).toMatchObject(change);
      expect(await a.setRole(room, ann, bob, 'owner')).toMatchObject({ changed: false, entries: [] });
      expect(await a.setRole(room, ann, bob, 'member')).toBe('ROLE_TOO_LOW');
      expect(await b.setRole(room, bob, bob, 'member')).toMatchObject(change);
      expect(await b.setRole(room, ann, (2n ** 64n - 1n) as UserId, 'owner')).toBe('TARGET_NOT_A_MEMBER');
      expect(await b.setRole(a.conversationId(), ann, bob, 'owner')).toBe('ROOM_NOT_FOUND');
      expect(await rolesOf(a, room, ann, bob, cid)).toEqual(['owner', 'member', 'member']);
      const direct = await a.store.openDirect(a.conversationId(), ann, bob);
      expect([direct.role, (await a.store.rolesOf(direct.id)).size]).toEqual(['member', 0]);
    });

    test('a user who leaves or is removed and rejoins: is a plain member', async () => {
      const { a } = nodes();
      const [ann, bob, cid] = [await a.user(), await a.user(), await a.user()];
      const room = await a.room(ann, bob, cid);
      for (const user of [bob, cid]) await a.setRole(room, ann, user, 'moderator');
      await a.leaveRoom(room, bob);
      await a.removeMember(room, ann, cid);
      for (const user of [bob, cid]) expect(await a.joinRoom(room, user)).toMatchObject({ role: 'member' });
      expect(await a.store.rolesOf(room)).toEqual(new Map([[ann, 'owner']]));
    });

    test('the last owner leaves or steps down: the longest-standing member of the highest role is next', async () => {
      const { a, b } = nodes();
      const [ann, bob, cid, dan] = [await a.user(), await a.user(), await a.user(), await a.user()];
      const room = await a.room(ann, dan, bob, cid);
      for (const user of [cid, bob]) await a.setRole(room, ann, user, 'moderator');
      expect(await b.setRole(room, ann, ann, 'moderator')).toMatchObject({ changed: true, newOwner: bob });
      expect(await rolesOf(a, room, ann, bob, cid, dan)).toEqual([
        'moderator',
        'owner',
        'moderator',
        'member',
      ]);
      // Who made the room has no claim to it any more.
      expect(await a.setRole(room, ann, cid, 'member')).toBe('ROLE_TOO_LOW');
      expect(await a.leaveRoom(room, bob)).toMatchObject({ changed: true, newOwner: ann });
      await a.setRole(room, ann, dan, 'owner');
      // Another owner is there: nobody becomes one.
      const left = await b.leaveRoom(room, ann);
      expect(left).toMatchObject({
        changed: true,
        memberVersion: 6,
        entries: [{ extra: { system: { event: 'left' } } }],
      });
      expect(left).not.toHaveProperty('newOwner');
      expect(await a.leaveRoom(room, dan)).toMatchObject({ newOwner: cid });
      expect(await a.setRole(room, cid, cid, 'member')).toBe('LAST_OWNER');
      expect(await rolesOf(a, room, cid)).toEqual(['owner']);
      expect(await a.leaveRoom(room, cid)).toMatchObject({ changed: true, memberVersion: 8 });
      expect(await a.joinRoom(room, dan)).toMatchObject({ role: 'owner' });
    });

    test('createRoom: repeated by a former owner: the name is taken', async () => {
      const { a } = nodes();
      const [ann, bob, name] = [await a.user(), await a.user(), a.name()];
      const room = (await a.store.createRoom(a.conversationId(), name, ann))?.id as ConversationId;
      await a.joinRoom(room, bob);
      await a.setRole(room, ann, bob, 'owner');
      expect(await a.store.createRoom(a.conversationId(), name, bob)).toMatchObject({
        id: room,
        isNew: false,
      });
      await a.setRole(room, ann, ann, 'member');
      expect(await a.store.createRoom(a.conversationId(), name, ann)).toBeUndefined();
      expect(await a.deleteRoom(room, bob)).toMatchObject({ members: [ann, bob] });
      expect(await a.deleteRoom(room, ann)).toBe('ROOM_NOT_FOUND');
      expect(await a.deleteRoom(room, bob)).toMatchObject({ members: [ann, bob] });
    });

    test('any sequence of actions: every room with members has an owner', async () => {
      const { a, b } = nodes();
      const users = await Promise.all(Array.from({ length: 4 }, () => a.user()));
      const who = fc.nat({ max: users.length - 1 });
      const step = fc.record({
        what: fc.constantFrom('join', 'leave', 'remove', ...ROLES),
        by: who,
        on: who,
      });
      await fc.assert(
        fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
          const room = await a.room(users[0] as UserId);
          for (const { what, by, on } of steps) {
            const [actor, target] = [users[by] as UserId, users[on] as UserId];
            if (what === 'join') await b.joinRoom(room, actor);
            else if (what === 'leave') await b.leaveRoom(room, actor);
            else if (what === 'remove') await b.removeMember(room, actor, target);
            else await b.setRole(room, actor, target, what);
            const members = (await a.store.membersOf(room))?.members ?? [];
            const roles = [...(await a.store.rolesOf(room)).values()];
            expect([what, roles.includes('owner')]).toEqual([what, members.length > 0]);
          }
        }),
        { numRuns: 10 },
      );
    });

    test('a role taken away while its holder acts: either comes first, and nobody acts without the role', async () => {
      const { a, b } = nodes();
      const [ann, bob, cid] = [await a.user(), await a.user(), await a.user()];
      for (let round = 0; round < 20; round++) {
        const room = await a.room(ann, bob, cid);
        await a.setRole(room, ann, bob, 'moderator');
        const demote = () => a.setRole(room, ann, bob, 'member');
        const remove = () => b.removeMember(room, bob, cid);
        const [demoted, removed] =
          round % 2 === 0
            ? await Promise.all([demote(), remove()])
            : (await Promise.all([remove(), demote()])).toReversed();
        // A change of roles tells the member version that it met: that of before the removal, or that of after it.
        if (removed === 'ROLE_TOO_LOW') expect(demoted).toMatchObject({ changed: true, memberVersion: 3 });
        else {
          expect(removed).toMatchObject({ changed: true, memberVersion: 4 });
          expect(demoted).toMatchObject({ changed: true, memberVersion: 4 });
        }
      }
    });
  });
}
