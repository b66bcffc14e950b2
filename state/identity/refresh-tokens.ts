/**
 * Refresh tokens: PREFIX and base64url of the session's id (8 bytes), a secret that all tokens of the session share (the
 * family, 16 bytes), and a secret of the token (32 bytes).
 *
 * The store has hashes alone. The family shows that an old token is one of the session and not a guess. The successor of a
 * token is the HMAC of a random salt under its secret, and the salt stays in the store: so whoever brings the same token
 * twice, as two tabs do, gets the same successor, and neither the store nor an old token is enough to make it.
 */
import { createHash, createHmac, randomBytes } from 'node:crypto';
import type { TokenHashes } from '../store/store.ts';

const PREFIX = 'gcr_';
const ID_BYTES = 8;
const FAMILY_BYTES = 16;
const SECRET_BYTES = 32;
const BYTES = ID_BYTES + FAMILY_BYTES + SECRET_BYTES;
const LENGTH = PREFIX.length + Math.ceil((BYTES * 4) / 3);

export interface RefreshToken {
  /** Id of the session. */
  readonly session: bigint;
  readonly family: Buffer;
  readonly secret: Buffer;
}

/** Makes the first token of a session. */
export function newRefreshToken(session: bigint): RefreshToken {
  return { session, family: randomBytes(FAMILY_BYTES), secret: randomBytes(SECRET_BYTES) };
}

/** Makes a salt, hex. */
export function newSalt(): string {
  return randomBytes(SECRET_BYTES).toString('hex');
}

/** Returns the token that follows this one; the same for the same salt. */
export function successorOf({ session, family, secret }: RefreshToken, salt: string): RefreshToken {
  return { session, family, secret: createHmac('sha256', secret).update(salt, 'hex').digest() };
}

export function hashesOf({ family, secret }: RefreshToken): TokenHashes {
  return { family: sha256(family), secret: sha256(secret) };
}

export function encodeRefreshToken({ session, family, secret }: RefreshToken): string {
  const id = Buffer.alloc(ID_BYTES);
  id.writeBigUInt64BE(session);
  return PREFIX + Buffer.concat([id, family, secret]).toString('base64url');
}

/** Parses a token; undefined if it cannot be one. */
export function parseRefreshToken(text: string): RefreshToken | undefined {
  if (text.length !== LENGTH || !text.startsWith(PREFIX)) return undefined;
  const spelled = text.slice(PREFIX.length);
  const bytes = Buffer.from(spelled, 'base64url');
  // Decoders ignore what is not of the alphabet: only the exact spelling is a token.
  if (bytes.length !== BYTES || bytes.toString('base64url') !== spelled) return undefined;
  return {
    session: bytes.readBigUInt64BE(0),
    family: bytes.subarray(ID_BYTES, ID_BYTES + FAMILY_BYTES),
    secret: bytes.subarray(ID_BYTES + FAMILY_BYTES),
  };
}

function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}
