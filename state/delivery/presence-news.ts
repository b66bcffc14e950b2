/** News of presence: tells the connections that watch a user how the user is now, gathered. */
import type { Logger, UserId } from '../../common/mod.ts';
import { client, encodeDeliverHead, encodeFrame, FrameType, NO_CONNECTION } from '../../proto/mod.ts';
import type { SettingsCache } from '../identity/settings-cache.ts';
import type { Downlink } from '../session/downlink.ts';
import type { LastSeen } from '../session/last-seen.ts';
import type { LocationMap } from '../session/location-map.ts';
import type { Presence } from '../session/presence.ts';
import { seesLastSeen, shownStatus, toPresence } from '../session/visibility.ts';
import type { WatchBook } from '../session/watch-book.ts';
import type { PresenceStore } from '../store/store.ts';

/** News of so long are told together. */
const GATHER_MS = 250;
/** Users told in one turn of the event loop. */
const MAX_A_TURN = 500;

export interface PresenceNewsOptions {
  readonly store: Pick<PresenceStore, 'seenOf'>;
  readonly settings: Pick<SettingsCache, 'of'>;
  readonly presence: Pick<Presence, 'statusOf'>;
  readonly lastSeen: Pick<LastSeen, 'noted'>;
  readonly watches: WatchBook;
  readonly locations: LocationMap<Downlink>;
  readonly logger: Logger;
}

/**
 * The bytes are the same for all who are shown the same. Nothing is told of a user who is invisible, or it would tell when
 * that user comes and goes; only that this begins.
 */
export class PresenceNews {
  readonly #options: PresenceNewsOptions;
  /** Users whose status has changed; true: it was only shown differently from now on. */
  #changed = new Map<UserId, boolean>();
  #timer: NodeJS.Timeout | undefined;

  constructor(options: PresenceNewsOptions) {
    this.#options = options;
  }

  /** The status of a watched user has changed. */
  changed(user: UserId): void {
    if (!this.#changed.has(user)) this.#changed.set(user, false);
    this.#schedule();
  }

  /** A user has become invisible, or visible again. */
  visibilityChanged(user: UserId): void {
    const { watches, presence } = this.#options;
    if (!watches.hasUser(user) || presence.statusOf(user) === 'offline') return;
    this.#changed.set(user, true);
    this.#schedule();
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#changed.clear();
  }

  #schedule(): void {
    this.#timer ??= setTimeout(() => void this.#tell(), GATHER_MS).unref();
  }

  async #tell(): Promise<void> {
    this.#timer = undefined;
    const changed = this.#changed;
    this.#changed = new Map();
    const entries = [...changed];
    for (let at = 0; at < entries.length; at += MAX_A_TURN) {
      const some = entries.slice(at, at + MAX_A_TURN);
      try {
        await this.#tellOf(some);
      } catch (error) {
        this.#options.logger.warn({ err: error }, 'cannot tell the presence of users');
        for (const [user, isShown] of some)
          this.#changed.set(user, isShown || this.#changed.get(user) === true);
        this.#schedule();
      }
    }
  }

  async #tellOf(entries: readonly (readonly [UserId, boolean])[]): Promise<void> {
    const { store, settings, presence, lastSeen, watches } = this.#options;
    const offline: UserId[] = [];
    const asked = new Set<UserId>();
    for (const [user] of entries) {
      asked.add(user);
      if (presence.statusOf(user) !== 'offline') continue;
      offline.push(user);
      watches.eachOfUser(user, (_stream, _conn, watcher) => asked.add(watcher));
    }
    const settingsOf = await settings.of(asked);
    for (const [user] of entries) if (settingsOf(user).invisible) offline.push(user);
    const seen = offline.length === 0 ? new Map<UserId, number>() : await store.seenOf(offline);
    // Nothing is awaited from here on, so that a WATCH that is answered meanwhile is not told something older.
    for (const [user, isShownDifferently] of entries) {
      const own = settingsOf(user);
      if (own.invisible && !isShownDifferently) continue;
      const status = shownStatus(presence.statusOf(user), own);
      if (status !== 'offline') {
        this.#push(user, toPresence(user, status, 0), () => true);
        continue;
      }
      const noted = own.invisible ? undefined : lastSeen.noted(user);
      const atMs = Math.max(seen.get(user) ?? 0, noted ?? 0);
      const isTold = (watcher: UserId, sharesRoom: boolean) =>
        seesLastSeen(settingsOf(watcher), own, { sharesRoom });
      this.#push(user, toPresence(user, status, atMs), isTold);
      this.#push(user, toPresence(user, status, 0), (watcher, sharesRoom) => !isTold(watcher, sharesRoom));
    }
  }

  /** Pushes to those who watch a user. */
  #push(
    user: UserId,
    presence: client.UserPresence,
    isFor: (watcher: UserId, sharesRoom: boolean) => boolean,
  ): void {
    const { watches, locations } = this.#options;
    const byStream = new Map<number, number[]>();
    watches.eachOfUser(user, (stream, conn, watcher, sharesRoom) => {
      // The user knows without being told.
      if (watcher === user || !isFor(watcher, sharesRoom)) return;
      const conns = byStream.get(stream);
      if (conns === undefined) byStream.set(stream, [conn]);
      else conns.push(conn);
    });
    if (byStream.size === 0) return;
    const payload = client.Presence.encode({ users: [presence] }).finish();
    const frame = encodeFrame(FrameType.PRESENCE, 0, 0n, payload);
    for (const [stream, conns] of byStream) {
      const link = locations.stream(stream);
      const target = { conns, head: encodeDeliverHead(conns), kept: false, topic: 0 };
      if (link !== undefined) link.push({ link, ...target }, frame, NO_CONNECTION);
    }
  }
}
