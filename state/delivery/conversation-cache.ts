/** Cache of member lists by conversation and version, with the pushes that wait for them; bounded, LRU. */
import type { ConversationId, UserId } from '../../common/mod.ts';
import type { Downlink, Target } from '../session/downlink.ts';
import { inPieces } from '../store/member-pieces.ts';
import type { MemberChanges, MemberList } from '../store/store.ts';

/** A frame for the members of a conversation, except the connection that sent it. */
export interface Push {
  readonly conversation: ConversationId;
  /** The member version at the commit. */
  readonly memberVersion: number;
  /** Seq of the message, for members with a visibility bound; EVERYBODY for frames that are not messages. */
  readonly seq: number;
  readonly frame: Uint8Array;
  /** Of an entry about another message: members who may not read that one get the bare frame. */
  readonly about?: { readonly seq: number; readonly bareFrame: () => Uint8Array } | undefined;
  readonly link: Downlink | undefined;
  readonly conn: number;
}

/** A frame for the connections that watch a conversation. */
export interface WatcherPush {
  readonly conversation: ConversationId;
  readonly frame: Uint8Array;
  /** Whether it may be dropped at any time. */
  readonly isEphemeral: boolean;
  /** Which members it is for. */
  readonly isFor: (watcher: UserId) => boolean;
  /** It is only for larger conversations, or only for smaller ones, than MAX_EPHEMERAL_MEMBERS. @default for all */
  readonly size?: 'small' | 'large';
}

export interface Entry {
  readonly conversation: ConversationId;
  /** Ascending user ids in halves (packIds). */
  members: Uint32Array<ArrayBuffer>;
  /** By member, the seq after which it may read; undefined: all may read everything. */
  visibleAfter: Float64Array | undefined;
  /** The greatest of those: messages beyond it are visible to all members. */
  visibleToAllAfter: number;
  /** -1: never loaded. */
  version: number;
  /** When the list was last known to be the newest, monotonic ms. */
  checkedMs: number;
  /** Whether somebody watches it who was not in the list: who has joined since is to be found before the next such push. */
  lacksWatcher: boolean;
  /** Pushes to those who watch it, which wait for the members; undefined: none. */
  watcherPushes: WatcherPush[] | undefined;
  /** The newest ephemeral push that waits for the members. */
  pendingEphemeral: (() => void) | undefined;
  /** Whether it was used since the last sweep. */
  used: boolean;
  /** Whether a load is queued, in flight or to be retried. */
  loading: boolean;
  /** Whether pushes were dropped; the members resync once they are known. */
  lost: boolean;
  /** Highest version requested. */
  wanted: number;
  /** Pushes that wait for that version; undefined: none. */
  waiting: Push[] | undefined;
  /** Resolved connections, cached for large conversations. */
  targets: readonly Target[] | undefined;
  /** Version of the location map that the targets are of; -1: the members have changed. */
  targetsVersion: number;
}

/** Push.seq of a frame for every member. */
export const EVERYBODY = Number.MAX_SAFE_INTEGER;

const NO_MEMBERS = new Uint32Array(0);

/** Keeps entries up to bounds on conversations and members. Entries that wait for a load are always kept. */
export class ConversationCache {
  readonly #maxConversations: number;
  readonly #maxMembers: number;
  readonly #entries = new Map<ConversationId, Entry>();
  #members = 0;

