/** Checks access tokens at the edge, with the public keys that the registry publishes. */
import { createLocalJWKSet, errors, type JSONWebKeySet, type JWTVerifyGetKey, jwtVerify } from 'jose';
import type { ErrorCode } from '../common/mod.ts';

const ISSUER = 'gochat';
const AUDIENCE = 'gochat';
const MAX_USER = 0xffff_ffff_ffff_ffffn;
const MAX_NAME_LENGTH = 64;

/** Who a token speaks for. */
export interface Identity {
  readonly user: bigint;
  readonly userName: string;
}

/** Verifies tokens; it has no keys until `setKeys`. */
export class Authenticator {
  #keys: JWTVerifyGetKey | undefined;

  get ready(): boolean {
    return this.#keys !== undefined;
  }

  /** Replaces the keys. @param jwks a JSON Web Key Set as text. @throws when it is none: the old keys stay */
  setKeys(jwks: string): void {
    this.#keys = createLocalJWKSet(JSON.parse(jwks) as JSONWebKeySet);
  }

  /** Returns whom the token speaks for, or the code that refuses it; never rejects. */
  async verify(token: string): Promise<Identity | ErrorCode> {
    if (this.#keys === undefined) return 'STATE_UNAVAILABLE';
    try {
      const { payload } = await jwtVerify(token, this.#keys, {
        issuer: ISSUER,
        audience: AUDIENCE,
        algorithms: ['EdDSA'],
        requiredClaims: ['exp', 'sub'],
      });
      const name = payload['name'];
      if (typeof name !== 'string' || name === '' || name.length > MAX_NAME_LENGTH) return 'TOKEN_INVALID';
      if (!/^[1-9]\d{0,19}$/.test(payload.sub ?? '')) return 'TOKEN_INVALID';
      const user = BigInt(payload.sub as string);
      return user > MAX_USER ? 'TOKEN_INVALID' : { user, userName: name };
    } catch (error) {
      return error instanceof errors.JWTExpired ? 'TOKEN_EXPIRED' : 'TOKEN_INVALID';
    }
  }
}
