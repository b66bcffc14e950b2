/** Fan-out: finds the connections of a conversation's members and pushes each frame once to each gateway stream. */
import type { ConversationId, Logger, UserId } from '../../common/mod.ts';
import { Backoff, GochatError } from '../../common/mod.ts';
import { encodeDeliverHead, NO_CONNECTION } from '../../proto/mod.ts';
import type { StateLimits } from '../limits.ts';
import type { StateMetrics } from '../metrics.ts';
import type { Downlink, Target } from '../session/downlink.ts';
import type { LocationMap } from '../session/location-map.ts';
import { hasId, packIds, withoutId } from '../session/u64.ts';
import type { WatchBook } from '../session/watch-book.ts';
import { MEMBERS_A_TURN } from '../store/member-pieces.ts';
import type { Store } from '../store/store.ts';
import {
  ConversationCache,
  EVERYBODY,
  isMember,
  memberTest,
  type Entry,
  type Push,
  type WatcherPush,
} from './conversation-cache.ts';

/** Most loads of member lists in flight. */
const MAX_LOADS = 512;
/** Loads in flight above which none is started for an ephemeral push. */
const MAX_EPHEMERAL_LOADS = 16;
/** Above this many members the resolved connections are kept between messages. */
const KEEP_TARGETS_FROM = 16;
/** In larger conversations, ephemeral pushes are sent to those who watch it alone. */
const MAX_EPHEMERAL_MEMBERS = 256;
/** Most pushes to those who watch a conversation that wait for its members; beyond: dropped, what they tell comes again. */
const MAX_WATCHER_PUSHES = 256;
/** Above this many members only changes are loaded; lists of small conversations are loaded many per statement. */
const LOAD_CHANGES_FROM = 256;
const RETRY_BASE_MS = 50;
/** Longest retry interval: lost pushes must be repaired within 2 s of recovery. */
const RETRY_MAX_MS = 1000;

export interface FanoutOptions {
  readonly store: Pick<Store, 'membersOf' | 'memberChanges'>;
  readonly locations: LocationMap<Downlink>;
  readonly watches: Pick<WatchBook, 'hasConversation' | 'eachOfConversation'>;
  readonly limits: StateLimits;
  readonly metrics: StateMetrics;
  readonly logger: Logger;
}

/** How far a push has gone. */
export interface PushResult {
  /** Connections that it was pushed to; -1: it waits for the members, or is lost and repaired by a resync. */
  readonly pushed: number;
  /** Connections that it was not pushed to because their streams are full; they resynchronise. */
  readonly skipped: number;
}

const PENDING: PushResult = { pushed: -1, skipped: 0 };

/**
 * Pushes committed messages. Push is best effort, but every loss is marked. While the members of a conversation cannot
 * be loaded, its pushes wait; when too many wait, they are dropped and the conversation is marked. The load is retried
 * until it succeeds, and then all connections of the members resynchronise. Not before, because they would query the
 * same store; and by the list just loaded, because an earlier list may lack the newest member.
 */
export class Fanout {
  readonly #options: FanoutOptions;
  readonly #cache: ConversationCache;
  readonly #backoff = new Backoff({ baseMs: RETRY_BASE_MS, maxMs: RETRY_MAX_MS });
  /** Entries whose load has not begun. */
  readonly #toLoad: Entry[] = [];
  #loads = 0;
  #failed: Entry[] = [];
  #retryTimer: NodeJS.Timeout | undefined;
  #waiting = 0;
  #stopped = false;
  /** Scratch: the conns found on each stream. */
  readonly #found: number[][] = [];
  #whenSettled: (() => void)[] = [];
  /** Deliveries of this tick, not yet added to the metrics. */
  #uncounted = 0;

  constructor(options: FanoutOptions) {
    this.#options = options;
    this.#cache = new ConversationCache(options.limits.cachedConversations, options.limits.cachedMembers);
  }

