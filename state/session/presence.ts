/** Presence: which users are online, including those within their grace period, and news of it. */
import type { UserId } from '../../common/mod.ts';
import type { LocationMap } from './location-map.ts';

/** Most devices in their grace period; beyond it the oldest count as offline. */
const MAX_DROPPED = 1_000_000;

/** 'idle': online, with nobody at any of the user's devices. */
export type Status = 'online' | 'idle' | 'offline';

interface Dropped {
  readonly user: UserId;
  readonly device: string;
  readonly endMs: number;
  /** Unix time at which it dropped, ms. */
  readonly atMs: number;
  readonly idle: boolean;
}

export interface PresenceOptions {
  readonly locations: Pick<LocationMap<unknown>, 'statusOf'>;
  /** Grace period of a dropped device, ms. */
  readonly graceMs: number;
  /** Whether anybody is to be told of the user's changes. @default nobody */
  readonly isWatched?: (user: UserId) => boolean;
  /** The status of a watched user has changed. */
  readonly onChange?: (user: UserId) => void;
  /** The last device of a user has ended, at a Unix time, ms. */
  readonly onOffline?: (user: UserId, atMs: number) => void;
  /** Monotonic clock, ms. @default performance.now */
  readonly now?: () => number;
}

/**
 * Each node knows every connection of every gateway, so each can tell who is online. A device that closed, or was ended
 * on purpose, is offline at once. One whose connection or gateway broke is in a grace period, in which the client
 * reconnects and others see no flicker; a timer ends it. Unnamed devices of a user count as one.
 */
export class Presence {
  readonly #options: PresenceOptions;
  readonly #now: () => number;
  /** The devices of each user in their grace period. */
  readonly #byUser = new Map<UserId, Map<string, Dropped>>();
  /** The same, soonest first; may contain outdated entries. */
  #queue: Dropped[] = [];
  #head = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: PresenceOptions) {
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
  }

  /** Runs what may change a user's status, and reports a change. */
  during(user: UserId, change: () => void): void {
    if (this.#options.isWatched?.(user) !== true) {
      change();
      return;
    }
    const before = this.statusOf(user);
    change();
    if (this.statusOf(user) !== before) this.#options.onChange?.(user);
  }

  /** A connection of the device broke. @param device empty for an unnamed one @param idle nobody was at it */
  dropped(user: UserId, device: string, idle = false): void {
    const dropped = { user, device, endMs: this.#now() + this.#options.graceMs, atMs: Date.now(), idle };
    this.forgetEnded();
    let devices = this.#byUser.get(user);
    if (devices === undefined) {
      devices = new Map();
      this.#byUser.set(user, devices);
    }
    devices.set(device, dropped);
    this.#queue.push(dropped);
    this.#schedule();
  }

  /** The device has a connection again. */
  attached(user: UserId, device: string): void {
    const devices = this.#byUser.get(user);
    if (devices?.delete(device) === true && devices.size === 0) this.#byUser.delete(user);
  }

  /** A connection has ended on purpose. */
  left(user: UserId): void {
    if (this.statusOf(user) === 'offline') this.#options.onOffline?.(user, Date.now());
  }

  isOnline(user: UserId): boolean {
    return this.statusOf(user) !== 'offline';
  }

  statusOf(user: UserId): Status {
    let status: Status = this.#options.locations.statusOf(user);
    const devices = this.#byUser.get(user);
    if (status === 'online' || devices === undefined) return status;
    const now = this.#now();
    for (const { endMs, idle } of devices.values()) {
      if (endMs <= now) continue;
      if (!idle) return 'online';
      status = 'idle';
    }
    return status;
  }

  /** Ends the grace periods that are over; called by the timer. */
  forgetEnded(): void {
    const now = this.#now();
    for (; this.#head < this.#queue.length; this.#head++) {
      const dropped = this.#queue[this.#head] as Dropped;
      const { user, device, endMs, atMs } = dropped;
      if (endMs > now && this.#queue.length - this.#head < MAX_DROPPED) break;
      if (this.#byUser.get(user)?.get(device) !== dropped) continue;
      this.attached(user, device);
      if (this.statusOf(user) === 'offline') this.#options.onOffline?.(user, atMs);
      // The status has changed unless another device has the same one.
      if (this.#options.isWatched?.(user) === true) this.#options.onChange?.(user);
    }
    if (this.#head * 2 < this.#queue.length) return;
    this.#queue = this.#queue.slice(this.#head);
    this.#head = 0;
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  #schedule(): void {
    if (this.#timer !== undefined) return;
    const first = this.#queue[this.#head];
    if (first === undefined) return;
    this.#timer = setTimeout(
      () => {
        this.#timer = undefined;
        this.forgetEnded();
        this.#schedule();
      },
      Math.max(1, first.endMs - this.#now()),
    ).unref();
  }
}
