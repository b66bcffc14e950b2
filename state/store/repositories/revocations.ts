/** Revoked tokens. */
import type { UserId } from '../../../common/mod.ts';
import { pageLimit, storableId } from '../input.ts';
import { sql, type SqlSession } from '../sql.ts';
import type { Revocation, RevocationStore } from '../store.ts';

/** Time for which a revocation is kept after its expiry, in case clocks are wrong by a day. */
const KEPT_MS = 24 * 3_600_000;

interface RevocationRow {
  readonly user_id: UserId;
  readonly at_us: bigint;
  readonly scope: Revocation['scope'];
  readonly token: bigint;
  readonly code: Revocation['code'];
  readonly reason: string;
  readonly expires_at_ms: bigint;
}

export function revocationStore(db: SqlSession): RevocationStore {
  async function revoke({ user, atUs, scope, token, code, reason, expiresAtMs }: Revocation): Promise<void> {
    // No user has an unstorable id.
    if (user !== storableId(user)) return;
    // A repetition writes too: PostgreSQL waits for the synchronous standby only after a write, and the first one may
    // have been committed without it.
    await db.query(sql`
      insert into revocations (user_id, at_us, scope, token, code, reason, expires_at_ms)
      values (${user}, ${atUs}, ${scope}, ${token}, ${code}, ${reason}, ${expiresAtMs})
      on conflict (user_id, at_us) do update set at_us = excluded.at_us`);
    await db.query(sql`delete from revocations where expires_at_ms < ${Date.now() - KEPT_MS}`);
  }

  async function revocations(limit: number): Promise<Revocation[]> {
    const rows = await db.query<RevocationRow>(sql`
      select user_id, at_us, scope, token, code, reason, expires_at_ms
      from revocations order by at_us desc limit ${pageLimit(limit)}`);
    return rows.reverse().map(({ user_id, at_us, expires_at_ms, ...rest }) => {
      return { ...rest, user: user_id, atUs: Number(at_us), expiresAtMs: Number(expires_at_ms) };
    });
  }

  return { revoke, revocations };
}
