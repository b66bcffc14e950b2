import { describe, expect, test } from 'vitest';
import type { UserId } from '../common/mod.ts';
import {
  type Action,
  accessCheck,
  DEFAULT_ENTRY_RULES,
  refusal,
  type Role,
  ROLES,
  type Standing,
  STANDINGS,
} from './policy.ts';

const OK = undefined;
type Entry = 'edit' | 'retract' | 'pin';
const LEAST: Readonly<
  Record<Exclude<Action, Entry>, { readonly direct?: Standing; readonly room: Standing }>
> = {
  getConversation: { direct: 'member', room: 'member' },
  getMembers: { direct: 'member', room: 'member' },
  getHistory: { direct: 'former', room: 'former' },
  getThread: { direct: 'former', room: 'former' },
  followThread: { direct: 'member', room: 'member' },
  listPins: { direct: 'member', room: 'member' },
  getReaders: { direct: 'member', room: 'member' },
  markRead: { direct: 'member', room: 'member' },
  setMute: { direct: 'member', room: 'member' },
  setDraft: { direct: 'member', room: 'member' },
  joinRoom: { room: 'nonmember' },
  leaveRoom: { room: 'former' },
  removeMember: { room: 'moderator' },
  setRole: { room: 'owner' },
  deleteRoom: { room: 'owner' },
};
const ACTIONS = Object.keys(LEAST) as (keyof typeof LEAST)[];

/** One of each standing on each. The rows are who acts, the columns whom it is about, in the order of STANDINGS. */
function table(decide: (actor: Standing, target: Standing) => string | undefined): string[] {
  return STANDINGS.map((actor) =>
    STANDINGS.map((target) => decide(actor, target) ?? 'OK')
      .join(' ')
      .replaceAll('TARGET_NOT_A_MEMBER', 'no')
      .replaceAll('NOT_A_MEMBER', 'NO')
      .replaceAll('ROLE_TOO_LOW', '--'),
  );
}

describe('actions without a target user', () => {
  test.each(ACTIONS)('%s: from a standing on, by kind', (action) => {
    const { requirement } = accessCheck(action, 1n as UserId);
    for (const kind of ['direct', 'room', undefined] as const)
      for (const actor of STANDINGS) {
        const least = kind && LEAST[action][kind];
        const told = refusal(requirement, { kind, actor });
        const isInside = ROLES.includes(actor as Role);
        const isOwnDirect = kind === 'direct' && isInside;
        if (least === undefined)
          expect([kind, told]).toEqual([kind, isOwnDirect ? 'ARGUMENT_INVALID' : requirement.missing]);
        else if (STANDINGS.indexOf(actor) >= STANDINGS.indexOf(least))
          expect([actor, told]).toEqual([actor, OK]);
        else {
          expect([actor, told]).toEqual([actor, isInside ? 'ROLE_TOO_LOW' : 'NOT_A_MEMBER']);
        }
      }
  });

  test('without a role: NOT_A_MEMBER for actions that read, ROOM_NOT_FOUND for actions on rooms', () => {
    const missing = Object.fromEntries(
      ACTIONS.map((action) => [action, accessCheck(action, 1n as UserId).requirement.missing]),
    );
    expect(missing).toEqual({
      getConversation: 'NOT_A_MEMBER',
      getMembers: 'NOT_A_MEMBER',
      getHistory: 'NOT_A_MEMBER',
      getThread: 'NOT_A_MEMBER',
      followThread: 'NOT_A_MEMBER',
      listPins: 'NOT_A_MEMBER',
      getReaders: 'NOT_A_MEMBER',
      markRead: 'NOT_A_MEMBER',
      setMute: 'NOT_A_MEMBER',
      setDraft: 'NOT_A_MEMBER',
      joinRoom: 'ROOM_NOT_FOUND',
      leaveRoom: 'ROOM_NOT_FOUND',
      removeMember: 'ROOM_NOT_FOUND',
      setRole: 'ROOM_NOT_FOUND',
      deleteRoom: 'ROOM_NOT_FOUND',
    });
  });
});

