/** The watch book: which connections watch which conversations and users, in columns of typed arrays. */
import type { ConversationId, UserId } from '../../common/mod.ts';
import { SlotIndex } from './slot-index.ts';
import { highOf, LOW, lowOf } from './u64.ts';

const NONE = -1;
const MIN_SLOTS = 64;
/** Small, as an edge may take at most 40 bytes with its share of what is spare. */
const GROWTH = 1.125;

/** Bits of an edge's watcher column beside the slot. */
const IS_USER = 0x8000_0000;
const SHARES_ROOM = 0x4000_0000;
const SLOT_BITS = 0x3fff_ffff;

/** A user to be watched. */
export interface WatchedUser {
  readonly user: UserId;
  /** Whether the watcher is in a room with the user. */
  readonly sharesRoom: boolean;
}

/** Called for a connection that watches. */
export type Visit = (stream: number, conn: number, watcher: UserId, sharesRoom: boolean) => void;

/**
 * A watcher is a connection, an edge ties it to a conversation or user. Edges of one watcher are a list, those of one target a
 * ring of two directions, so that each is found and removed without a search.
 */
export class WatchBook {
  readonly #byConn = new SlotIndex({
    low: (slot) => this.#conns[slot] as number,
    high: (slot) => this.#streams[slot] as number,
  });
  readonly #byConversation = this.#edgeIndex();
  readonly #byUser = this.#edgeIndex();

  #conns = new Uint32Array(MIN_SLOTS);
  #streams = new Uint16Array(MIN_SLOTS);
  #users = new BigUint64Array(MIN_SLOTS);
  /** First edge of a watcher. */
  #first = new Int32Array(MIN_SLOTS);
  /** Next and previous watcher of the same stream. */
  #after = new Int32Array(MIN_SLOTS);
  #before = new Int32Array(MIN_SLOTS);
  /** By stream: its first watcher. */
  readonly #heads: number[] = [];
  /** Slots from the top on were never used; the free ones below it are a list. */
  #watcherTop = 0;
  #freeWatcher = NONE;
  #size = 0;

  /** Two halves per edge: the id of its target. */
  #targets = new Uint32Array(MIN_SLOTS * 2);
  #watcherOf = new Uint32Array(MIN_SLOTS);
  /** Next edge of the same watcher. */
  #further = new Int32Array(MIN_SLOTS);
  /** Next and previous edge of the same target. */
  #next = new Int32Array(MIN_SLOTS);
  #previous = new Int32Array(MIN_SLOTS);
  #edgeTop = 0;
  #freeEdge = NONE;
  #edges = 0;

  /** Number of connections that watch. */
  get size(): number {
    return this.#size;
  }

  /** Number of conversations and users that they watch, each as often as it is watched. */
  get edges(): number {
    return this.#edges;
  }

  /** Replaces what a connection watches; nothing: it is removed. */
  set(
    stream: number,
    conn: number,
    watcher: UserId,
    conversations: Iterable<bigint>,
    users: Iterable<WatchedUser>,
  ): void {
    let slot = this.#byConn.get(conn, stream);
    if (slot === NONE) slot = this.#addWatcher(stream, conn, watcher);
    else this.#removeEdges(slot);
    for (const conversation of conversations) this.#addEdge(slot, conversation, this.#byConversation, 0);
    for (const { user, sharesRoom } of users)
      this.#addEdge(slot, user, this.#byUser, IS_USER | (sharesRoom ? SHARES_ROOM : 0));
    if (this.#first[slot] === NONE) this.#removeWatcher(slot);
  }

  /** A connection has ended. */
  remove(stream: number, conn: number): void {
    const slot = this.#byConn.get(conn, stream);
    if (slot === NONE) return;
    this.#removeEdges(slot);
    this.#removeWatcher(slot);
  }

  /** Removes up to `most` connections of a stream. Returns whether none is left. */
  removeStream(stream: number, most: number): boolean {
    for (let left = most; left > 0; left--) {
      const slot = this.#heads[stream] ?? NONE;
      if (slot === NONE) return true;
      this.#removeEdges(slot);
      this.#removeWatcher(slot);
    }
    return (this.#heads[stream] ?? NONE) === NONE;
  }

  /** A user is no longer a member of a conversation. */
  removeMember(conversation: ConversationId, user: UserId): void {
    let edge = this.#byConversation.get(lowOf(conversation), highOf(conversation));
    while (edge !== NONE) {
      const next = this.#next[edge] as number;
      const slot = this.#slotOf(edge);
      if (this.#users[slot] === user) {
        this.#unchain(slot, edge);
        this.#removeEdge(edge);
        if (this.#first[slot] === NONE) this.#removeWatcher(slot);
      }
      edge = next;
    }
  }

  hasConversation(conversation: ConversationId): boolean {
    return this.#byConversation.get(lowOf(conversation), highOf(conversation)) !== NONE;
  }

  hasUser(user: UserId): boolean {
    return this.#byUser.get(lowOf(user), highOf(user)) !== NONE;
  }

  eachOfConversation(conversation: ConversationId, visit: Visit): void {
    this.#each(this.#byConversation.get(lowOf(conversation), highOf(conversation)), visit);
  }

  eachOfUser(user: UserId, visit: Visit): void {
    this.#each(this.#byUser.get(lowOf(user), highOf(user)), visit);
  }

  #each(head: number, visit: Visit): void {
    for (let edge = head; edge !== NONE; edge = this.#next[edge] as number) {
      const slot = this.#slotOf(edge);
      const sharesRoom = ((this.#watcherOf[edge] as number) & SHARES_ROOM) !== 0;
      visit(
        this.#streams[slot] as number,
        this.#conns[slot] as number,
        this.#users[slot] as UserId,
        sharesRoom,
      );
    }
  }

  #edgeIndex(): SlotIndex {
    return new SlotIndex({
      low: (edge) => this.#targets[edge * 2 + LOW] as number,
      high: (edge) => this.#targets[edge * 2 + 1 - LOW] as number,
    });
  }

  #slotOf(edge: number): number {
    return (this.#watcherOf[edge] as number) & SLOT_BITS;
  }

  #addWatcher(stream: number, conn: number, watcher: UserId): number {
    let slot = this.#freeWatcher;
    if (slot === NONE) {
      if (this.#watcherTop === this.#conns.length) this.#growWatchers(Math.ceil(this.#watcherTop * GROWTH));
      slot = this.#watcherTop++;
    } else this.#freeWatcher = this.#after[slot] as number;
    this.#size++;
    this.#conns[slot] = conn;
    this.#streams[slot] = stream;
    this.#users[slot] = watcher;
    this.#first[slot] = NONE;
    while (this.#heads.length <= stream) this.#heads.push(NONE);
    const head = this.#heads[stream] as number;
    this.#before[slot] = NONE;
    this.#after[slot] = head;
    if (head !== NONE) this.#before[head] = slot;
    this.#heads[stream] = slot;
    this.#byConn.set(conn, stream, slot);
    return slot;
  }

  #removeWatcher(slot: number): void {
    this.#byConn.delete(this.#conns[slot] as number, this.#streams[slot] as number);
    const [before, after] = [this.#before[slot] as number, this.#after[slot] as number];
    if (before === NONE) this.#heads[this.#streams[slot] as number] = after;
    else this.#after[before] = after;
    if (after !== NONE) this.#before[after] = before;
    this.#after[slot] = this.#freeWatcher;
    this.#freeWatcher = slot;
    this.#size--;
  }

  #addEdge(slot: number, target: bigint, index: SlotIndex, bits: number): void {
    let edge = this.#freeEdge;
    if (edge === NONE) {
      if (this.#edgeTop === this.#watcherOf.length) this.#growEdges(Math.ceil(this.#edgeTop * GROWTH));
      edge = this.#edgeTop++;
    } else this.#freeEdge = this.#further[edge] as number;
    this.#edges++;
    const [low, high] = [lowOf(target), highOf(target)];
    this.#targets[edge * 2 + LOW] = low;
    this.#targets[edge * 2 + 1 - LOW] = high;
    this.#watcherOf[edge] = slot | bits;
    this.#further[edge] = this.#first[slot] as number;
    this.#first[slot] = edge;
    const head = index.get(low, high);
    this.#next[edge] = head;
    this.#previous[edge] = NONE;
    if (head !== NONE) this.#previous[head] = edge;
    index.set(low, high, edge);
  }

  #removeEdges(slot: number): void {
    let edge = this.#first[slot] as number;
    this.#first[slot] = NONE;
    while (edge !== NONE) {
      const further = this.#further[edge] as number;
      this.#removeEdge(edge);
      edge = further;
    }
  }

  /** Takes an edge out of its watcher's list. */
  #unchain(slot: number, edge: number): void {
    const further = this.#further[edge] as number;
    let at = this.#first[slot] as number;
    if (at === edge) {
      this.#first[slot] = further;
      return;
    }
    while (this.#further[at] !== edge) at = this.#further[at] as number;
    this.#further[at] = further;
  }

  /** Takes an edge out of its target's ring, and frees it. */
  #removeEdge(edge: number): void {
    const [next, previous] = [this.#next[edge] as number, this.#previous[edge] as number];
    if (next !== NONE) this.#previous[next] = previous;
    if (previous === NONE) {
      const index = ((this.#watcherOf[edge] as number) & IS_USER) === 0 ? this.#byConversation : this.#byUser;
      const [low, high] = [
        this.#targets[edge * 2 + LOW] as number,
        this.#targets[edge * 2 + 1 - LOW] as number,
      ];
      if (next === NONE) index.delete(low, high);
      else index.set(low, high, next);
    } else this.#next[previous] = next;
    this.#further[edge] = this.#freeEdge;
    this.#freeEdge = edge;
    this.#edges--;
  }

  #growWatchers(capacity: number): void {
    this.#conns = grown(new Uint32Array(capacity), this.#conns);
    this.#streams = grown(new Uint16Array(capacity), this.#streams);
    this.#users = grown(new BigUint64Array(capacity), this.#users);
    this.#first = grown(new Int32Array(capacity), this.#first);
    this.#after = grown(new Int32Array(capacity), this.#after);
    this.#before = grown(new Int32Array(capacity), this.#before);
  }

  #growEdges(capacity: number): void {
    this.#targets = grown(new Uint32Array(capacity * 2), this.#targets);
    this.#watcherOf = grown(new Uint32Array(capacity), this.#watcherOf);
    this.#further = grown(new Int32Array(capacity), this.#further);
    this.#next = grown(new Int32Array(capacity), this.#next);
    this.#previous = grown(new Int32Array(capacity), this.#previous);
  }
}

function grown<A extends { set(from: A): void }>(to: A, from: A): A {
  to.set(from);
  return to;
}