  /** Pushes a frame to all members, in the order of the calls within a conversation. */
  publish(push: Push): PushResult {
    const entry = this.#cache.entry(push.conversation);
    if (!entry.loading && entry.version >= push.memberVersion) {
      entry.checkedMs = performance.now();
      return this.#deliver(entry, push);
    }
    if (push.memberVersion > entry.wanted) entry.wanted = push.memberVersion;
    if (this.#waiting >= this.#options.limits.waitingPushes) this.#lose(entry);
    else {
      entry.waiting ??= [];
      entry.waiting.push(push);
      this.#waiting++;
    }
    this.#load(entry);
    return PENDING;
  }

  /**
   * Pushes an ephemeral frame to the other members of a conversation, of a large one to those who watch it, if the sender is
   * known to be a member. If the members are unknown, or may have changed while nothing was sent, they are loaded first.
   */
  publishEphemeral(conversation: ConversationId, sender: UserId, frame: Uint8Array): void {
    // Ephemeral frames must not delay messages.
    if (this.#loads >= MAX_EPHEMERAL_LOADS) return;
    const entry = this.#cache.entry(conversation);
    if (this.#isOld(entry)) {
      entry.pendingEphemeral = () => this.#deliverEphemeral(entry, sender, frame);
      this.#load(entry);
      return;
    }
    if (!entry.loading) this.#deliverEphemeral(entry, sender, frame);
  }

  /** Pushes a frame to the connections that watch a conversation and whose users are its members. */
  publishToWatchers(push: WatcherPush): void {
    if (!this.#options.watches.hasConversation(push.conversation)) return;
    const entry = this.#cache.entry(push.conversation);
    if (!entry.loading && !this.#isOld(entry)) {
      this.#deliverToWatchers(entry, push);
      return;
    }
    entry.watcherPushes ??= [];
    if (entry.watcherPushes.length < MAX_WATCHER_PUSHES) entry.watcherPushes.push(push);
    this.#load(entry);
  }

  /** A connection of a user watches a conversation: a user who is not known as a member may have joined meanwhile. */
  watchedBy(conversation: ConversationId, user: UserId): void {
    const entry = this.#cache.peek(conversation);
    if (entry !== undefined && (entry.loading || !isMember(entry, user))) entry.lacksWatcher = true;
  }

  /** Whether the members are unknown, or may have changed while nothing was sent. */
  #isOld({ version, checkedMs, lacksWatcher }: Entry): boolean {
    if (version < 0 || lacksWatcher) return true;
    return performance.now() - checkedMs > this.#options.limits.ephemeralMembersMs;
  }

  /** Pushes a frame that is not a message to all members at a version. */
  announce(conversation: ConversationId, memberVersion: number, frame: Uint8Array): void {
    this.publish({ conversation, memberVersion, seq: EVERYBODY, frame, link: undefined, conn: -1 });
  }

  /** Pushes a frame to users, whatever their memberships. */
  announceTo(users: readonly UserId[], frame: Uint8Array): void {
    const some = users.slice(0, MEMBERS_A_TURN);
    for (const target of this.#resolve(packIds(some))) target.link.push(target, frame, NO_CONNECTION);
    // Whoever connects meanwhile finds it in the first sync.
    if (some.length < users.length) setImmediate(() => this.announceTo(users.slice(some.length), frame));
  }

  /** Pushes a frame to the connections of a user, but not to those of a device. @param device undefined or empty: to all */
  announceToDevices(user: UserId, frame: Uint8Array, device: string | undefined): void {
    for (const located of this.#options.locations.connectionsOf(user)) {
      if (device !== undefined && device !== '' && located.device === device) continue;
      const conns = [located.conn];
      const target = { link: located.stream, conns, head: encodeDeliverHead(conns), kept: false, topic: 0 };
      located.stream.push(target, frame, NO_CONNECTION);
    }
  }

  /** Marks a conversation with lost pushes: its members resynchronise. */
  markLost(conversation: ConversationId, memberVersion: number): void {
    const entry = this.#cache.entry(conversation);
    if (memberVersion > entry.wanted) entry.wanted = memberVersion;
    this.#lose(entry);
    this.#load(entry);
  }

  /** Resolves when no push waits for a load that may still succeed. */
  settled(): Promise<void> {
    if (this.#loads === 0 && this.#toLoad.length === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#whenSettled.push(resolve);
    });
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#retryTimer);
    this.#toLoad.length = 0;
    this.#settle();
  }

  #deliver(entry: Entry, push: Push): PushResult {
    const { link, conn, about } = push;
    const result = { pushed: 0, skipped: 0 };
    const isWholeForAll = about === undefined || about.seq > entry.visibleToAllAfter;
    const wholeUpTo = isWholeForAll ? push.seq : about.seq;
    this.#pushTo(
      wholeUpTo > entry.visibleToAllAfter
        ? this.#targets(entry, link, conn)
        : this.#resolve(readers(entry, 0, wholeUpTo), link, conn),
      push,
      push.frame,
      result,
    );
    if (!isWholeForAll) {
      const others = this.#resolve(readers(entry, about.seq, push.seq), link, conn);
      if (others.length > 0) this.#pushTo(others, push, about.bareFrame(), result);
    }
    if (result.pushed > 0) {
      if (this.#uncounted === 0) queueMicrotask(this.#count);
      this.#uncounted += result.pushed;
    }
    return result;
  }

  /** Pushes a frame to targets without the sender's connection, and counts. */
  #pushTo(
    targets: readonly Target[],
    { link, conn }: Push,
    frame: Uint8Array,
    result: { pushed: number; skipped: number },
  ): void {
    for (const target of targets) {
      const except = senderIn(target, link, conn);
      const count = target.conns.length - (except === NO_CONNECTION ? 0 : 1);
      if (count === 0) continue;
      if (target.link.push(target, frame, except)) result.pushed += count;
      else result.skipped += count;
    }
  }

