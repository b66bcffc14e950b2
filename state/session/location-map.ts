/** The location map: which connections each user has, on which gateway stream, as told by the workers that hold them. */
import type { SessionId, UserId } from '../../common/mod.ts';
import { SlotIndex } from './slot-index.ts';
import { highOf, LOW, lowOf } from './u64.ts';

const NONE = -1;
const MIN_SLOTS = 64;
const GROWTH = 1.5;
/** Streams are numbered in 16 bits. */
export const MAX_STREAMS = 0xffff;

// Flags of a slot.
const FREE = 0;
const UNNAMED = 1;
const CLAIMED_HERE = 2;
const USED = 4;

/** A connection as its worker attaches it. */
export interface Attachment {
  readonly conn: number;
  readonly user: UserId;
  readonly userName: string;
  readonly device: string;
  /** The device has no name of its own: no other connection can be the same device. */
  readonly unnamed: boolean;
  readonly session: SessionId;
  readonly epoch: bigint;
  /** Id of the access token that the connection came with. */
  readonly token: bigint;
  /** This node claimed the session and so releases it when the connection goes. */
  readonly claimedHere: boolean;
}

/** A connection that another one of the same device put out. */
export interface Replaced<Stream> {
  readonly stream: Stream;
  readonly conn: number;
  readonly session: SessionId;
}

/** A connection of a user, for what is rarely asked. */
export interface Located<Stream> {
  readonly stream: Stream;
  readonly conn: number;
  readonly device: string;
  readonly session: SessionId;
  readonly epoch: bigint;
  readonly token: bigint;
}

/** Who is behind a connection. */
export interface Caller {
  readonly user: UserId;
  readonly userName: string;
  /** The device in the store's terms: empty for an unnamed one. */
  readonly device: string;
}

/**
 * Holds all connections of all streams in columns of typed arrays: about 51 bytes, two strings and two index cells an
 * entry, some 150 bytes in all (bench/location-map.ts). It is as large as what the gateways hold, which they bound.
 *
 * Truth lives where the sockets are: a stream opens with a snapshot and goes on with deltas, and all of a stream is
 * forgotten when it ends.
 */
