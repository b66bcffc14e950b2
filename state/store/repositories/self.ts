/** Queries of what the devices of a user share: settings, mutes, drafts, and the read cursors together. */
import type { ConversationId, UserId } from '../../../common/mod.ts';
import type { AccessCheck, Refusal } from '../../policy.ts';
import { pageLimit, storableId, storableSeq } from '../input.ts';
import { pageKey, parsePageKey, toPage } from '../page-key.ts';
import { sql, type SqlDatabase, type SqlSession } from '../sql.ts';
import {
  MAX_DRAFTS,
  type ReadCursor,
  type SavedDraft,
  type SelfPage,
  type SelfStore,
  type SettingChanges,
  type StoredSettings,
} from '../store.ts';
import { admitReader } from './conversations.ts';

/** Settings that have never been changed. */
const UNSET: StoredSettings = { version: 1, values: {} };

interface SettingsRow {
  readonly user_id: UserId;
  readonly version: bigint;
  readonly settings: string;
}

interface DraftRow {
  readonly conversation: ConversationId;
  readonly body: string;
  readonly at_ms: bigint;
}

export function selfStore(db: SqlDatabase): SelfStore {
  async function settingsOf(users: readonly UserId[]): Promise<Map<UserId, StoredSettings>> {
    const rows = await db.query<SettingsRow>(sql`
      select user_id, version, cast(settings as text) as settings from user_settings
      where user_id in ${db.dialect.listOf(users.map(storableId))}`);
    return toSettings(rows);
  }

  async function settingsSince(ms: number): Promise<Map<UserId, StoredSettings>> {
    const rows = await db.query<SettingsRow>(sql`
      select user_id, version, cast(settings as text) as settings from user_settings
      where changed_at_ms >= ${storableSeq(ms)}`);
    return toSettings(rows);
  }

  function setSettings(
    user: UserId,
    changes: SettingChanges,
    ifVersion: number | undefined,
    nowMs: number,
  ): Promise<StoredSettings | undefined> {
    return db.transaction(async (session) => {
      await lockUser(session, user);
      const [row] = await session.query<SettingsRow>(sql`
        select user_id, version, cast(settings as text) as settings from user_settings where user_id = ${user}`);
      const before = toSettings(row === undefined ? [] : [row]).get(user) ?? UNSET;
      if (ifVersion !== undefined && ifVersion !== before.version) return undefined;
      const after = { version: before.version + 1, values: { ...before.values, ...changes } };
      await session.query(sql`
        insert into user_settings (user_id, version, settings, changed_at_ms)
        values (${user}, ${after.version}, ${JSON.stringify(after.values)}, ${nowMs})
        on conflict (user_id) do update
        set version = excluded.version, settings = excluded.settings, changed_at_ms = excluded.changed_at_ms`);
      await freeze(session, user, before.values.invisible ?? false, after.values.invisible ?? false);
      return after;
    });
  }

  async function setMute(
    conversation: ConversationId,
    by: AccessCheck,
    untilMs: number,
  ): Promise<{ readonly untilMs: number } | Refusal> {
    const reader = await admitReader(db, conversation, by);
    if (typeof reader === 'string') return reader;
    if (untilMs === 0)
      await db.query(sql`delete from mutes where user_id = ${by.actor} and conversation = ${conversation}`);
    else
      await db.query(sql`
        insert into mutes (user_id, conversation, until_ms) values (${by.actor}, ${conversation}, ${untilMs})
        on conflict (user_id, conversation) do update set until_ms = excluded.until_ms`);
    return { untilMs };
  }

  async function saveDraft(
    conversation: ConversationId,
    by: AccessCheck,
    text: string,
    nowMs: number,
  ): Promise<SavedDraft | Refusal | 'DRAFTS_FULL'> {
    const reader = await admitReader(db, conversation, by);
    if (typeof reader === 'string') return reader;
    const user = by.actor;
    const draft: SavedDraft = { conversation, text, atMs: nowMs };
    if (text === '') {
      await db.query(sql`delete from drafts where user_id = ${user} and conversation = ${conversation}`);
      return draft;
    }
    return db.transaction(async (session) => {
      await lockUser(session, user);
      await session.query(sql`
        delete from drafts where user_id = ${user} and not exists (
          select 1 from members m where m.conversation = drafts.conversation and m.user_id = drafts.user_id
        )`);
      const [others] = await session.query<{ count: bigint }>(sql`
        select count(*) as count from drafts where user_id = ${user} and conversation <> ${conversation}`);
      if (Number(others?.count) >= MAX_DRAFTS) return 'DRAFTS_FULL';
      await session.query(sql`
        insert into drafts (user_id, conversation, body, at_ms) values (${user}, ${conversation}, ${text}, ${nowMs})
        on conflict (user_id, conversation) do update set body = excluded.body, at_ms = excluded.at_ms`);
      return draft;
    });
  }

  async function selfOf(user: UserId, after: string, limit: number): Promise<SelfPage> {
    const size = pageLimit(limit);
    const [start] = after === '' ? [0n] : (parsePageKey(after, 1) ?? []);
    if (start === undefined)
      return { reads: [], mutes: [], drafts: [], settings: undefined, next: undefined };
    const rows = await db.query<{ conversation: ConversationId; read_seq: bigint; read_epoch: bigint }>(sql`
      select conversation, read_seq, read_epoch from members
      where user_id = ${user} and conversation > ${start}
      order by conversation limit ${size + 1}`);
    const { items, next } = toPage(rows, size, (last) => pageKey(last.conversation));
    const reads: ReadCursor[] = items.map((row) => ({
      conversation: row.conversation,
      readSeq: Number(row.read_seq),
      readEpoch: Number(row.read_epoch),
    }));
    if (after !== '') return { reads, mutes: [], drafts: [], settings: undefined, next };
    const mutes = await db.query<{ conversation: ConversationId; until_ms: bigint }>(sql`
      select s.conversation, s.until_ms from mutes s
      join members m on m.conversation = s.conversation and m.user_id = s.user_id
      where s.user_id = ${user} order by s.conversation`);
    const drafts = await draftsOf(db, user);
    return {
      reads,
      mutes: mutes.map((row) => ({ conversation: row.conversation, untilMs: Number(row.until_ms) })),
      drafts,
      settings: (await settingsOf([user])).get(user) ?? UNSET,
      next,
    };
  }

  return { settingsOf, settingsSince, setSettings, setMute, saveDraft, selfOf };
}

