/** The location map: all connections of each user and their gateway streams, as reported by the workers. */
import type { SessionId, UserId } from '../../common/mod.ts';
import { SlotIndex } from './slot-index.ts';
import { highOf, LOW, lowOf } from './u64.ts';

const NONE = -1;
const MIN_SLOTS = 64;
const GROWTH = 1.5;
/** Changes that are remembered. */
const MAX_CHANGES = 1024;
/** Most streams; their numbers have 16 bits. */
export const MAX_STREAMS = 0xffff;

// Flags of a slot.
const FREE = 0;
const UNNAMED = 1;
const CLAIMED_HERE = 2;
const USED = 4;
const IDLE = 8;

/** A connection as attached by its worker. */
export interface Attachment {
  readonly conn: number;
  readonly user: UserId;
  /** Name to show: a hint, as names change. */
  readonly userName: string;
  readonly device: string;
  /** Whether the device has no name, so that no other connection can be the same device. */
  readonly unnamed: boolean;
  readonly session: SessionId;
  readonly epoch: bigint;
  /** Id of the connection's access token. */
  readonly token: bigint;
  /** Whether this node claimed the session, and must release it when the connection ends. */
  readonly claimedHere: boolean;
}

/** A connection that lost its device to another one. */
export interface Replaced<Stream> {
  readonly stream: Stream;
  readonly conn: number;
  readonly session: SessionId;
}

/** A connection of a user, for rare look-ups. */
export interface Located<Stream> {
  readonly stream: Stream;
  readonly conn: number;
  readonly device: string;
  readonly session: SessionId;
  readonly epoch: bigint;
  readonly token: bigint;
}

/** A connection whose stream has ended. */
export interface Lost extends Caller {
  readonly idle: boolean;
}

/** The user and device of a connection. */
export interface Caller {
  readonly user: UserId;
  readonly userName: string;
  /** Device in the store's terms; empty for an unnamed one. */
  readonly device: string;
  /** Id of the login session of the caller's access token; undefined where none is known. */
  readonly session?: bigint;
}

/**
 * Keeps all connections of all streams in columns of typed arrays: about 51 bytes, two strings and two index cells per
 * entry, some 140 bytes in all (bench/location-map.ts). The gateways' connection limits bound it.
 *
 * The gateway worker's sockets are the truth. A stream begins with a snapshot, continues with deltas, and all its
 * connections are removed when it ends.
 */
