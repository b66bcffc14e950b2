/**
 * The policy: a table of the requirements of each action, by kind of conversation, and their comparison with users'
 * standings. Pure: the code that reads the rows compares, within the transaction that has locked them.
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

/**
 * Why an action is refused. ROLE_TOO_LOW: the actor's role is too low. ARGUMENT_INVALID: the conversation is a direct one
 * of the actor's, and those do not have the action.
 */
export type Refusal =
  | 'ROOM_NOT_FOUND'
  | 'NOT_A_MEMBER'
  | 'TARGET_NOT_A_MEMBER'
  | 'ROLE_TOO_LOW'
  | 'ARGUMENT_INVALID';

/**
 * Requirements of an action in a conversation of one kind.
 *
 * Two rules hold for all actions and are not in the table. An action on another user requires a higher role than that
 * user's; on oneself (leaving, stepping down) any role suffices. And nobody gives a role above their own.
 */
export interface Rule {
  /** Least standing of the actor, on others if the action has a target; 'nobody': only on oneself. */
  readonly actor: Standing | 'nobody';
  /** Least standing of the target, who may be the actor. */
  readonly target?: Standing;
}

/** Requirements of an action, by kind of conversation. Plain data, which goes to the store with the action. */
export interface Requirement {
  /** Error if there is no such conversation, or none of a kind that has the action. */
  readonly missing: Refusal;
  readonly direct?: Rule;
  readonly room?: Rule;
}

/** A check that the store makes within its transaction: who acts, and the requirements. */
export interface AccessCheck {
  readonly actor: UserId;
  readonly requirement: Requirement;
}

/** The facts about an action in the rows. */
export interface Facts {
  /** Undefined if there is no such conversation. */
  readonly kind: ConversationKind | undefined;
  readonly actor: Standing;
  /** Target of the action; undefined if it has none. */
  readonly target?: Standing | 'self' | undefined;
  /** The role to give to the target. */
  readonly given?: Role;
}

/** The requirements of entries, which the append compares with the rows that it has locked. Plain data. */
export interface EntryRules {
  /** Longest time from a message's commit to that of an edit, ms. */
  readonly editWindowMs: number;
  /** Least role to pin and unpin in a room; in a direct conversation both may. */
  readonly pin: Role;
  /** Least role to retract another's message in a room; it must be higher than that of its author, too. */
  readonly retract: Role;
  /** How long what a moderator retracts is kept as evidence, ms. */
  readonly evidenceMs: number;
}

type CallName = NonNullable<client.Request['call']>['$case'];
/** Kinds of entries with requirements beyond membership; their target is the message's author. */
type EntryAction = 'edit' | 'retract' | 'pin';

/** The call does not concern an existing conversation: every user may make it and gets their own. */
const ANYBODY = undefined;

/** Of admins of the server, which is no standing in a conversation: see ServerAdmin. */
const ADMINS = undefined;

const POLICY = {
  sync: ANYBODY,
  listConversations: ANYBODY,
  listRooms: ANYBODY,
  openDirect: ANYBODY,
  createRoom: ANYBODY,
  getUsers: ANYBODY,
  setProfile: ANYBODY,
  changePassword: ANYBODY,
  listSessions: ANYBODY,
  endSession: ANYBODY,
  closeAccount: ANYBODY,
  createBot: ANYBODY,
  listBots: ANYBODY,
  renewBotToken: ANYBODY,
  closeBot: ANYBODY,
  listAccounts: ADMINS,
  changeAccount: ADMINS,
  resetPassword: ADMINS,
  endSessions: ADMINS,
  getSelf: ANYBODY,
  getPresence: ANYBODY,
  setSettings: ANYBODY,
  getReaders: everywhere({ actor: 'member' }),
  markRead: everywhere({ actor: 'member' }),
  // Of no conversation, or of one that the user is not in, there is nothing to move.
  markAllRead: ANYBODY,
  setMute: everywhere({ actor: 'member' }),
  setDraft: everywhere({ actor: 'member' }),
  getConversation: everywhere({ actor: 'member' }),
  getMembers: everywhere({ actor: 'member' }),
  getHistory: everywhere({ actor: 'former' }),
  getThread: everywhere({ actor: 'former' }),
  followThread: everywhere({ actor: 'member' }),
  listThreads: ANYBODY,
  listPins: everywhere({ actor: 'member' }),
  joinRoom: inRooms({ actor: 'nonmember' }),
  leaveRoom: inRooms({ actor: 'former' }),
  removeMember: inRooms({ actor: 'moderator', target: 'former' }),
  setRole: inRooms({ actor: 'owner', target: 'member' }),
  deleteRoom: inRooms({ actor: 'owner' }),
  edit: everywhere({ actor: 'nobody', target: 'nonmember' }),
  retract: {
    missing: 'NOT_A_MEMBER',
    direct: { actor: 'nobody', target: 'nonmember' },
    room: { actor: 'moderator', target: 'nonmember' },
  },
  pin: { missing: 'NOT_A_MEMBER', direct: { actor: 'member' }, room: { actor: 'moderator' } },
} as const satisfies Readonly<Record<CallName | EntryAction, Requirement | undefined>>;

/** An action with requirements. That of SEND, membership, is part of the append statement, which gets EntryRules too. */
export type Action = {
  [Name in keyof typeof POLICY]: (typeof POLICY)[Name] extends Requirement ? Name : never;
}[keyof typeof POLICY];

export const DEFAULT_ENTRY_RULES: EntryRules = Object.freeze({
  editWindowMs: 24 * 3_600_000,
  pin: POLICY.pin.room.actor,
  retract: POLICY.retract.room.actor,
  evidenceMs: 30 * 24 * 3_600_000,
});

/** Returns the check of an action that the store makes against its rows. */
export function accessCheck(action: Action, actor: UserId): AccessCheck {
  return { actor, requirement: POLICY[action] };
}

/** Compares requirements with facts. Returns the refusal; undefined if the action is allowed. */
export function refusal(requirement: Requirement, facts: Facts): Refusal | undefined {
  const { kind, actor, target, given } = facts;
  const rule = kind && requirement[kind];
  if (rule === undefined)
    return kind === 'direct' && !isBelow(actor, 'member') ? 'ARGUMENT_INVALID' : requirement.missing;
  const least = target === 'self' && rule.target !== undefined ? rule.target : rule.actor;
  if (isBelow(actor, least)) return isBelow(actor, 'member') ? 'NOT_A_MEMBER' : 'ROLE_TOO_LOW';
  if (given !== undefined && isBelow(actor, given)) return 'ROLE_TOO_LOW';
  if (rule.target === undefined || target === undefined || target === 'self') return undefined;
  if (isBelow(target, rule.target)) return 'TARGET_NOT_A_MEMBER';
  // A repeated call finds its effect already there.
  return target === given || isBelow(target, actor) ? undefined : 'ROLE_TOO_LOW';
}

function isBelow(standing: Standing, other: Standing | 'nobody'): boolean {
  return other === 'nobody' || STANDINGS.indexOf(standing) < STANDINGS.indexOf(other);
}

function everywhere(rule: Rule): Requirement {
  return { missing: 'NOT_A_MEMBER', direct: rule, room: rule };
}

function inRooms(rule: Rule): Requirement {
  return { missing: 'ROOM_NOT_FOUND', room: rule };
}
