/** Access tokens: JWTs signed with an Ed25519 key that is generated on first start and kept in the store. */
import { calculateJwkThumbprint, exportJWK, generateKeyPair, importJWK, type JWK, SignJWT } from 'jose';
import {
  bearerToken,
  GochatError,
  JwtVerifier,
  parseId,
  type PlainErrorCode,
  type UserId,
} from '../../common/mod.ts';
import { CLOCK_SKEW_MS } from '../limits.ts';
import type { SigningKey, Store } from '../store/store.ts';

const ALGORITHM = 'EdDSA';
const CURVE = 'Ed25519';
const ISSUER = 'gochat';
const AUDIENCE = 'gochat';
const RULES = {
  issuer: ISSUER,
  audience: AUDIENCE,
  algorithm: ALGORITHM,
  clockSkewS: CLOCK_SKEW_MS / 1000,
};

/** The user and login session of a token. */
export interface Identity {
  readonly user: UserId;
  readonly name: string;
  /** Id of the login session, which is the id (jti) of all of its access tokens: revoking it ends them all. */
  readonly session: bigint;
}

/** Checks of a token besides its signature. */
export interface TokenRules {
  /** Lifetime of a token, ms. */
  readonly ttlMs: number;
  /** Returns why a genuine token is refused. */
  readonly refusal: (user: UserId, session: bigint) => PlainErrorCode | undefined;
  /** Wall clock, Unix ms. @default Date.now */
  readonly now?: () => number;
}

export interface IssuedToken {
  readonly token: string;
  /** Unix time, ms. */
  readonly expiresAtMs: number;
}

/** Signs and verifies tokens. Every node of a cluster has the same key, because the store keeps the first one. */
export class Tokens {
  /** The public keys as a JSON Web Key Set, for gateways. */
  readonly jwks: string;
  readonly #kid: string;
  readonly #key: Awaited<ReturnType<typeof importJWK>>;
  readonly #verifier = new JwtVerifier(RULES);
  readonly #rules: TokenRules;
  readonly #now: () => number;

  private constructor(
    kid: string,
    key: Awaited<ReturnType<typeof importJWK>>,
    publicJwk: JWK,
    rules: TokenRules,
  ) {
    this.#kid = kid;
    this.#key = key;
    this.#rules = rules;
    this.#now = rules.now ?? Date.now;
    this.jwks = JSON.stringify({ keys: [publicJwk] });
    this.#verifier.setKeys(this.jwks);
  }

  /** Loads the signing key, generating it if there is none. @throws GochatError STORE_UNAVAILABLE */
  static async open(store: Pick<Store, 'signingKey'>, rules: TokenRules): Promise<Tokens> {
    const stored = await store.signingKey(makeKey);
    const privateJwk = JSON.parse(stored.privateJwk) as JWK;
    const { kty, crv, x } = privateJwk;
    if (kty !== 'OKP' || crv !== CURVE || x === undefined) {
      throw new GochatError('INTERNAL', { cause: new Error('the stored signing key is no Ed25519 key') });
    }
    const publicJwk: JWK = { kty, crv, x, kid: stored.kid, alg: ALGORITHM, use: 'sig' };
    return new Tokens(stored.kid, await importJWK(privateJwk, ALGORITHM), publicJwk, rules);
  }

  /** Makes a token of a session. */
  async issue(identity: Identity): Promise<IssuedToken> {
    const issuedAtS = Math.floor(this.#now() / 1000);
    const expiresAtS = issuedAtS + Math.max(1, Math.floor(this.#rules.ttlMs / 1000));
    const token = await new SignJWT({ name: identity.name })
      .setProtectedHeader({ alg: ALGORITHM, kid: this.#kid, typ: 'JWT' })
      .setIssuer(ISSUER)
      .setAudience(AUDIENCE)
      .setSubject(identity.user.toString())
      .setIssuedAt(issuedAtS)
      .setExpirationTime(expiresAtS)
      .setJti(identity.session.toString())
      .sign(this.#key);
    return { token, expiresAtMs: expiresAtS * 1000 };
  }

  /** Returns the user of a token. @throws GochatError TOKEN_EXPIRED, TOKEN_INVALID, TOKEN_REVOKED */
  verify(token: string): Identity {
    const claims = this.#verifier.verify(token, this.#now());
    if (typeof claims === 'string') throw new GochatError(claims);
    const { sub, name, jti } = claims;
    const user = parseId(sub) as UserId | undefined;
    if (user === undefined || typeof name !== 'string' || typeof jti !== 'string')
      throw new GochatError('TOKEN_INVALID');
    const session = parseId(jti) ?? 0n;
    const refusal = this.#rules.refusal(user, session);
    if (refusal !== undefined) throw new GochatError(refusal);
    return { user, name, session };
  }

  /** Verifies the value of an Authorization header. @throws GochatError TOKEN_MISSING, TOKEN_EXPIRED, TOKEN_INVALID, TOKEN_REVOKED */
  verifyBearer(header: string | undefined): Identity {
    if (header === undefined || header === '') throw new GochatError('TOKEN_MISSING');
    const token = bearerToken(header);
    if (token === undefined) throw new GochatError('TOKEN_INVALID');
    return this.verify(token);
  }
}

async function makeKey(): Promise<SigningKey> {
  const { privateKey } = await generateKeyPair(ALGORITHM, { crv: CURVE, extractable: true });
  const jwk = await exportJWK(privateKey);
  return { kid: await calculateJwkThumbprint(jwk), privateJwk: JSON.stringify(jwk) };
}
