/** Member lists by conversation and version, and what waits for them; bounded, least recently used first out. */
import type { ConversationId } from '../../common/mod.ts';
import type { Downlink, Target } from '../session/downlink.ts';
import { packIds } from '../session/u64.ts';
import type { MemberList } from '../store/store.ts';

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
  /** Ids in halves (packIds). */
  members: Uint32Array;
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

  /** Fills an entry; what was not used lately may have to go for it. */
  fill(entry: Entry, list: MemberList): void {
    const members = packIds(list.members.map((member) => member.user));
    this.#members += (members.length - entry.members.length) / 2;
    entry.members = members;
    entry.version = list.version;
    entry.checkedMs = performance.now();
    entry.visibleToAllAfter = list.members.reduce(
      (most, member) => Math.max(most, member.visibleAfterSeq),
      0,
    );
    entry.visibleAfter =
      entry.visibleToAllAfter === 0
        ? undefined
        : Float64Array.from(list.members, (member) => member.visibleAfterSeq);
    entry.targetsVersion = -1;
    this.#sweep();
  }

  delete(entry: Entry): void {
    this.#members -= entry.members.length / 2;
    this.#entries.delete(entry.conversation);
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
