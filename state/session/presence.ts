/** Presence: who counts as online, which for a while is also who dropped out and may be about to come back. */
import type { UserId } from '../../common/mod.ts';
import type { LocationMap } from './location-map.ts';

/** Most devices in their grace period; beyond it those that dropped out first count as offline. */
const MAX_DROPPED = 1_000_000;

interface Dropped {
  readonly user: UserId;
  readonly device: string;
  readonly endMs: number;
}

export interface PresenceOptions {
  readonly locations: Pick<LocationMap<unknown>, 'isOnline'>;
  /** How long a device that dropped out counts as online, ms. */
  readonly graceMs: number;
  /** A clock that never steps, ms. @default performance.now */
  readonly now?: () => number;
}

/**
 * Each node sees every connection of every gateway, so each knows by itself who is online. A device that said goodbye,
 * or was sent away, is offline at once; one whose connection or gateway broke is in a grace period, in which the client
 * connects again and the others see no flicker. Unnamed devices of a user count as one.
 */
export class Presence {
  readonly #options: PresenceOptions;
  readonly #now: () => number;
  /** When the grace period of each device of a user ends. */
  readonly #byUser = new Map<UserId, Map<string, number>>();
  /** The same, first to end first; entries that have been replaced or taken back are still in it. */
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

  /** The device has a connection again: its end decides from now on. */
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