  constructor(maxConversations: number, maxMembers: number) {
    this.#maxConversations = maxConversations;
    this.#maxMembers = maxMembers;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** Returns the entry of a conversation; a new empty one if there is none. */
  entry(conversation: ConversationId): Entry {
    const known = this.#entries.get(conversation);
    if (known !== undefined) {
      known.used = true;
      return known;
    }
    const entry: Entry = {
      conversation,
      members: NO_MEMBERS,
      visibleAfter: undefined,
      visibleToAllAfter: 0,
      version: -1,
      checkedMs: 0,
      lacksWatcher: false,
      watcherPushes: undefined,
      pendingEphemeral: undefined,
      used: true,
      loading: false,
      lost: false,
      wanted: -1,
      waiting: undefined,
      targets: undefined,
      targetsVersion: -1,
    };
    this.#entries.set(conversation, entry);
    return entry;
  }

  /** Returns the entry of a conversation if there is one, which does not count as its use. */
  peek(conversation: ConversationId): Entry | undefined {
    return this.#entries.get(conversation);
  }

  /** Fills a loading entry, in pieces; may evict entries that were not used lately. */
  async fill(entry: Entry, { version, members }: MemberList): Promise<void> {
    const users = new BigUint64Array(members.length);
    const visibleAfter = new Float64Array(members.length);
    let most = 0;
    await inPieces(members, ({ user, visibleAfterSeq }, at) => {
      users[at] = user;
      visibleAfter[at] = visibleAfterSeq;
      if (visibleAfterSeq > most) most = visibleAfterSeq;
    });
    this.#set(entry, version, users, visibleAfter, most);
  }

  /**
   * Applies changes to an entry. Returns false, and changes nothing, if some change was not recorded. The work is
   * proportional to the changes; unchanged members between them are copied as memory.
   */
  update(entry: Entry, { version, count, joined, left }: MemberChanges): boolean {
    const before = new BigUint64Array(entry.members.buffer);
    const visibleBefore = entry.visibleAfter;
    const users = new BigUint64Array(before.length + joined.length);
    const visibleAfter = new Float64Array(users.length);
    const come = new Map<bigint, number>(joined.map(({ user, visibleAfterSeq }) => [user, visibleAfterSeq]));
    let [from, to] = [0, 0];
    const keep = (end: number) => {
      users.set(before.subarray(from, end), to);
      if (visibleBefore !== undefined) visibleAfter.set(visibleBefore.subarray(from, end), to);
      to += end - from;
      from = end;
    };
    for (const user of BigUint64Array.from([...left, ...come.keys()]).sort()) {
      keep(lowerBound(before, user, from));
      if (before[from] === user) from++;
      const seq = come.get(user);
      if (seq === undefined) continue;
      users[to] = user;
      visibleAfter[to++] = seq;
    }
    keep(before.length);
    if (to !== count) return false;
    // The maximum may be that of a member who has left; then all members are checked.
    const most = joined.reduce(
      (seq, member) => Math.max(seq, member.visibleAfterSeq),
      entry.visibleToAllAfter,
    );
    this.#set(entry, version, users.slice(0, to), visibleAfter.slice(0, to), most);
    return true;
  }

  delete(entry: Entry): void {
    this.#members -= entry.members.length / 2;
    this.#entries.delete(entry.conversation);
  }

  #set(
    entry: Entry,
    version: number,
    users: BigUint64Array<ArrayBuffer>,
    visibleAfter: Float64Array,
    visibleToAllAfter: number,
  ): void {
    this.#members += users.length - entry.members.length / 2;
    entry.members = new Uint32Array(users.buffer);
    entry.visibleAfter = visibleToAllAfter === 0 ? undefined : visibleAfter;
    entry.visibleToAllAfter = visibleToAllAfter;
    entry.version = version;
    entry.checkedMs = performance.now();
    entry.targetsVersion = -1;
    this.#sweep();
  }

  /** The clock algorithm: an entry used since its last turn gets another one. */
  #sweep(): void {
    if (!this.#isOver()) return;
    // At most two rounds: the first one clears the marks.
    let turns = this.#entries.size * 2;
    for (const [conversation, entry] of this.#entries) {
      if (!this.#isOver() || turns-- <= 0) return;
      if (entry.loading || entry.used) {
        entry.used = false;
        this.#entries.delete(conversation);
        this.#entries.set(conversation, entry);
      } else {
        this.delete(entry);
      }
    }
  }

  #isOver(): boolean {
    return this.#entries.size > this.#maxConversations || this.#members > this.#maxMembers;
  }
}

/** Returns a test of whether users are among the members of an entry. */
export function memberTest({ members }: Entry): (user: UserId) => boolean {
  const ids = new BigUint64Array(members.buffer);
  return (user) => ids[lowerBound(ids, user, 0)] === user;
}

/** Returns whether a user is among the members of an entry. */
export function isMember({ members }: Entry, user: UserId): boolean {
  const ids = new BigUint64Array(members.buffer);
  return ids[lowerBound(ids, user, 0)] === user;
}

/** Returns the first index from `from` whose id is not less. */
function lowerBound(ids: BigUint64Array, id: bigint, from: number): number {
  let [low, high] = [from, ids.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((ids[middle] as bigint) < id) low = middle + 1;
    else high = middle;
  }
  return low;
}