export class LocationMap<Stream> {
  /** Number of changes so far: each is one connection that came or went. */
  #version = 0;
  /** Whose connection that was, of the newest changes. */
  readonly #changed = new BigUint64Array(MAX_CHANGES);
  readonly #streams: (Stream | undefined)[] = [];
  /** By stream: the head of its chain of connections, and their number. */
  readonly #heads: number[] = [];
  readonly #counts: number[] = [];
  /** From (user) to the head of the user's chain; from (conn, stream) to the slot. */
  readonly #byUser = new SlotIndex({
    low: (slot) => this.#userHalves[slot * 2 + LOW] as number,
    high: (slot) => this.#userHalves[slot * 2 + 1 - LOW] as number,
  });
  readonly #byConn = new SlotIndex({
    low: (slot) => this.#conns[slot] as number,
    high: (slot) => this.#streamOf[slot] as number,
  });
  #capacity = MIN_SLOTS;
  /** Slots from here on were never used. */
  #top = 0;
  #free = NONE;
  #size = 0;

  /** Two halves per slot; the same memory as 64-bit numbers. */
  #userHalves = new Uint32Array(MIN_SLOTS * 2);
  #users = new BigUint64Array(this.#userHalves.buffer);
  #sessions = new BigUint64Array(MIN_SLOTS);
  #epochs = new BigUint64Array(MIN_SLOTS);
  #tokens = new BigUint64Array(MIN_SLOTS);
  #conns = new Uint32Array(MIN_SLOTS);
  #streamOf = new Uint16Array(MIN_SLOTS);
  /** Next slot of the same user. */
  #next = new Int32Array(MIN_SLOTS);
  /** Next and previous slot of the same stream. */
  #after = new Int32Array(MIN_SLOTS);
  #before = new Int32Array(MIN_SLOTS);
  #flags = new Uint8Array(MIN_SLOTS);
  readonly #userNames: string[] = [];
  readonly #devices: string[] = [];

  /** Grows with each change. */
  get version(): number {
    return this.#version;
  }

  /** Returns the users of the changes since a version, each once; undefined: they are too many to be known. */
  changedSince(version: number): ReadonlySet<UserId> | undefined {
    if (this.#version - version > MAX_CHANGES) return undefined;
    const users = new Set<UserId>();
    for (let each = version; each < this.#version; each++)
      users.add(this.#changed[each % MAX_CHANGES] as UserId);
    return users;
  }

  /** Number of connections. */
  get size(): number {
    return this.#size;
  }

  /** Adds a stream. Returns its number, or -1 if there are too many. */
  open(stream: Stream): number {
    let index = this.#streams.indexOf(undefined);
    if (index < 0) index = this.#streams.length;
    if (index >= MAX_STREAMS) return NONE;
    this.#streams[index] = stream;
    this.#heads[index] = NONE;
    this.#counts[index] = 0;
    return index;
  }

  /**
   * Removes up to `most` connections of an ended stream and returns their callers. If these are fewer than `most`, the
   * stream is removed too, and its number may be reused.
   */
  close(index: number, most = Number.POSITIVE_INFINITY): Lost[] {
    const callers: Lost[] = [];
    let slot = this.#heads[index] as number;
    for (; slot !== NONE && callers.length < most; slot = this.#heads[index] as number) {
      callers.push({ ...this.callerAt(slot), idle: ((this.#flags[slot] as number) & IDLE) !== 0 });
      this.#remove(slot);
    }
    if (callers.length < most) this.#streams[index] = undefined;
    return callers;
  }

  stream(index: number): Stream | undefined {
    return this.#streams[index];
  }

  /** All open streams. */
  *streams(): IterableIterator<Stream> {
    for (const stream of this.#streams) if (stream !== undefined) yield stream;
  }

  /**
   * Adds a connection, replacing an earlier entry of the same one. Returns the connections that have lost the device to
   * it, or itself if the device has a newer one already (the epoch decides, not the order of arrival). Losers are
   * removed from the map.
   *
   * Equal epochs are the same connection on two streams of its worker, the older of which is about to end.
   */
  attach(index: number, a: Attachment): readonly Replaced<Stream>[] {
    const known = this.slotOf(index, a.conn);
    if (known !== NONE) this.#remove(known);
    const userLow = lowOf(a.user);
    const userHigh = highOf(a.user);
    let replaced: Replaced<Stream>[] | undefined;
    if (!a.unnamed) {
      let slot = this.#byUser.get(userLow, userHigh);
      while (slot !== NONE) {
        const next = this.#next[slot] as number;
        if (((this.#flags[slot] as number) & UNNAMED) === 0 && this.#devices[slot] === a.device) {
          const epoch = this.#epochs[slot] as bigint;
          if (epoch > a.epoch)
            return [{ stream: this.#streams[index] as Stream, conn: a.conn, session: a.session }];
          if (epoch < a.epoch) {
            replaced ??= [];
            replaced.push({
              stream: this.#streams[this.#streamOf[slot] as number] as Stream,
              conn: this.#conns[slot] as number,
              session: this.#sessions[slot] as SessionId,
            });
            this.#remove(slot);
          }
        }
        slot = next;
      }
    }
    const slot = this.#take();
    this.#users[slot] = a.user;
    this.#sessions[slot] = a.session;
    this.#epochs[slot] = a.epoch;
    this.#tokens[slot] = a.token;
    this.#conns[slot] = a.conn;
    this.#streamOf[slot] = index;
    this.#flags[slot] = USED | (a.unnamed ? UNNAMED : 0) | (a.claimedHere ? CLAIMED_HERE : 0);
    this.#userNames[slot] = a.userName;
    this.#devices[slot] = a.device;
    this.#next[slot] = this.#byUser.get(userLow, userHigh);
    this.#byUser.set(userLow, userHigh, slot);
    this.#byConn.set(a.conn, index, slot);
    this.#enchain(slot, index);
    this.#size++;
    this.#changed[this.#version++ % MAX_CHANGES] = a.user;
    return replaced ?? [];
  }

  /** Sets the access token of a connection and returns its entry; undefined if it is not in the map. */
  renew(index: number, conn: number, token: bigint): Attachment | undefined {
    const slot = this.slotOf(index, conn);
    if (slot === NONE) return undefined;
    this.#tokens[slot] = token;
    return this.#attachmentAt(slot);
  }

  /** Sets whether nobody is at the device of a connection. */
  setIdle(index: number, conn: number, idle: boolean): void {
    const slot = this.slotOf(index, conn);
    if (slot === NONE) return;
    const flags = this.#flags[slot] as number;
    this.#flags[slot] = idle ? flags | IDLE : flags & ~IDLE;
  }

  /** Returns whether a user has a connection, and whether nobody is at any of their devices. */
  statusOf(user: UserId): 'online' | 'idle' | 'offline' {
    let status: 'idle' | 'offline' = 'offline';
    let slot = this.#byUser.get(lowOf(user), highOf(user));
    for (; slot !== NONE; slot = this.#next[slot] as number) {
      if (((this.#flags[slot] as number) & IDLE) === 0) return 'online';
      status = 'idle';
    }
    return status;
  }

  /** Returns whether nobody is at the device of a connection. */
  isIdle(index: number, conn: number): boolean {
    const slot = this.slotOf(index, conn);
    return slot !== NONE && ((this.#flags[slot] as number) & IDLE) !== 0;
  }

  /** Removes a connection and returns its entry. */
  detach(index: number, conn: number): Attachment | undefined {
    const slot = this.slotOf(index, conn);
    if (slot === NONE) return undefined;
    const was = this.#attachmentAt(slot);
    this.#remove(slot);
    return was;
  }

  /** Returns the slot of a connection, or -1; valid until the next change. */
  slotOf(index: number, conn: number): number {
    return this.#byConn.get(conn, index);
  }

  userAt(slot: number): UserId {
    return this.#users[slot] as UserId;
  }

  userNameAt(slot: number): string {
    return this.#userNames[slot] as string;
  }

  /** Returns the name of a user who has a connection; else empty. */
  userNameOf(user: UserId): string {
    const slot = this.#byUser.get(lowOf(user), highOf(user));
    return slot === NONE ? '' : this.userNameAt(slot);
  }

  /** Sets the name of a user's connections. */
  rename(user: UserId, name: string): void {
    let slot = this.#byUser.get(lowOf(user), highOf(user));
    for (; slot !== NONE; slot = this.#next[slot] as number) this.#userNames[slot] = name;
  }

  callerAt(slot: number): Caller {
    return {
      user: this.userAt(slot),
      userName: this.userNameAt(slot),
      device: ((this.#flags[slot] as number) & UNNAMED) !== 0 ? '' : (this.#devices[slot] as string),
      session: this.#tokens[slot],
    };
  }

  /** Returns whether a user has a connection anywhere. */
  isOnline(user: UserId): boolean {
    return this.#byUser.get(lowOf(user), highOf(user)) !== NONE;
  }

  /** Returns whether a user has more than one connection. */
  hasSeveral(user: UserId): boolean {
    const slot = this.#byUser.get(lowOf(user), highOf(user));
    return slot !== NONE && this.#next[slot] !== NONE;
  }

  /** Returns whether a user has a connection of a device. @param device empty for an unnamed one */
  hasDevice(user: UserId, device: string): boolean {
    for (
      let slot = this.#byUser.get(lowOf(user), highOf(user));
      slot !== NONE;
      slot = this.#next[slot] as number
    )
      if (this.callerAt(slot).device === device) return true;
    return false;
  }

  /** Returns the connections of a user. */
  connectionsOf(user: UserId): Located<Stream>[] {
    const found: Located<Stream>[] = [];
    for (
      let slot = this.#byUser.get(lowOf(user), highOf(user));
      slot !== NONE;
      slot = this.#next[slot] as number
    )
      found.push(this.#located(slot));
    return found;
  }

  /** Returns the connections of a session. Linear: for rare look-ups. */
  connectionsOfSession(session: SessionId): Located<Stream>[] {
    const found: Located<Stream>[] = [];
    for (let slot = 0; slot < this.#top; slot++) {
      if ((this.#flags[slot] as number) !== FREE && this.#sessions[slot] === session)
        found.push(this.#located(slot));
    }
    return found;
  }

  /**
   * Appends the connections of users (packIds) to `byStream`, one list of conns per stream number, without the
   * connection `exceptConn` of the stream `exceptIndex`.
   */
  collect(users: Uint32Array, byStream: number[][], exceptIndex = NONE, exceptConn = NONE): void {
    for (let i = 0; i < users.length; i += 2) {
      let slot = this.#byUser.get(users[i + LOW] as number, users[i + 1 - LOW] as number);
      for (; slot !== NONE; slot = this.#next[slot] as number) {
        const index = this.#streamOf[slot] as number;
        const conn = this.#conns[slot] as number;
        if (index === exceptIndex && conn === exceptConn) continue;
        let conns = byStream[index];
        if (conns === undefined) {
          while (byStream.length <= index) byStream.push([]);
          conns = byStream[index] as number[];
        }
        conns.push(conn);
      }
    }
  }

  /** Returns all connections of a stream. */
  connsOf(index: number): number[] {
    const conns: number[] = [];
    for (let slot = this.#heads[index] as number; slot !== NONE; slot = this.#after[slot] as number)
      conns.push(this.#conns[slot] as number);
    return conns;
  }

  /** Returns the number of connections of a stream. */
  countOf(index: number): number {
    return this.#counts[index] as number;
  }

  #attachmentAt(slot: number): Attachment {
    const flags = this.#flags[slot] as number;
    return {
      conn: this.#conns[slot] as number,
      user: this.userAt(slot),
      userName: this.userNameAt(slot),
      device: this.#devices[slot] as string,
      unnamed: (flags & UNNAMED) !== 0,
      session: this.#sessions[slot] as SessionId,
      epoch: this.#epochs[slot] as bigint,
      token: this.#tokens[slot] as bigint,
      claimedHere: (flags & CLAIMED_HERE) !== 0,
    };
  }

  #located(slot: number): Located<Stream> {
    return {
      stream: this.#streams[this.#streamOf[slot] as number] as Stream,
      conn: this.#conns[slot] as number,
      device: this.#devices[slot] as string,
      session: this.#sessions[slot] as SessionId,
      epoch: this.#epochs[slot] as bigint,
      token: this.#tokens[slot] as bigint,
    };
  }

  #remove(slot: number): void {
    const userLow = this.#userHalves[slot * 2 + LOW] as number;
    const userHigh = this.#userHalves[slot * 2 + 1 - LOW] as number;
    const next = this.#next[slot] as number;
    const head = this.#byUser.get(userLow, userHigh);
    if (head === slot) {
      if (next === NONE) this.#byUser.delete(userLow, userHigh);
      else this.#byUser.set(userLow, userHigh, next);
    } else {
      let before = head;
      while (this.#next[before] !== slot) before = this.#next[before] as number;
      this.#next[before] = next;
    }
    this.#byConn.delete(this.#conns[slot] as number, this.#streamOf[slot] as number);
    this.#unchain(slot);
    this.#flags[slot] = FREE;
    this.#userNames[slot] = '';
    this.#devices[slot] = '';
    this.#next[slot] = this.#free;
    this.#free = slot;
    this.#size--;
    this.#changed[this.#version++ % MAX_CHANGES] = this.#users[slot] as bigint;
  }

  #enchain(slot: number, index: number): void {
    const head = this.#heads[index] as number;
    this.#before[slot] = NONE;
    this.#after[slot] = head;
    if (head !== NONE) this.#before[head] = slot;
    this.#heads[index] = slot;
    (this.#counts[index] as number)++;
  }

  #unchain(slot: number): void {
    const index = this.#streamOf[slot] as number;
    const [before, after] = [this.#before[slot] as number, this.#after[slot] as number];
    if (before === NONE) this.#heads[index] = after;
    else this.#after[before] = after;
    if (after !== NONE) this.#before[after] = before;
    (this.#counts[index] as number)--;
  }

  #take(): number {
    const slot = this.#free;
    if (slot !== NONE) {
      this.#free = this.#next[slot] as number;
      return slot;
    }
    if (this.#top === this.#capacity) this.#grow();
    return this.#top++;
  }

  #grow(): void {
    this.#capacity = Math.ceil(this.#capacity * GROWTH);
    const grown = <A extends { set(from: A): void }>(to: A, from: A): A => {
      to.set(from);
      return to;
    };
    this.#userHalves = grown(new Uint32Array(this.#capacity * 2), this.#userHalves);
    this.#users = new BigUint64Array(this.#userHalves.buffer);
    this.#sessions = grown(new BigUint64Array(this.#capacity), this.#sessions);
    this.#epochs = grown(new BigUint64Array(this.#capacity), this.#epochs);
    this.#tokens = grown(new BigUint64Array(this.#capacity), this.#tokens);
    this.#conns = grown(new Uint32Array(this.#capacity), this.#conns);
    this.#streamOf = grown(new Uint16Array(this.#capacity), this.#streamOf);
    this.#next = grown(new Int32Array(this.#capacity), this.#next);
    this.#after = grown(new Int32Array(this.#capacity), this.#after);
    this.#before = grown(new Int32Array(this.#capacity), this.#before);
    this.#flags = grown(new Uint8Array(this.#capacity), this.#flags);
  }
}
