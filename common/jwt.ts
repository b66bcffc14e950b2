/** Checks JWTs that are signed with Ed25519: access tokens and tickets. */
import { createPublicKey, type JsonWebKey, type KeyObject, verify } from 'node:crypto';

/** 64 bytes in base64url. */
const SIGNATURE_LENGTH = 86;
const TYPE = 'JWT';
const HEADER_FIELDS: ReadonlySet<string> = new Set(['alg', 'kid', 'typ']);

/** What a JWT must say to be taken. */
export interface JwtRules {
  readonly issuer: string;
  readonly audience: string;
  /** Algorithm that the header must name, and the key's JWK: `EdDSA` or `Ed25519`. */
  readonly algorithm: string;
  /** How far the clocks of signer and verifier may differ, s. @default 0 */
  readonly clockSkewS?: number;
}

export type JwtClaims = Readonly<Record<string, unknown>>;

/**
 * Verifies with a set of public keys.
 *
 * It does less than a JOSE library, for two reasons. A login should cost little more than its signature, and WebCrypto,
 * on which such libraries stand, doubles that. And it takes only the spelling that was signed: base64url decoders let
 * pass padding, spaces, the other alphabet and stray bits, so that one token would have many spellings.
 */
export class JwtVerifier {
  readonly #rules: JwtRules;
  #keys: ReadonlyMap<string, KeyObject> = new Map();
  /** The newest header that names one of the keys, and that key: a signer spells its header the same in all tokens. */
  #head = '';
  #headKey: KeyObject | undefined;

  /** It has no keys until `setKeys`. */
  constructor(rules: JwtRules) {
    this.#rules = rules;
  }

  /**
   * Replaces the keys by those of a JSON Web Key Set that have a `kid` and are of the rules' algorithm.
   *
   * @throws Error when it is no key set: the old keys stay
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
  }

  /** Returns what the token says, or why it is not taken. @param nowMs Unix time, ms */
  verify(token: string, nowMs = Date.now()): JwtClaims | 'TOKEN_EXPIRED' | 'TOKEN_INVALID' {
    const headEnd = token.indexOf('.');
    const bodyEnd = token.length - SIGNATURE_LENGTH - 1;
    if (headEnd < 1 || bodyEnd <= headEnd || token[bodyEnd] !== '.') return 'TOKEN_INVALID';
    const spelled = token.slice(bodyEnd + 1);
    const signature = Buffer.from(spelled, 'base64url');
    if (signature.toString('base64url') !== spelled) return 'TOKEN_INVALID';
    const key = this.#keyOf(token.slice(0, headEnd));
    const signed = Buffer.from(token.slice(0, bodyEnd));
    if (key === undefined || !verify(undefined, signed, key, signature)) return 'TOKEN_INVALID';
    const claims = parse(token.slice(headEnd + 1, bodyEnd));
    const { issuer, audience, clockSkewS = 0 } = this.#rules;
    const expiresS = claims?.['exp'];
    if (claims?.['iss'] !== issuer || claims['aud'] !== audience || typeof expiresS !== 'number')
      return 'TOKEN_INVALID';
    return expiresS + clockSkewS > Math.floor(nowMs / 1000) ? claims : 'TOKEN_EXPIRED';
  }

  #keyOf(head: string): KeyObject | undefined {
    if (head === this.#head) return this.#headKey;
    const key = this.#keyNamedBy(parse(head));
    if (key === undefined) return undefined;
    this.#head = head;
    this.#headKey = key;
    return key;
  }

  /** A header that asks for anything else than a plain signature is not understood. */
  #keyNamedBy(header: JwtClaims | undefined): KeyObject | undefined {
    if (header?.['alg'] !== this.#rules.algorithm || (header['typ'] ?? TYPE) !== TYPE) return undefined;
    for (const field in header) if (!HEADER_FIELDS.has(field)) return undefined;
    return this.#keys.get(String(header['kid']));
  }
}

/** Reads a JSON object in base64url; undefined: it is none. */
function parse(text: string): JwtClaims | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(text, 'base64url').toString());
    return typeof value === 'object' && value !== null ? (value as JwtClaims) : undefined;
  } catch {
    // Whatever is wrong with it, the answer is the same.
    return undefined;
  }
}
