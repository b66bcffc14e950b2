/** Member lists by conversation and version, and what waits for them; bounded, least recently used first out. */
import type { ConversationId } from '../../common/mod.ts';
import type { Downlink, Target } from '../session/downlink.ts';
import { inPieces } from '../store/member-pieces.ts';
import type { MemberChanges, MemberList } from '../store/store.ts';

/** A frame on its way to the members of a conversation, save the connection that sent it. */
export interface Push {
  readonly conversation: ConversationId;
  /** The member version at the commit. */
  readonly memberVersion: number;
  /** The message's seq, for members who may not see all; EVERYBODY for what is no message. */
  readonly seq: number;
  readonly frame: Uint8Array;
  readonly link: Downlink | undefined;
  readonly conn: number;
}

export interface Entry {
  readonly conversation: ConversationId;
  /** Ascending ids in halves (packIds). */
  members: Uint32Array<ArrayBuffer>;
  /** By member, the seq after which they may read; undefined: all may read all. */
  visibleAfter: Float64Array | undefined;
  /** The greatest of those: what lies beyond it is for all members. */
  visibleToAllAfter: number;
  /** -1: never loaded. */
  version: number;
  /** When the list was last known to be the newest, monotonic, ms. */
  checkedMs: number;
  /** What is typed while the members are looked up; the newest only. */
  typed: (() => void) | undefined;
  /** Looked up since the last sweep. */
  used: boolean;
  /** A load is queued, in flight or to be retried. */
  loading: boolean;
  /** Pushes were left out: the members resync once they are known. */
  lost: boolean;
  /** Highest version asked for. */
  wanted: number;
  /** Pushes until then; undefined: none. */
  waiting: Push[] | undefined;
  /** Resolved connections, kept for large conversations. */
  targets: readonly Target[] | undefined;
  /** Version of the location map of which they are; -1: the members are others. */
  targetsVersion: number;
}

/** A Push.seq that every member may see. */
export const EVERYBODY = Number.MAX_SAFE_INTEGER;

const NO_MEMBERS = new Uint32Array(0);

/** Keeps entries up to a number of conversations and of members; entries that wait for a load are kept in any case. */
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

  /** Returns the entry of a conversation, an empty one where there is none. */
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
      typed: undefined,
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

  /** Fills an entry that is loading, in pieces; what was not used lately may have to go for it. */
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
   * Brings an entry up to date; returns false, and changes nothing, where a change was not recorded. Its work grows with
   * the changes: of the members between them it copies memory.
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
    // Of those who have left, it may be more than any member's: then each member is looked at.
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

  /** The clock algorithm: what was used since its last turn gets another one. */
  #sweep(): void {
    if (!this.#isOver()) return;
    // Twice round at most: the first round takes the marks away.
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

/** Returns the first place from `from` on whose id is not less. */
function lowerBound(ids: BigUint64Array, id: bigint, from: number): number {
  let [low, high] = [from, ids.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((ids[middle] as bigint) < id) low = middle + 1;
    else high = middle;
  }
  return low;
}