export class LocationMap<Stream> {
  /** Grows with each change. */
  version = 0;
  readonly #streams: (Stream | undefined)[] = [];
  /** By stream: the head of the chain of its connections, and how many they are. */
  readonly #heads: number[] = [];
  readonly #counts: number[] = [];
  /** (user) to the head of the chain of its connections; (conn, stream) to the slot. */
  readonly #byUser = new SlotIndex({
    low: (slot) => this.#userHalves[slot * 2 + LOW] as number,
    high: (slot) => this.#userHalves[slot * 2 + 1 - LOW] as number,
  });
  readonly #byConn = new SlotIndex({
    low: (slot) => this.#conns[slot] as number,
    high: (slot) => this.#streamOf[slot] as number,
  });
  #capacity = MIN_SLOTS;
  /** Slots beyond this one were never used. */
  #top = 0;
  #free = NONE;
  #size = 0;

  /** Two halves a slot, and the same memory as 64-bit numbers. */
  #userHalves = new Uint32Array(MIN_SLOTS * 2);
  #users = new BigUint64Array(this.#userHalves.buffer);
  #sessions = new BigUint64Array(MIN_SLOTS);
  #epochs = new BigUint64Array(MIN_SLOTS);
  #tokens = new BigUint64Array(MIN_SLOTS);
  #conns = new Uint32Array(MIN_SLOTS);
  #streamOf = new Uint16Array(MIN_SLOTS);
  /** The next one of the user. */
  #next = new Int32Array(MIN_SLOTS);
  /** The next and the previous one of the stream. */
  #after = new Int32Array(MIN_SLOTS);
  #before = new Int32Array(MIN_SLOTS);
  #flags = new Uint8Array(MIN_SLOTS);
  readonly #userNames: string[] = [];
  readonly #devices: string[] = [];

  /** Connections known. */
  get size(): number {
    return this.#size;
  }

  /** Takes in a stream and returns its number, or -1 when there are too many. */
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
   * Forgets connections of a stream that has ended and returns who was behind them. Where these are fewer than `most`,
   * it has forgotten the stream as well: its number may be another one's from then on.
   */
  close(index: number, most = Number.POSITIVE_INFINITY): Caller[] {
    const callers: Caller[] = [];
    let slot = this.#heads[index] as number;
    for (; slot !== NONE && callers.length < most; slot = this.#heads[index] as number) {
      callers.push(this.callerAt(slot));
      this.#remove(slot);
    }
    if (callers.length < most) this.#streams[index] = undefined;
    return callers;
  }

  stream(index: number): Stream | undefined {
    return this.#streams[index];
  }

  /** All streams that are open. */
  *streams(): IterableIterator<Stream> {
    for (const stream of this.#streams) if (stream !== undefined) yield stream;
  }

  /**
   * Takes in a connection, replacing what was known of the same one, and returns those that have lost the device to
   * it, or it itself when the device has a newer one already (epochs decide, not the order of arrival). Whoever lost
   * is not in the map any more.
   *
   * Equal epochs are the same connection seen on two streams of its worker, the old one of which is about to end.
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
    this.version++;
    return replaced ?? [];
  }

  /** Forgets a connection and returns what was known of it. */
  detach(index: number, conn: number): Attachment | undefined {
    const slot = this.slotOf(index, conn);
    if (slot === NONE) return undefined;
    const flags = this.#flags[slot] as number;
    const was: Attachment = {
      conn,
      user: this.userAt(slot),
      userName: this.userNameAt(slot),
      device: this.#devices[slot] as string,
      unnamed: (flags & UNNAMED) !== 0,
      session: this.#sessions[slot] as SessionId,
      epoch: this.#epochs[slot] as bigint,
      token: this.#tokens[slot] as bigint,
      claimedHere: (flags & CLAIMED_HERE) !== 0,
    };
    this.#remove(slot);
    return was;
  }

  /** Returns the slot of a connection, or -1; it is valid until the next change. */
  slotOf(index: number, conn: number): number {
    return this.#byConn.get(conn, index);
  }

  userAt(slot: number): UserId {
    return this.#users[slot] as UserId;
  }

  userNameAt(slot: number): string {
    return this.#userNames[slot] as string;
  }

  callerAt(slot: number): Caller {
    return {
      user: this.userAt(slot),
      userName: this.userNameAt(slot),
      device: ((this.#flags[slot] as number) & UNNAMED) !== 0 ? '' : (this.#devices[slot] as string),
    };
  }

  /** Returns whether a user has a connection anywhere. */
  isOnline(user: UserId): boolean {
    return this.#byUser.get(lowOf(user), highOf(user)) !== NONE;
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

  /** Returns the connections of a session, by looking at all: for what is rarely asked. */
  connectionsOfSession(session: SessionId): Located<Stream>[] {
    const found: Located<Stream>[] = [];
    for (let slot = 0; slot < this.#top; slot++) {
      if ((this.#flags[slot] as number) !== FREE && this.#sessions[slot] === session)
        found.push(this.#located(slot));
    }
    return found;
  }

  /**
   * Appends the connections of the users (see packIds) to `byStream`, one list of conns for each stream number; all but
   * the connection `exceptConn` of the stream `exceptIndex`.
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

  /** All connections of a stream. */
  connsOf(index: number): number[] {
    const conns: number[] = [];
    for (let slot = this.#heads[index] as number; slot !== NONE; slot = this.#after[slot] as number)
      conns.push(this.#conns[slot] as number);
    return conns;
  }

  /** How many connections a stream has. */
  countOf(index: number): number {
    return this.#counts[index] as number;
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
    this.version++;
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
