/** Visibility: who is shown what of whom. The one place that decides it. */
import type { UserId } from '../../common/mod.ts';
import { client, type LastSeenLevel, type UserSettings } from '../../proto/mod.ts';
import type { Acquaintance } from '../store/store.ts';
import type { Status } from './presence.ts';

const WIRE_STATUS = {
  online: client.PresenceStatus.PRESENCE_STATUS_ONLINE,
  idle: client.PresenceStatus.PRESENCE_STATUS_IDLE,
  offline: client.PresenceStatus.PRESENCE_STATUS_OFFLINE,
} as const satisfies Record<Status, client.PresenceStatus>;

/** Returns the status that others are shown. */
export function shownStatus(status: Status, { invisible }: UserSettings): Status {
  return invisible ? 'offline' : status;
}

/** Returns whether a viewer is told when a user was last seen: who hides it from the user is not. */
export function seesLastSeen(viewer: UserSettings, of: UserSettings, { sharesRoom }: Acquaintance): boolean {
  return admits(of.last_seen, sharesRoom) && admits(viewer.last_seen, sharesRoom);
}

/** @param lastSeenMs Unix time, ms; 0: unknown or hidden */
export function toPresence(user: UserId, status: Status, lastSeenMs: number): client.UserPresence {
  return { user, status: WIRE_STATUS[status], lastSeenMs: BigInt(lastSeenMs) };
}

function admits(level: LastSeenLevel, sharesRoom: boolean): boolean {
  return level === 'everybody' || (level === 'rooms' && sharesRoom);
}
