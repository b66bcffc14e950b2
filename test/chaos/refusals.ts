/** Checks of refusals: each has a code that clients may meet, and a cause. */
import type { Floors } from './floors.ts';
import { type FoldedLog, short } from './folded-log.ts';
import type { EntryOf } from './history.ts';
import type { Memberships } from './memberships.ts';
import type { Accuse } from './rules.ts';

/** Most unanswered sends of a client. */
export const OUTBOX_LIMIT = 1024;

/** The allowed refusals of a send, and whether the message may exist then. */
const FAILURES: ReadonlyMap<string, 'absent' | 'unknown'> = new Map([
  ['CLIENT_CLOSED', 'unknown'],
  ['SESSION_REPLACED', 'unknown'],
  ['KICKED', 'unknown'],
  ['LOGGED_OUT', 'unknown'],
  ['TOKEN_REVOKED', 'unknown'],
  ['OUTBOX_FULL', 'absent'],
  ['NOT_A_MEMBER', 'absent'],
  ['TARGET_NOT_FOUND', 'absent'],
  ['TARGET_EXPIRED', 'absent'],
  ['TARGET_INVALID', 'absent'],
  ['TARGET_RETRACTED', 'absent'],
  ['NOT_AUTHOR', 'absent'],
  ['ROLE_TOO_LOW', 'absent'],
  ['PINS_FULL', 'absent'],
  ['RANGES_FULL', 'absent'],
]);
/** Refusals that mean a defect of GoChat. */
const BROKEN = new Set(['INTERNAL', 'FRAME_INVALID', 'FRAME_UNKNOWN']);
/** Refusals of non-members. */
const NOT_A_MEMBER = new Set(['NOT_A_MEMBER', 'TARGET_NOT_A_MEMBER', 'ROOM_NOT_FOUND']);

/** The facts that refusals are judged by. */
export interface RefusalWorld {
  readonly sends: ReadonlyMap<string, EntryOf<'send'>>;
  readonly acked: ReadonlySet<string>;
  /** The log by text. */
  readonly logged: ReadonlyMap<string, EntryOf<'log'>>;
  readonly folded: ReadonlyMap<string, FoldedLog>;
  readonly floors: Floors;
  readonly memberships: Memberships;
  readonly isAlive: (instance: string) => boolean;
  readonly accuse: Accuse;
}

interface Failure extends EntryOf<'failed'> {
  /** Other sends of its client that had no answer. */
  readonly pending: number;
}

export class Refusals {
  /** Calls that were refused. */
  readonly #calls: EntryOf<'call'>[] = [];
  readonly #failures: Failure[] = [];
  /** Sends without an answer, by client. */
  readonly #pending = new Map<string, number>();

  /** Adds the next entry of a client: a send, its answer, or a call. */
  add(entry: EntryOf<'send' | 'acked' | 'failed' | 'call'>): void {
    if (entry.kind === 'call') {
      if (entry.code !== '') this.#calls.push(entry);
      return;
    }
    const before = this.#pending.get(entry.instance) ?? 0;
    const pending = before + (entry.kind === 'send' ? 1 : -1);
    this.#pending.set(entry.instance, pending);
    if (entry.kind === 'failed') this.#failures.push({ ...entry, pending });
  }

  /** Judges. Returns the number of sends without an ack, by error. */
  judge(world: RefusalWorld): Record<string, number> {
    for (const call of this.#calls) judgeCall(call, world);
    const failed: Record<string, number> = {};
    const told = new Set<string>();
    for (const failure of this.#failures) {
      failed[failure.code] = (failed[failure.code] ?? 0) + 1;
      told.add(failure.text);
      judgeFailure(failure, world);
    }
    for (const [text, { instance }] of world.sends) {
      if (world.acked.has(text) || told.has(text)) continue;
      failed[''] = (failed[''] ?? 0) + 1;
      if (world.isAlive(instance))
        world.accuse('one answer', `${instance}: nothing was said of "${short(text)}"`);
    }
    return failed;
  }
}

/**
 * Checks that each send has one outcome, a failed one with an allowed code, and that a refused message is not in the
 * log.
 */
function judgeFailure({ instance, text, code, at, pending }: Failure, world: RefusalWorld): void {
  const { accuse, memberships } = world;
  const meaning = FAILURES.get(code);
  const what = `${instance}: "${short(text)}" failed with ${code}`;
  if (meaning === undefined) accuse('expected codes', what);
  if (world.acked.has(text)) accuse('one answer', `${what} and was acked`);
  // A repetition that comes after its room was deleted is refused.
  if (meaning === 'absent' && world.logged.get(text)?.erased === false)
    accuse('one answer', `${what} and is in the log`);
  const send = world.sends.get(text);
  if (code === 'OUTBOX_FULL' && pending < OUTBOX_LIMIT)
    accuse('justified refusals', `${what} beside ${pending} others`);
  if (
    send !== undefined &&
    NOT_A_MEMBER.has(code) &&
    memberships.wasIn(userOf(instance), send.conversation, send.at, at)
  )
    accuse('justified refusals', `${what} by a member of ${send.conversation}`);
  const unjust = send === undefined ? undefined : unjustified(code, userOf(instance), send, at, world);
  if (unjust !== undefined) accuse('justified refusals', `${what}, but ${unjust}`);
}

/** Returns why the refusal of an entry about a message had no cause; undefined: it had, or that cannot be told. */
function unjustified(
  code: string,
  user: string,
  { conversation, target = 0, at: sent }: EntryOf<'send'>,
  at: number,
  { folded, floors, memberships }: RefusalWorld,
): string | undefined {
  const log = folded.get(conversation);
  const logged = log?.entry(target);
  if (log === undefined || logged === undefined) return undefined;
  switch (code) {
    case 'TARGET_NOT_FOUND':
      return memberships.wasIn(user, conversation, sent, at) &&
        (memberships.after(user, conversation) ?? target) < target
        ? `${target} is for ${user}`
        : undefined;
    case 'TARGET_EXPIRED':
      return floors.last(conversation) < target ? `the floor is not at ${target} yet` : undefined;
    case 'TARGET_INVALID':
      return logged.entry === 'message' ? `${target} is a message` : undefined;
    case 'TARGET_RETRACTED':
      return log.retractedBy(target) === undefined ? `${target} was not retracted` : undefined;
    case 'NOT_AUTHOR':
      return logged.from === user ? `${target} is of ${user}` : undefined;
    default:
      return undefined;
  }
}

function judgeCall(entry: EntryOf<'call'>, { accuse, memberships }: RefusalWorld): void {
  const { instance, call, conversation, code, since, at, peer } = entry;
  const what = `${instance}: ${call} was refused with ${code}`;
  if (BROKEN.has(code)) accuse('expected codes', what);
  const concerned = [userOf(instance), ...(peer === undefined ? [] : [peer])];
  if (NOT_A_MEMBER.has(code) && concerned.every((user) => memberships.wasIn(user, conversation, since, at)))
    accuse('justified refusals', `${what}, in ${conversation}, whose member it was`);
}

/** User of the client. */
export function userOf(instance: string): string {
  return instance.slice(0, instance.indexOf('/'));
}
