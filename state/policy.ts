/**
 * Who may do what in a conversation: a table of what each action requires, by kind of conversation, and the comparison of that
 * with where people stand. Pure: whoever reads the rows compares, within the transaction that has locked them.
 */
import type { UserId } from '../common/mod.ts';
import type { client } from '../proto/mod.ts';

export type ConversationKind = 'direct' | 'room';

/** Roles of members by ascending rank. In a direct conversation all are plain members. */
export const ROLES = ['member', 'moderator', 'owner'] as const;
export type Role = (typeof ROLES)[number];

/** Standings of users in a conversation, by ascending rank: never a member, former member, or a role. */
export const STANDINGS = ['nonmember', 'former', ...ROLES] as const;
export type Standing = (typeof STANDINGS)[number];

/** Why an action is refused. NOT_A_MEMBER is who acts, or whom it is about; NOT_OWNER: the role of who acts is too low. */
export type Refusal = 'ROOM_NOT_FOUND' | 'NOT_A_MEMBER' | 'NOT_OWNER';

/**
 * What an action requires in a conversation of one kind.
 *
 * Two rules hold for all actions and are not written in the table. On others one acts only where they rank lower; on oneself
 * (to leave, to step down) whatever the own role. And nobody gives a role above the own.
 */
export interface Rule {
  /** The least standing of who acts, on others where it is an action on somebody. */
  readonly actor: Standing;
  /** Of an action on somebody: the least standing of that user, who may be the actor. */
  readonly target?: Standing;
}

/** Requirements of an action, by kind of conversation. Plain data, which goes to the store with the action. */
export interface Requirement {
  /** Error if there is no such conversation, or none of a kind that has the action. */
  readonly missing: Refusal;
  readonly direct?: Rule;
  readonly room?: Rule;
}

/** The actor, and the requirements. */
export interface Claim {
  readonly actor: UserId;
  readonly requirement: Requirement;
}

/** The facts about an action in the rows. */
export interface Facts {
  /** Undefined: there is no such conversation. */
  readonly kind: ConversationKind | undefined;
  readonly actor: Standing;
  /** Target of the action; undefined if it has none. */
  readonly target?: Standing | 'self' | undefined;
  /** The role that the target is to have. */
  readonly given?: Role;
}

type CallName = NonNullable<client.Request['call']>['$case'];

/** The call is not about a conversation that is there already: whoever is logged in may, and gets what is their own. */
const ANYBODY = undefined;

const POLICY = {
  sync: ANYBODY,
  listConversations: ANYBODY,
  listRooms: ANYBODY,
  openDirect: ANYBODY,
  createRoom: ANYBODY,
  getConversation: everywhere({ actor: 'member' }),
  getMembers: everywhere({ actor: 'member' }),
  getHistory: everywhere({ actor: 'former' }),
  joinRoom: inRooms({ actor: 'nonmember' }),
  leaveRoom: inRooms({ actor: 'former' }),
  removeMember: inRooms({ actor: 'moderator', target: 'former' }),
  setRole: inRooms({ actor: 'owner', target: 'member' }),
  deleteRoom: inRooms({ actor: 'owner' }),
} as const satisfies Readonly<Record<CallName, Requirement | undefined>>;

/** An action that requires something. That of SEND, to be a member, is part of the statement that appends. */
export type Action = {
  [Name in CallName]: (typeof POLICY)[Name] extends Requirement ? Name : never;
}[CallName];

/** Turns an action into what the store is to compare with its rows. */
export function claim(action: Action, actor: UserId): Claim {
  return { actor, requirement: POLICY[action] };
}

/** Compares what an action requires with what is; undefined: it may be done. */
export function refusal(requirement: Requirement, facts: Facts): Refusal | undefined {
  const { kind, actor, target, given } = facts;
  const rule = kind && requirement[kind];
  if (rule === undefined) return requirement.missing;
  const least = target === 'self' && rule.target !== undefined ? rule.target : rule.actor;
  if (isBelow(actor, least)) return isBelow(actor, 'member') ? 'NOT_A_MEMBER' : 'NOT_OWNER';
  if (given !== undefined && isBelow(actor, given)) return 'NOT_OWNER';
  if (rule.target === undefined || target === undefined || target === 'self') return undefined;
  if (isBelow(target, rule.target)) return 'NOT_A_MEMBER';
  // A call that is repeated finds done what it asks for.
  return target === given || isBelow(target, actor) ? undefined : 'NOT_OWNER';
}

function isBelow(standing: Standing, other: Standing): boolean {
  return STANDINGS.indexOf(standing) < STANDINGS.indexOf(other);
}

function everywhere(rule: Rule): Requirement {
  return { missing: 'NOT_A_MEMBER', direct: rule, room: rule };
}

function inRooms(rule: Rule): Requirement {
  return { missing: 'ROOM_NOT_FOUND', room: rule };
}
