/** Access tokens: JWTs signed with an Ed25519 key that is made on first start and kept in the store. */
import { randomUUID } from 'node:crypto';
import {
  calculateJwkThumbprint,
  createLocalJWKSet,
  errors,
  exportJWK,
  generateKeyPair,
  importJWK,
  type JWK,
  jwtVerify,
  SignJWT,
} from 'jose';
import { GochatError, type UserId } from '../../common/mod.ts';
import type { SigningKey, Store } from '../store/store.ts';

const ALGORITHM = 'EdDSA';
const CURVE = 'Ed25519';
const ISSUER = 'gochat';
const AUDIENCE = 'gochat';
/** Clocks of the nodes may differ by this much. */
const CLOCK_SKEW_S = 5;
const DECIMAL = /^[1-9]\d{0,18}$/;

export interface Identity {
  readonly user: UserId;
  readonly name: string;
}

export interface IssuedToken {
  readonly token: string;
  /** Unix time, ms. */
  readonly expiresAtMs: number;
}

/** Signs and verifies tokens. Every node of a cluster has the same key, because the store keeps the first one made. */
export class Tokens {
  /** The public keys as a JWK set, JSON text: what gateways verify with. */
  readonly jwks: string;
  readonly #kid: string;
  readonly #key: Awaited<ReturnType<typeof importJWK>>;
  readonly #keySet: ReturnType<typeof createLocalJWKSet>;
  readonly #ttlMs: number;
  readonly #now: () => number;

  private constructor(
    kid: string,
    key: Awaited<ReturnType<typeof importJWK>>,
    publicJwk: JWK,
    ttlMs: number,
    now: () => number,
  ) {
    this.#kid = kid;
    this.#key = key;
    this.#ttlMs = ttlMs;
    this.#now = now;
    const set = { keys: [publicJwk] };
    this.#keySet = createLocalJWKSet(set);
    this.jwks = JSON.stringify(set);
  }

  /** Loads the signing key, making it where there is none yet. @throws GochatError STORE_UNAVAILABLE */
  static async open(
    store: Pick<Store, 'signingKey'>,
    ttlMs: number,
    now: () => number = Date.now,
  ): Promise<Tokens> {
    const stored = await store.signingKey(makeKey);
    const privateJwk = JSON.parse(stored.privateJwk) as JWK;
    const { kty, crv, x } = privateJwk;
    if (kty !== 'OKP' || crv !== CURVE || x === undefined) {
      throw new GochatError('INTERNAL', { cause: new Error('the stored signing key is no Ed25519 key') });
    }
    const publicJwk: JWK = { kty, crv, x, kid: stored.kid, alg: ALGORITHM, use: 'sig' };
    return new Tokens(stored.kid, await importJWK(privateJwk, ALGORITHM), publicJwk, ttlMs, now);
  }

  /** Makes a token for a user. */
  async issue(identity: Identity): Promise<IssuedToken> {
    const issuedAtS = Math.floor(this.#now() / 1000);
    const expiresAtS = issuedAtS + Math.max(1, Math.floor(this.#ttlMs / 1000));
    const token = await new SignJWT({ name: identity.name })
      .setProtectedHeader({ alg: ALGORITHM, kid: this.#kid, typ: 'JWT' })
      .setIssuer(ISSUER)
      .setAudience(AUDIENCE)
      .setSubject(identity.user.toString())
      .setIssuedAt(issuedAtS)
      .setExpirationTime(expiresAtS)
      .setJti(randomUUID())
      .sign(this.#key);
    return { token, expiresAtMs: expiresAtS * 1000 };
  }

  /** Returns who a token is for. @throws GochatError TOKEN_EXPIRED, TOKEN_INVALID */
  async verify(token: string): Promise<Identity> {
    try {
      const { payload } = await jwtVerify(token, this.#keySet, {
        algorithms: [ALGORITHM],
        issuer: ISSUER,
        audience: AUDIENCE,
        requiredClaims: ['sub', 'exp', 'iat', 'jti'],
        clockTolerance: CLOCK_SKEW_S,
        currentDate: new Date(this.#now()),
      });
      const { sub, name } = payload;
      if (sub === undefined || !DECIMAL.test(sub) || typeof name !== 'string') {
        throw new GochatError('TOKEN_INVALID');
      }
      return { user: BigInt(sub) as UserId, name };
    } catch (cause) {
      if (cause instanceof GochatError) throw cause;
      throw new GochatError(cause instanceof errors.JWTExpired ? 'TOKEN_EXPIRED' : 'TOKEN_INVALID', {
        cause,
      });
    }
  }

  /** Verifies the value of an Authorization header. @throws GochatError TOKEN_MISSING, TOKEN_EXPIRED, TOKEN_INVALID */
  async verifyBearer(header: string | undefined): Promise<Identity> {
    if (header === undefined || header === '') throw new GochatError('TOKEN_MISSING');
    const match = /^Bearer +(\S+)$/i.exec(header);
    if (match === null) throw new GochatError('TOKEN_INVALID');
    return this.verify(match[1] as string);
  }
}

async function makeKey(): Promise<SigningKey> {
  const { privateKey } = await generateKeyPair(ALGORITHM, { crv: CURVE, extractable: true });
  const jwk = await exportJWK(privateKey);
  return { kid: await calculateJwkThumbprint(jwk), privateJwk: JSON.stringify(jwk) };
}
