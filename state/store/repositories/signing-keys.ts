/** The signing key of tokens. */
import { sql, type SqlSession } from '../sql.ts';
import type { SigningKey } from '../store.ts';

export interface SigningKeys {
  findSigningKey(): Promise<SigningKey | undefined>;
  /** Stores the key unless there is one. Returns the stored one. */
  keepSigningKey(key: SigningKey): Promise<SigningKey>;
}

export function signingKeys(db: SqlSession): SigningKeys {
  async function findSigningKey(): Promise<SigningKey | undefined> {
    const [key] = await db.query<SigningKey>(sql`
      select kid, private_jwk as "privateJwk" from signing_keys where current = ${db.dialect.isTrue}`);
    return key;
  }

  async function keepSigningKey(key: SigningKey): Promise<SigningKey> {
    await db.query(sql`
      insert into signing_keys (kid, private_jwk, current) values (${key.kid}, ${key.privateJwk}, ${true})
      on conflict do nothing`);
    return (await findSigningKey()) ?? key;
  }

  return { findSigningKey, keepSigningKey };
}

/** See SigningKeyStore.signingKey. */
export async function signingKey(keys: SigningKeys, make: () => Promise<SigningKey>): Promise<SigningKey> {
  return (await keys.findSigningKey()) ?? keys.keepSigningKey(await make());
}
