/** Presence: which users are online, including those within their grace period. */
import type { UserId } from '../../common/mod.ts';
import type { LocationMap } from './location-map.ts';

/** Most devices in their grace period; beyond it the oldest count as offline. */
const MAX_DROPPED = 1_000_000;

interface Dropped {
  readonly user: UserId;
  readonly device: string;
  readonly endMs: number;
}

export interface PresenceOptions {
  readonly locations: Pick<LocationMap<unknown>, 'isOnline'>;
  /** Grace period of a dropped device, ms. */
  readonly graceMs: number;
  /** Monotonic clock, ms. @default performance.now */
  readonly now?: () => number;
}

/**
 * Each node knows every connection of every gateway, so each can tell who is online. A device that closed, or was ended
 * on purpose, is offline at once. One whose connection or gateway broke is in a grace period, in which the client
 * reconnects and others see no flicker. Unnamed devices of a user count as one.
 */
export class Presence {
  readonly #options: PresenceOptions;
  readonly #now: () => number;
  /** End of the grace period of each device of a user. */
  readonly #byUser = new Map<UserId, Map<string, number>>();
  /** The same, soonest first; may contain outdated entries. */
  #queue: Dropped[] = [];
  #head = 0;

  constructor(options: PresenceOptions) {
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
  }

  /** A connection of the device broke. @param device empty for an unnamed one */
  dropped(user: UserId, device: string): void {
    const endMs = this.#now() + this.#options.graceMs;
    this.#forgetEnded();
    let devices = this.#byUser.get(user);
    if (devices === undefined) {
      devices = new Map();
      this.#byUser.set(user, devices);
    }
    devices.set(device, endMs);
    this.#queue.push({ user, device, endMs });
  }

  /** The device has a connection again. */
  attached(user: UserId, device: string): void {
    const devices = this.#byUser.get(user);
    if (devices?.delete(device) === true && devices.size === 0) this.#byUser.delete(user);
  }

  isOnline(user: UserId): boolean {
    if (this.#options.locations.isOnline(user)) return true;
    const now = this.#now();
    for (const endMs of this.#byUser.get(user)?.values() ?? []) if (endMs > now) return true;
    return false;
  }

  #forgetEnded(): void {
    const now = this.#now();
    for (; this.#head < this.#queue.length; this.#head++) {
      const { user, device, endMs } = this.#queue[this.#head] as Dropped;
      if (endMs > now && this.#queue.length - this.#head < MAX_DROPPED) break;
      if (this.#byUser.get(user)?.get(device) === endMs) this.attached(user, device);
    }
    if (this.#head * 2 < this.#queue.length) return;
    this.#queue = this.#queue.slice(this.#head);
    this.#head = 0;
  }
}
