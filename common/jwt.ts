/** Verification of JWTs signed with Ed25519: access tokens and tickets. */
import { createPublicKey, type JsonWebKey, type KeyObject, verify } from 'node:crypto';

/** 64 bytes in base64url. */
const SIGNATURE_LENGTH = 86;
const TYPE = 'JWT';
const HEADER_FIELDS: ReadonlySet<string> = new Set(['alg', 'kid', 'typ']);

/** The claims that a valid JWT must have. */
export interface JwtRules {
  readonly issuer: string;
  readonly audience: string;
  /** Algorithm that the header must name, and the key's JWK: `EdDSA` or `Ed25519`. */
  readonly algorithm: string;
  /** How far the clocks of signer and verifier may differ, s. @default 0 */
  readonly clockSkewS?: number;
  /** Number of valid tokens whose signature is not verified again, for callers who show one again and again. @default 0 */
  readonly remembered?: number;
}

export type JwtClaims = Readonly<Record<string, unknown>>;
/** The claims of a valid JWT. */
export type ValidClaims = JwtClaims & {
  /** Unix time at which it expires, s. */
  readonly exp: number;
};

/**
 * Verifies with a set of public keys.
 *
 * Used instead of a JOSE library for two reasons. A login should cost little more than its signature check, and
 * WebCrypto, on which such libraries are built, doubles that. And only the exact encoding that was signed is accepted:
 * base64url decoders ignore padding, spaces, the other alphabet and stray bits, so one token would have many encodings.
 */
export class JwtVerifier {
  readonly #rules: JwtRules;
  #keys: ReadonlyMap<string, KeyObject> = new Map();
  /** The last header that named one of the keys, and that key: a signer encodes the same header in all tokens. */
  #head = '';
  #headKey: KeyObject | undefined;
  /** The claims of tokens that these keys have signed, the oldest first. */
  readonly #known = new Map<string, ValidClaims>();

  /** It has no keys until `setKeys`. */
  constructor(rules: JwtRules) {
    this.#rules = rules;
  }

  /**
   * Replaces the keys by those of a JSON Web Key Set that have a `kid` and the rules' algorithm.
   *
   * @throws Error if it is not a key set; the old keys stay
   */
  setKeys(jwks: string): void {
    const { keys } = JSON.parse(jwks) as { keys: unknown };
    if (!Array.isArray(keys)) throw new TypeError('a JSON Web Key Set has a list of keys');
    const known = new Map<string, KeyObject>();
    for (const key of keys as JsonWebKey[])
      if (typeof key['kid'] === 'string' && key['alg'] === this.#rules.algorithm && key.crv === 'Ed25519')
        known.set(key['kid'], createPublicKey({ key, format: 'jwk' }));
    this.#keys = known;
    this.#head = '';
    this.#headKey = undefined;
    this.#known.clear();
  }

  /** Returns the claims of a valid token, or why it is invalid. @param nowMs Unix time, ms */
  verify(token: string, nowMs = Date.now()): ValidClaims | 'TOKEN_EXPIRED' | 'TOKEN_INVALID' {
    const { clockSkewS = 0 } = this.#rules;
    const known = this.#known.get(token);
    const claims = known ?? this.#claimsOf(token);
    if (claims === undefined) return 'TOKEN_INVALID';
    if (claims.exp + clockSkewS <= Math.floor(nowMs / 1000)) return 'TOKEN_EXPIRED';
    if (known === undefined) this.#remember(token, claims);
    return claims;
  }

  #remember(token: string, claims: ValidClaims): void {
    const { remembered = 0 } = this.#rules;
    if (remembered === 0) return;
    if (this.#known.size >= remembered) this.#known.delete(this.#known.keys().next().value as string);
    this.#known.set(token, claims);
  }

  /** Returns the claims of a token, expired or not; undefined if it is not genuine. */
  #claimsOf(token: string): ValidClaims | undefined {
    const headEnd = token.indexOf('.');
    const bodyEnd = token.length - SIGNATURE_LENGTH - 1;
    if (headEnd < 1 || bodyEnd <= headEnd || token[bodyEnd] !== '.') return undefined;
    const spelled = token.slice(bodyEnd + 1);
    const signature = Buffer.from(spelled, 'base64url');
    if (signature.toString('base64url') !== spelled) return undefined;
    const key = this.#keyOf(token.slice(0, headEnd));
    const signed = Buffer.from(token.slice(0, bodyEnd));
    if (key === undefined || !verify(undefined, signed, key, signature)) return undefined;
    const claims = parse(token.slice(headEnd + 1, bodyEnd));
    const { issuer, audience } = this.#rules;
    const isOurs = claims?.['iss'] === issuer && claims['aud'] === audience;
    return isOurs && typeof claims['exp'] === 'number' ? (claims as ValidClaims) : undefined;
  }

  #keyOf(head: string): KeyObject | undefined {
    if (head === this.#head) return this.#headKey;
    const key = this.#keyNamedBy(parse(head));
    if (key === undefined) return undefined;
    this.#head = head;
    this.#headKey = key;
    return key;
  }

  /** Returns the key of a header; undefined if the header asks for more than a plain signature. */
  #keyNamedBy(header: JwtClaims | undefined): KeyObject | undefined {
    if (header?.['alg'] !== this.#rules.algorithm || (header['typ'] ?? TYPE) !== TYPE) return undefined;
    for (const field in header) if (!HEADER_FIELDS.has(field)) return undefined;
    return this.#keys.get(String(header['kid']));
  }
}

/** Parses a JSON object in base64url; undefined if it is not one. */
function parse(text: string): JwtClaims | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(text, 'base64url').toString());
    return typeof value === 'object' && value !== null ? (value as JwtClaims) : undefined;
  } catch {
    // The caller answers every malformed token alike.
    return undefined;
  }
}