describe('actions on others', () => {
  const { requirement: removing } = accessCheck('removeMember', 1n as UserId);
  const { requirement: setting } = accessCheck('setRole', 1n as UserId);

  test('removeMember: moderators and owners, on lower ranks; former members stay out', () => {
    expect(table((actor, target) => refusal(removing, { kind: 'room', actor, target }))).toEqual([
      'NO NO NO NO NO',
      'NO NO NO NO NO',
      '-- -- -- -- --',
      'no OK OK -- --',
      'no OK OK OK --',
    ]);
  });

  test.each([
    // Owners are what they are to be already: a repeated call finds it done.
    ['owner', 'no no OK OK OK'],
    ['moderator', 'no no OK OK --'],
    ['member', 'no no OK OK --'],
  ] as const)('setRole to %s: owners, on lower ranks', (given, byOwner) => {
    expect(table((actor, target) => refusal(setting, { kind: 'room', actor, target, given }))).toEqual([
      'NO NO NO NO NO',
      'NO NO NO NO NO',
      '-- -- -- -- --',
      '-- -- -- -- --',
      byOwner,
    ]);
  });

  test('in a direct conversation or a missing one: nothing is allowed', () => {
    for (const requirement of [removing, setting])
      for (const [kind, told] of [
        ['direct', 'ARGUMENT_INVALID'],
        [undefined, 'ROOM_NOT_FOUND'],
      ] as const)
        expect(refusal(requirement, { kind, actor: 'member', target: 'member' })).toBe(told);
  });

  test('an edit: nobody of a message of others, its author in any role', () => {
    const { requirement } = accessCheck('edit', 1n as UserId);
    for (const kind of ['direct', 'room'] as const)
      for (const actor of ROLES) {
        expect(refusal(requirement, { kind, actor, target: 'member' })).toBe('ROLE_TOO_LOW');
        expect(refusal(requirement, { kind, actor, target: 'self' })).toBe(OK);
      }
  });

  test('a retraction: moderators and owners, of messages of lower ranks and of those who are gone', () => {
    const { requirement } = accessCheck('retract', 1n as UserId);
    expect(table((actor, target) => refusal(requirement, { kind: 'room', actor, target }))).toEqual([
      'NO NO NO NO NO',
      'NO NO NO NO NO',
      '-- -- -- -- --',
      'OK OK OK -- --',
      'OK OK OK OK --',
    ]);
    for (const actor of ROLES) expect(refusal(requirement, { kind: 'room', actor, target: 'self' })).toBe(OK);
    expect(refusal(requirement, { kind: 'direct', actor: 'member', target: 'member' })).toBe('ROLE_TOO_LOW');
    expect(refusal(requirement, { kind: 'direct', actor: 'member', target: 'self' })).toBe(OK);
  });

  test('a pin: moderators and owners of rooms, both of a direct conversation', () => {
    const { requirement } = accessCheck('pin', 1n as UserId);
    const told = ROLES.map((actor) => refusal(requirement, { kind: 'room', actor }));
    expect(told).toEqual(['ROLE_TOO_LOW', OK, OK]);
    expect(refusal(requirement, { kind: 'direct', actor: 'member' })).toBe(OK);
  });

  test('the rules that the store gets: those of the table', () => {
    expect(DEFAULT_ENTRY_RULES).toMatchObject({ pin: 'moderator', retract: 'moderator' });
  });
});

describe('actions on oneself', () => {
  test('leaving: whatever the role, by removeMember too', () => {
    for (const action of ['leaveRoom', 'removeMember'] as const)
      for (const actor of STANDINGS) {
        const { requirement } = accessCheck(action, 1n as UserId);
        const told = refusal(requirement, { kind: 'room', actor, target: 'self' });
        expect([action, actor, told]).toEqual([action, actor, actor === 'nonmember' ? 'NOT_A_MEMBER' : OK]);
      }
  });

  test('stepping down: always, up: never', () => {
    const { requirement } = accessCheck('setRole', 1n as UserId);
    for (const actor of ROLES)
      for (const given of ROLES) {
        const told = refusal(requirement, { kind: 'room', actor, target: 'self', given });
        const isUp = ROLES.indexOf(given) > ROLES.indexOf(actor);
        expect([actor, given, told]).toEqual([actor, given, isUp ? 'ROLE_TOO_LOW' : OK]);
      }
    for (const actor of ['nonmember', 'former'] as const)
      expect(refusal(requirement, { kind: 'room', actor, target: 'self', given: 'member' })).toBe(
        'NOT_A_MEMBER',
      );
  });
});
