/** Keys and tokens for tests. */
import { type CryptoKey, exportJWK, generateKeyPair, SignJWT } from 'jose';

export interface TokenOptions {
  readonly issuer?: string;
  readonly audience?: string;
  readonly subject?: string;
  readonly name?: string | null;
  /** Lifetime, s; null: does not expire. */
  readonly expiresIn?: number | null;
  /** @default none */
  readonly id?: bigint;
}

/** Signs tokens as state does. */
export class TokenMaker {
  readonly jwks: string;
  readonly #key: CryptoKey;
  readonly #kid: string;

  private constructor(key: CryptoKey, kid: string, jwks: string) {
    this.#key = key;
    this.#kid = kid;
    this.jwks = jwks;
  }

  static async make(kid = 'test-key'): Promise<TokenMaker> {
    const { publicKey, privateKey } = await generateKeyPair('EdDSA', { extractable: true });
    const key = { ...(await exportJWK(publicKey)), kid, alg: 'EdDSA', use: 'sig' };
    return new TokenMaker(privateKey, kid, JSON.stringify({ keys: [key] }));
  }

  token(user: bigint, options: TokenOptions = {}): Promise<string> {
    const { name = `user-${user}`, expiresIn = 3600 } = options;
    const now = Math.floor(Date.now() / 1000);
    const jwt = new SignJWT(name === null ? {} : { name })
      .setProtectedHeader({ alg: 'EdDSA', kid: this.#kid })
      .setIssuedAt(now - 7200)
      .setIssuer(options.issuer ?? 'gochat')
      .setAudience(options.audience ?? 'gochat')
      .setSubject(options.subject ?? String(user));
    if (expiresIn !== null) jwt.setExpirationTime(now + expiresIn);
    if (options.id !== undefined) jwt.setJti(String(options.id));
    return jwt.sign(this.#key);
  }
}
