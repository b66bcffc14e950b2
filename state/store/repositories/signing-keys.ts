/** The signing keys of tokens. */
import { sql, type SqlDatabase, type SqlSession } from '../sql.ts';
import type { SigningKey, SigningKeyStore } from '../store.ts';

interface KeyRow {
  readonly kid: string;
  readonly private_jwk: string;
  readonly signs_from_ms: bigint;
}

export function signingKeyStore(db: SqlDatabase): SigningKeyStore {
  async function signingKeys(): Promise<SigningKey[]> {
    const rows = await db.query<KeyRow>(sql`
      select kid, private_jwk, signs_from_ms from signing_keys order by current, signs_from_ms, kid`);
    return rows.map((row) => ({
      kid: row.kid,
      privateJwk: row.private_jwk,
      signsFromMs: Number(row.signs_from_ms),
    }));
  }

  async function add(
    session: SqlSession,
    { kid, privateJwk, signsFromMs }: SigningKey,
    after: string,
  ): Promise<void> {
    await session.query(sql`
      update signing_keys set current = ${false} where kid = ${after} and current = ${db.dialect.isTrue}`);
    // At most one key is current: that of another node may be there.
    await session.query(sql`
      insert into signing_keys (kid, private_jwk, current, signs_from_ms)
      values (${kid}, ${privateJwk}, ${true}, ${signsFromMs})
      on conflict do nothing`);
  }

  async function replaceSigningKey(kid: string, privateJwk: string, by: string): Promise<void> {
    await db.query(sql`
      update signing_keys set private_jwk = ${by} where kid = ${kid} and private_jwk = ${privateJwk}`);
  }

  async function removeSigningKey(kid: string): Promise<void> {
    await db.query(sql`delete from signing_keys where kid = ${kid}`);
  }

  return {
    signingKeys,
    addSigningKey: (key, after) => db.transaction((session) => add(session, key, after)),
    replaceSigningKey,
    removeSigningKey,
  };
}
