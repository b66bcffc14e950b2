/** The rare parts of an entry, as JSON in extras.meta of both engines. */
import type { UserId } from '../../common/mod.ts';
import type { Role } from '../policy.ts';
import type { DraftEntry, SenderRange, SystemEvent } from './store.ts';

/** Ids are decimal strings, as JSON has no 64-bit integers. */
interface MetaJson {
  readonly reason?: string;
  /** Sender, from and to. */
  readonly range?: readonly [string, number, number];
  readonly event?: SystemEvent['event'];
  readonly user?: string;
  /** Who did it. */
  readonly by?: string;
  readonly role?: Role;
}

export interface EntryMeta {
  readonly reason: string;
  /** As in the draft: `toSeq` may be beyond the entry's own seq. */
  readonly range: SenderRange | undefined;
  readonly system: SystemEvent | undefined;
  /** Of a SYSTEM entry: who did it. */
  readonly by: UserId | undefined;
}

const NO_META: EntryMeta = { reason: '', range: undefined, system: undefined, by: undefined };

/** Returns the meta of an entry to be appended; null: it has none. */
export function metaOfDraft({ reason, range }: Pick<DraftEntry, 'reason' | 'range'>): string | null {
  if (reason === '' && range === undefined) return null;
  const meta: MetaJson = {
    ...(reason !== '' && { reason }),
    ...(range && { range: [String(range.sender), range.fromSeq, range.toSeq] }),
  };
  return JSON.stringify(meta);
}

/** Returns the meta of a SYSTEM entry. */
export function metaOfSystem({ event, user, role }: SystemEvent, by: UserId): string {
  const meta: MetaJson = { event, user: String(user), by: String(by), ...(role && { role }) };
  return JSON.stringify(meta);
}

export function parseMeta(text: string | null): EntryMeta {
  if (text === null) return NO_META;
  const { reason = '', range, event, user = '0', by, role } = JSON.parse(text) as MetaJson;
  return {
    reason,
    range: range && { sender: BigInt(range[0]) as UserId, fromSeq: range[1], toSeq: range[2] },
    system: event && { event, user: BigInt(user) as UserId, ...(role && { role }) },
    by: by === undefined ? undefined : (BigInt(by) as UserId),
  };
}
