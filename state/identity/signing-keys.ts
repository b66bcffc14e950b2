/** The Ed25519 keys that sign access tokens: kept in the store, the same on every node, replaced while nodes run. */
import {
  calculateJwkThumbprint,
  type CryptoKey,
  exportJWK,
  generateKeyPair,
  importJWK,
  type JWK,
} from 'jose';
import { GochatError, type Logger } from '../../common/mod.ts';
import type { SigningKey, SigningKeyStore } from '../store/store.ts';
import type { KeySeal } from './key-seal.ts';

export const ALGORITHM = 'EdDSA';
const CURVE = 'Ed25519';
/** Interval at which a node looks for keys of others, ms. */
const POLL_MS = 5_000;
/** A new key signs so long after it was made: nodes, gateways and caches of the key set know it by then. ms. */
export const KEY_LEAD_MS = 60_000;

export interface SigningKeysOptions {
  readonly store: SigningKeyStore;
  readonly seal: KeySeal;
  /** How long a token may be valid after it was signed, the difference of clocks included, ms. */
  readonly tokenMs: number;
  readonly logger: Logger;
  /** Makes the public keys known, a JSON Web Key Set: first and when they have changed; again where it rejects. */
  readonly publish: (jwks: string) => Promise<void>;
  /** Wall clock, Unix ms. @default Date.now */
  readonly now?: () => number;
}

/** A key, ready for use. */
interface Key {
  readonly kid: string;
  readonly signsFromMs: number;
  readonly privateKey: CryptoKey | Uint8Array;
  readonly publicJwk: JWK;
}

/** A key as operators see it. */
export interface KeyInfo {
  readonly kid: string;
  readonly state: 'next' | 'signs' | 'verifies';
  /** Unix ms. */
  readonly signsFromMs: number;
}

/**
 * The keys that verify tokens, and the one that signs.
 *
 * A key signs from its time on, until that of the next one. It verifies before, and afterwards until the last token that it
 * has signed has expired; then it is removed. So a rotation refuses no valid token on any server.
 */
export class SigningKeys {
  readonly #options: SigningKeysOptions;
  readonly #now: () => number;
  /** Ascending by time; the last one is the current one of the store. */
  #keys: readonly Key[] = [];
  #jwks = '';
  #published = '';
  #timer: NodeJS.Timeout | undefined;
  #loading: Promise<void> | undefined;

  private constructor(options: SigningKeysOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
  }

  /** Loads the keys, making the first one if there is none. @throws GochatError STORE_UNAVAILABLE, JWT_SECRET_CHANGED, or of `publish` */
  static async open(options: SigningKeysOptions): Promise<SigningKeys> {
    const keys = new SigningKeys(options);
    await keys.load();
    if (keys.#keys.length === 0) {
      await keys.#add(0, '');
      await keys.load();
    }
    return keys;
  }

  /** The public keys as a JSON Web Key Set. */
  get jwks(): string {
    return this.#jwks;
  }

  /** The key that signs now. */
  get signer(): Pick<Key, 'kid' | 'privateKey'> {
    const now = this.#now();
    const key = this.#keys.findLast(({ signsFromMs }) => signsFromMs <= now) ?? this.#keys[0];
    if (key === undefined) throw new GochatError('INTERNAL', { cause: new Error('there is no signing key') });
    return key;
  }

  /** Starts looking for keys of other nodes. */
  start(): void {
    this.#timer ??= setInterval(() => {
      this.load().catch((error: unknown) =>
        this.#options.logger.warn({ err: error }, 'cannot read the signing keys'),
      );
    }, POLL_MS).unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** Makes a key that signs after KEY_LEAD_MS, on all nodes. While there is one already, nothing happens. */
  async rotate(): Promise<readonly KeyInfo[]> {
    await this.load();
    const last = this.#keys.at(-1);
    const now = this.#now();
    if (last !== undefined && last.signsFromMs <= now) {
      await this.#add(now + KEY_LEAD_MS, last.kid);
      await this.load();
    }
    return this.list();
  }

  /** Returns the keys for operators, the newest last. */
  list(): readonly KeyInfo[] {
    const now = this.#now();
    const signer = this.signer.kid;
    return this.#keys.map(({ kid, signsFromMs }) => ({
      kid,
      signsFromMs,
      state: kid === signer ? 'signs' : signsFromMs > now ? 'next' : 'verifies',
    }));
  }

  /** Reads the keys anew. @throws GochatError as `open` */
  load(): Promise<void> {
    this.#loading ??= this.#load().finally(() => {
      this.#loading = undefined;
    });
    return this.#loading;
  }

  async #load(): Promise<void> {
    const { store, seal, tokenMs, publish } = this.#options;
    const stored = await store.signingKeys();
    const keys: Key[] = [];
    for (const [index, { kid, privateJwk, signsFromMs }] of stored.entries()) {
      const next = stored[index + 1];
      if (next !== undefined && next.signsFromMs + tokenMs <= this.#now()) {
        await store.removeSigningKey(kid);
        continue;
      }
      const known = this.#keys.find((key) => key.kid === kid);
      keys.push(known ?? (await toKey({ kid, privateJwk: await seal.open(kid, privateJwk), signsFromMs })));
      if (seal.needsSeal(privateJwk))
        await store.replaceSigningKey(kid, privateJwk, await seal.seal(kid, privateJwk));
    }
    this.#keys = keys;
    this.#jwks = JSON.stringify({ keys: keys.map(({ publicJwk }) => publicJwk) });
    if (this.#jwks === this.#published || keys.length === 0) return;
    const published = this.#jwks;
    await publish(published);
    this.#published = published;
  }

  async #add(signsFromMs: number, after: string): Promise<void> {
    const { store, seal } = this.#options;
    const { privateKey } = await generateKeyPair(ALGORITHM, { crv: CURVE, extractable: true });
    const jwk = await exportJWK(privateKey);
    const kid = await calculateJwkThumbprint(jwk);
    const privateJwk = await seal.seal(kid, JSON.stringify(jwk));
    await store.addSigningKey({ kid, privateJwk, signsFromMs }, after);
  }
}

async function toKey({ kid, privateJwk, signsFromMs }: SigningKey): Promise<Key> {
  const jwk = JSON.parse(privateJwk) as JWK;
  const { kty, crv, x } = jwk;
  if (kty !== 'OKP' || crv !== CURVE || x === undefined)
    throw new GochatError('INTERNAL', { cause: new Error('a stored signing key is no Ed25519 key') });
  return {
    kid,
    signsFromMs,
    privateKey: await importJWK(jwk, ALGORITHM),
    publicJwk: { kty, crv, x, kid, alg: ALGORITHM, use: 'sig' },
  };
}