/** One change of a user's settings or drafts at a time. */
async function lockUser(session: SqlSession, user: UserId): Promise<void> {
  await session.query(sql`select id from accounts where id = ${user} ${session.dialect.forChange}`);
}

/** Keeps what others are shown of a user who becomes invisible as it is, until the user is visible again. */
async function freeze(session: SqlSession, user: UserId, was: boolean, is: boolean): Promise<void> {
  if (was === is) return;
  await session.query(sql`delete from frozen_receipts where user_id = ${user}`);
  if (!is) return;
  await session.query(sql`
    insert into frozen_receipts (user_id, conversation, read_seq, read_epoch, delivered_seq)
    select m.user_id, m.conversation, m.read_seq, m.read_epoch, coalesce((
      select max(d.delivered_seq) from cursors d where d.conversation = m.conversation and d.user_id = m.user_id
    ), 0)
    from members m where m.user_id = ${user}`);
}

async function draftsOf(db: SqlSession, user: UserId): Promise<SavedDraft[]> {
  const rows = await db.query<DraftRow>(sql`
    select s.conversation, s.body, s.at_ms from drafts s
    join members m on m.conversation = s.conversation and m.user_id = s.user_id
    where s.user_id = ${user} order by s.conversation`);
  return rows.map((row) => ({ conversation: row.conversation, text: row.body, atMs: Number(row.at_ms) }));
}

function toSettings(rows: readonly SettingsRow[]): Map<UserId, StoredSettings> {
  return new Map(
    rows.map(({ user_id, version, settings }) => [
      user_id,
      { version: Number(version), values: JSON.parse(settings) as SettingChanges },
    ]),
  );
}
