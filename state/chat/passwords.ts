/** Passwords: Argon2id with OWASP's parameters, as PHC strings; hashing is bounded, because each takes 19 MiB. */
import { argon2, type Argon2Parameters, randomBytes, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';
import { GochatError } from '../../common/mod.ts';

/** OWASP Password Storage Cheat Sheet, Argon2id: m = 19 MiB, t = 2, p = 1. */
const MEMORY_KIB = 19_456;
const PASSES = 2;
const PARALLELISM = 1;
const SALT_BYTES = 16;
const HASH_BYTES = 32;
const RETRY_MS = 1000;
/** Argon2 version 1.3. */
const PHC = /^\$argon2id\$v=19\$m=(\d+),t=(\d+),p=(\d+)\$([A-Za-z0-9+/]+)\$([A-Za-z0-9+/]+)$/;
/** Parameters of a stored hash beyond these are not ours. */
const MAX_MEMORY_KIB = 1024 * 1024;
const MAX_PASSES = 16;

export const MIN_PASSWORD_CHARACTERS = 6;
export const MAX_PASSWORD_CHARACTERS = 128;

const derive = promisify(argon2);

/** Tells whether nobody waits for the result any more. */
export type IsGone = () => boolean;

interface Waiter {
  readonly isGone: IsGone;
  readonly proceed: () => void;
  readonly reject: (error: GochatError) => void;
}

const never: IsGone = () => false;

/**
 * Hashes and verifies passwords, a few at a time.
 *
 * Callers give up and ask again, so what waits here is mostly for nobody once a machine has fallen behind; were it
 * hashed all the same, those who still wait would never be served in time. So who has gone is passed over.
 */
export class Passwords {
  readonly #maxRunning: number;
  readonly #maxWaiting: number;
  #running = 0;
  readonly #waiting: Waiter[] = [];
  #dummy: Promise<string> | undefined;

  constructor(maxRunning: number, maxWaiting: number) {
    this.#maxRunning = maxRunning;
    this.#maxWaiting = maxWaiting;
  }

  /** Returns the PHC string of a password. @throws GochatError OVERLOADED, DEADLINE_EXCEEDED */
  async hash(password: string, isGone: IsGone = never): Promise<string> {
    const salt = randomBytes(SALT_BYTES);
    const hash = await this.#derive(password, salt, MEMORY_KIB, PASSES, PARALLELISM, HASH_BYTES, isGone);
    return `$argon2id$v=19$m=${MEMORY_KIB},t=${PASSES},p=${PARALLELISM}$${unpadded(salt)}$${unpadded(hash)}`;
  }

  /**
   * Returns whether the password is the one of a PHC string; `undefined` (there is no such user) takes as long and is
   * never true. @throws GochatError OVERLOADED, DEADLINE_EXCEEDED
   */
  async verify(phc: string | undefined, password: string, isGone: IsGone = never): Promise<boolean> {
    this.#dummy ??= this.hash(randomBytes(SALT_BYTES).toString('hex'));
    const dummy = await this.#dummy.catch((error: unknown) => {
      this.#dummy = undefined;
      throw error;
    });
    const parts = PHC.exec(phc ?? dummy);
    if (parts === null) throw new GochatError('INTERNAL', { cause: new Error('a stored hash is malformed') });
    const [memory, passes, parallelism] = [Number(parts[1]), Number(parts[2]), Number(parts[3])];
    if (memory > MAX_MEMORY_KIB || passes > MAX_PASSES) {
      throw new GochatError('INTERNAL', { cause: new Error('a stored hash has wild parameters') });
    }
    const salt = Buffer.from(parts[4] as string, 'base64');
    const expected = Buffer.from(parts[5] as string, 'base64');
    const actual = await this.#derive(password, salt, memory, passes, parallelism, expected.length, isGone);
    return timingSafeEqual(actual, expected) && phc !== undefined;
  }

  async #derive(
    password: string,
    nonce: Buffer,
    memory: number,
    passes: number,
    parallelism: number,
    tagLength: number,
    isGone: IsGone,
  ): Promise<Buffer> {
    await this.#enter(isGone);
    try {
      // Composed and decomposed characters are the same password.
      const message = password.normalize('NFC');
      const parameters: Argon2Parameters = { message, nonce, parallelism, tagLength, memory, passes };
      return await derive('argon2id', parameters);
    } finally {
      this.#leave();
    }
  }

  async #enter(isGone: IsGone): Promise<void> {
    if (this.#running < this.#maxRunning) {
      this.#running++;
      return;
    }
    if (this.#waiting.length >= this.#maxWaiting)
      throw new GochatError('OVERLOADED', { retryAfterMs: RETRY_MS });
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#waiting.push({ isGone, proceed: resolve, reject });
    await promise;
  }

  /** Hands the place on to the first who still waits for it. */
  #leave(): void {
    for (;;) {
      const next = this.#waiting.shift();
      if (next === undefined) {
        this.#running--;
        return;
      }
      if (!next.isGone()) {
        next.proceed();
        return;
      }
      next.reject(new GochatError('DEADLINE_EXCEEDED'));
    }
  }
}

function unpadded(bytes: Buffer): string {
  return bytes.toString('base64').replaceAll('=', '');
}
