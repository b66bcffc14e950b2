/** The form in which signing keys are stored: as they are, or encrypted by the secret of the operator (jwt_secret). */
import { hkdfSync } from 'node:crypto';
import { compactDecrypt, CompactEncrypt } from 'jose';
import { GochatError } from '../../common/mod.ts';

const ALGORITHM = { alg: 'dir', enc: 'A256GCM' } as const;
const KEY_BYTES = 32;
const PURPOSE = 'gochat signing key';

/** Encrypts private keys before they are stored, where there is a secret. */
export class KeySeal {
  readonly #secret: string | undefined;

  /** @param secret at least 32 bytes; undefined: keys are stored as they are */
  constructor(secret: string | undefined) {
    this.#secret = secret;
  }

  /** Returns the stored form of a key. @param kid its id, which makes its encryption differ from that of others */
  async seal(kid: string, privateJwk: string): Promise<string> {
    if (this.#secret === undefined) return privateJwk;
    return new CompactEncrypt(new TextEncoder().encode(privateJwk))
      .setProtectedHeader(ALGORITHM)
      .encrypt(derive(this.#secret, kid));
  }

  /** Returns the key of a stored form. @throws GochatError JWT_SECRET_CHANGED */
  async open(kid: string, stored: string): Promise<string> {
    if (!isSealed(stored)) return stored;
    if (this.#secret === undefined) throw changed('there is none now');
    try {
      const { plaintext } = await compactDecrypt(stored, derive(this.#secret, kid));
      return new TextDecoder().decode(plaintext);
    } catch (cause) {
      throw changed('it is another one now', cause);
    }
  }

  /** Returns whether a stored form is older than the secret. */
  needsSeal(stored: string): boolean {
    return this.#secret !== undefined && !isSealed(stored);
  }
}

/** A JWK is a JSON object, a JWE begins with its header in base64url. */
function isSealed(stored: string): boolean {
  return !stored.startsWith('{');
}

function derive(secret: string, kid: string): Uint8Array {
  return new Uint8Array(hkdfSync('sha256', secret, kid, PURPOSE, KEY_BYTES));
}

function changed(how: string, cause?: unknown): GochatError {
  return new GochatError('JWT_SECRET_CHANGED', { details: { how }, cause });
}
