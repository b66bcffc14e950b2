/** Access tokens: JWTs signed with an Ed25519 key. */
import { SignJWT } from 'jose';
import {
  bearerToken,
  GochatError,
  JwtVerifier,
  parseId,
  type PlainErrorCode,
  type UserId,
} from '../../common/mod.ts';
import { CLOCK_SKEW_MS } from '../limits.ts';
import { ALGORITHM, type SigningKeys } from './signing-keys.ts';

const ISSUER = 'gochat';
const AUDIENCE = 'gochat';
/** Of callers of the API server, who show one token with each request. */
const REMEMBERED = 4096;
const RULES = {
  issuer: ISSUER,
  audience: AUDIENCE,
  algorithm: ALGORITHM,
  clockSkewS: CLOCK_SKEW_MS / 1000,
  remembered: REMEMBERED,
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

/** Signs and verifies tokens. Every node of a cluster has the same keys. */
export class Tokens {
  readonly #keys: SigningKeys;
  readonly #verifier = new JwtVerifier(RULES);
  #verified = '';
  readonly #rules: TokenRules;
  readonly #now: () => number;

  constructor(keys: SigningKeys, rules: TokenRules) {
    this.#keys = keys;
    this.#rules = rules;
    this.#now = rules.now ?? Date.now;
  }

  /** Makes a token of a session. */
  async issue(identity: Identity): Promise<IssuedToken> {
    const { kid, privateKey } = this.#keys.signer;
    const issuedAtS = Math.floor(this.#now() / 1000);
    const expiresAtS = issuedAtS + Math.max(1, Math.floor(this.#rules.ttlMs / 1000));
    const token = await new SignJWT({ name: identity.name })
      .setProtectedHeader({ alg: ALGORITHM, kid, typ: 'JWT' })
      .setIssuer(ISSUER)
      .setAudience(AUDIENCE)
      .setSubject(identity.user.toString())
      .setIssuedAt(issuedAtS)
      .setExpirationTime(expiresAtS)
      .setJti(identity.session.toString())
      .sign(privateKey);
    return { token, expiresAtMs: expiresAtS * 1000 };
  }

  /** Returns the user of a token. @throws GochatError TOKEN_EXPIRED, TOKEN_INVALID, TOKEN_REVOKED */
  verify(token: string): Identity {
    const { jwks } = this.#keys;
    if (jwks !== this.#verified) {
      this.#verifier.setKeys(jwks);
      this.#verified = jwks;
    }
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