  readonly #count = (): void => {
    this.#options.metrics.deliveries.add(this.#uncounted);
    this.#uncounted = 0;
  };

  #deliverEphemeral(entry: Entry, sender: UserId, frame: Uint8Array): void {
    const { conversation, members } = entry;
    if (members.length / 2 > MAX_EPHEMERAL_MEMBERS) {
      if (!isMember(entry, sender)) return;
      const isFor = (watcher: UserId) => watcher !== sender;
      this.#deliverToWatchers(entry, { conversation, frame, isEphemeral: true, isFor });
      return;
    }
    if (!hasId(members, sender)) return;
    for (const target of this.#resolve(withoutId(members, sender)))
      target.link.pushEphemeral(target, frame, NO_CONNECTION);
  }

  #deliverToWatchers(entry: Entry, { conversation, frame, isEphemeral, isFor, size }: WatcherPush): void {
    const isLarge = entry.members.length / 2 > MAX_EPHEMERAL_MEMBERS;
    if (size !== undefined && (size === 'large') !== isLarge) return;
    const isOneOfThem = memberTest(entry);
    const found = this.#found;
    this.#options.watches.eachOfConversation(conversation, (stream, conn, watcher) => {
      if (!isFor(watcher) || !isOneOfThem(watcher)) return;
      while (found.length <= stream) found.push([]);
      (found[stream] as number[]).push(conn);
    });
    for (const target of this.#takeFound())
      if (isEphemeral) target.link.pushEphemeral(target, frame, NO_CONNECTION);
      else target.link.push(target, frame, NO_CONNECTION);
  }

  /** Returns the connections of a conversation's members. Cached targets include the sender's connection. */
  #targets(entry: Entry, from?: Downlink, conn?: number): readonly Target[] {
    const { locations } = this.#options;
    if (entry.members.length / 2 <= KEEP_TARGETS_FROM) {
      entry.targets = undefined;
      return this.#resolve(entry.members, from, conn);
    }
    if (entry.targets === undefined || entry.targetsVersion !== locations.version) {
      entry.targets =
        this.#changedTargets(entry) ??
        this.#resolve(entry.members, undefined, undefined, entry.targets ?? []);
      entry.targetsVersion = locations.version;
    }
    return entry.targets;
  }

  /**
   * Returns the targets after the changes of the location map, by looking up only the users concerned; undefined if the
   * changes are not known, or more than the members.
   */
  #changedTargets(entry: Entry): readonly Target[] | undefined {
    const { targets, targetsVersion } = entry;
    const { locations } = this.#options;
    if (targets === undefined || targetsVersion < 0) return undefined;
    if (locations.version - targetsVersion > entry.members.length / 2) return undefined;
    const changed = locations.changedSince(targetsVersion);
    if (changed === undefined) return undefined;
    const members = [...changed].filter((user) => isMember(entry, user));
    if (members.length === 0) return targets;
    const found = this.#found;
    for (const { link, conns } of targets) {
      const { index } = link;
      if (locations.stream(index) !== link) continue;
      while (found.length <= index) found.push([]);
      found[index] = conns.filter((conn) => {
        const slot = locations.slotOf(index, conn);
        return slot >= 0 && !changed.has(locations.userAt(slot));
      });
    }
    locations.collect(packIds(members), found);
    return this.#takeFound(targets);
  }

  /**
   * Returns the connections of users (packIds), without the connection `exceptConn` of the stream `from`.
   *
   * @param before the previous targets, for cached ones; those whose connections are unchanged stay the same objects
   */
  #resolve(users: Uint32Array, from?: Downlink, exceptConn?: number, before?: readonly Target[]): Target[] {
    const { locations } = this.#options;
    const found = this.#found;
    // The number of an ended stream may belong to another one by now.
    const isOpen = from !== undefined && locations.stream(from.index) === from;
    locations.collect(users, found, isOpen ? from.index : undefined, exceptConn);
    return this.#takeFound(before);
  }

  /** Returns what was found as targets, and makes room for what is found next. @param before see `#resolve` */
  #takeFound(before?: readonly Target[]): Target[] {
    const { locations } = this.#options;
    const found = this.#found;
    const targets: Target[] = [];
    let at = 0;
    for (let index = 0; index < found.length; index++) {
      const conns = found[index] as number[];
      if (conns.length === 0) continue;
      found[index] = [];
      const link = locations.stream(index);
      if (link === undefined) continue;
      // Both lists are ordered by stream number.
      let known = before?.[at];
      while (known !== undefined && known.link.index < index) known = before?.[++at];
      if (known?.link === link && isSame(known.conns, conns)) targets.push(known);
      else
        targets.push({ link, conns, head: encodeDeliverHead(conns), kept: before !== undefined, topic: 0 });
    }
    return targets;
  }

  #lose(entry: Entry): void {
    this.#waiting -= entry.waiting?.length ?? 0;
    entry.waiting = undefined;
    entry.lost = true;
  }

  #load(entry: Entry): void {
    if (entry.loading || this.#stopped) return;
    entry.loading = true;
    this.#toLoad.push(entry);
    this.#loadNext();
  }

  #loadNext(): void {
    while (this.#loads < MAX_LOADS) {
      const entry = this.#toLoad.shift();
      if (entry === undefined) break;
      this.#loads++;
      const { wanted } = entry;
      entry.lacksWatcher = false;
      this.#refresh(entry).then(
        (isKnown) => this.#loaded(entry, isKnown, wanted),
        (error: unknown) => this.#loadFailed(entry, error),
      );
    }
    if (this.#loads === 0) this.#settle();
  }

  /** Loads the changes or the whole list. Resolves with whether the conversation has members. */
  async #refresh(entry: Entry): Promise<boolean> {
    const { store } = this.#options;
    if (entry.members.length / 2 > LOAD_CHANGES_FROM) {
      const changes = await store.memberChanges(entry.conversation, entry.version);
      if (changes !== undefined && this.#cache.update(entry, changes)) return true;
    }
    const list = await store.membersOf(entry.conversation);
    if (list !== undefined) await this.#cache.fill(entry, list);
    return list !== undefined;
  }

  /** @param asked version wanted when the load began */
  #loaded(entry: Entry, isKnown: boolean, asked: number): void {
    this.#loads--;
    if (isKnown && entry.version < asked) {
      // The store has answered with an old version.
      this.#retryLater(entry);
    } else if (isKnown && (entry.version < entry.wanted || (entry.lacksWatcher && entry.watcherPushes))) {
      // Someone has joined, or may have, during the load.
      this.#toLoad.push(entry);
    } else {
      this.#backoff.reset();
      entry.loading = false;
      const { waiting = [], watcherPushes = [], lost, pendingEphemeral } = entry;
      entry.waiting = undefined;
      entry.watcherPushes = undefined;
      entry.pendingEphemeral = undefined;
      entry.lost = false;
      this.#waiting -= waiting.length;
      if (!isKnown) {
        this.#cache.delete(entry);
      } else {
        if (lost) for (const { link, conns } of this.#targets(entry)) link.fence(conns);
        for (const push of waiting) this.#deliver(entry, push);
        for (const push of watcherPushes) this.#deliverToWatchers(entry, push);
        pendingEphemeral?.();
      }
    }
    this.#loadNext();
  }

  #loadFailed(entry: Entry, error: unknown): void {
    this.#loads--;
    if (this.#failed.length === 0) {
      const { code } = GochatError.from(error);
      this.#options.logger.warn({ err: error, code }, 'cannot load the members of a conversation');
    }
    this.#retryLater(entry);
    this.#loadNext();
  }

  #retryLater(entry: Entry): void {
    entry.pendingEphemeral = undefined;
    if (this.#stopped) return;
    this.#failed.push(entry);
    if (this.#failed.length > this.#options.limits.failedLoads) {
      this.#loseAll();
      return;
    }
    this.#retryTimer ??= setTimeout(() => {
      this.#retryTimer = undefined;
      this.#toLoad.push(...this.#failed.splice(0));
      this.#loadNext();
    }, this.#backoff.next());
  }

  /** Too many conversations to track: all connections of this node resynchronise instead. */
  #loseAll(): void {
    for (const entry of this.#failed.splice(0)) {
      this.#lose(entry);
      this.#cache.delete(entry);
    }
    const { locations } = this.#options;
    for (const link of locations.streams()) link.fence(locations.connsOf(link.index));
  }

  #settle(): void {
    for (const resolve of this.#whenSettled.splice(0)) resolve();
  }
}

/** Returns the members (packIds) who may read after a seq with from <= seq < to. */
function readers(entry: Entry, from: number, to: number): Uint32Array {
  const after = entry.visibleAfter as Float64Array;
  const { members } = entry;
  const found = new Uint32Array(members.length);
  let count = 0;
  // A loop, as a callback for each member of a large room takes ten times as long.
  for (let half = 0; half < members.length; half += 2) {
    const seq = after[half >> 1] as number;
    if (seq < from || seq >= to) continue;
    found[count++] = members[half] as number;
    found[count++] = members[half + 1] as number;
  }
  return found.subarray(0, count);
}

/** Returns the sender's connection if it is among the target's, else NO_CONNECTION. */
function senderIn({ link, conns }: Target, from: Downlink | undefined, conn: number): number {
  return link === from && conns.includes(conn) ? conn : NO_CONNECTION;
}

function isSame(conns: readonly number[], others: readonly number[]): boolean {
  return conns.length === others.length && conns.every((conn, at) => conn === others[at]);
}
