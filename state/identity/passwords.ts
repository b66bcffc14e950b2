/** Passwords: Argon2id with OWASP's parameters, as PHC strings. Hashing is bounded, because each hash takes 19 MiB. */
import { argon2, type Argon2Parameters, randomBytes, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';
import { GochatError } from '../../common/mod.ts';
import { TurnQueue } from '../chat/turn-queue.ts';

/** OWASP Password Storage Cheat Sheet, Argon2id: m = 19 MiB, t = 2, p = 1. */
const MEMORY_KIB = 19_456;
const PASSES = 2;
const PARALLELISM = 1;
const SALT_BYTES = 16;
const HASH_BYTES = 32;
const RETRY_MS = 1000;
/** Argon2 version 1.3. */
const PHC = /^\$argon2id\$v=19\$m=(\d+),t=(\d+),p=(\d+)\$([A-Za-z0-9+/]+)\$([A-Za-z0-9+/]+)$/;
/** Largest accepted parameters of a stored hash. */
const MAX_MEMORY_KIB = 1024 * 1024;
const MAX_PASSES = 16;

const derive = promisify(argon2);

/** Returns whether the caller no longer waits for the result. */
export type IsGone = () => boolean;

/** A caller waiting for a hash. */
export interface HashCaller {
  /** The key by which waiting callers take turns. */
  readonly address: string;
  /** Whether the user has logged in from the address before. */
  readonly isKnownAddress: boolean;
  readonly isGone: IsGone;
}

interface Waiter {
  readonly isGone: IsGone;
  readonly proceed: () => void;
  readonly reject: (error: GochatError) => void;
}

/** Waiting and running hashes of one class of callers. */
interface Lane {
  readonly waiting: TurnQueue<Waiter>;
  readonly maxRunning: number;
  running: number;
}

/** The server itself. */
const SELF: HashCaller = { address: '', isKnownAddress: true, isGone: () => false };

/**
 * Hashes and verifies passwords, a few at a time.
 *
 * Callers time out and retry, so on an overloaded machine most waiting requests are abandoned. If they were hashed
 * anyway, no caller would be served in time; so abandoned ones are skipped.
 *
 * Addresses take turns. Users who have logged in from their address before have a lane of their own, so that guesses
 * from any number of addresses do not delay them. The other lane leaves one place free, so that a flood does not take
 * every core from the messages.
 */
export class Passwords {
  readonly #maxRunning: number;
  readonly #knownLane: Lane;
  readonly #otherLane: Lane;
  #dummy: Promise<string> | undefined;

  /** @param maxWaiting bound of each lane: users who have logged in from their address before, and others */
  constructor(maxRunning: number, maxWaiting: number) {
    this.#maxRunning = maxRunning;
    const lane = (most: number): Lane => ({
      waiting: new TurnQueue(maxWaiting),
      maxRunning: most,
      running: 0,
    });
    this.#knownLane = lane(maxRunning);
    this.#otherLane = lane(Math.max(1, maxRunning - 1));
  }

  /** Returns the PHC string of a password. @throws GochatError OVERLOADED, DEADLINE_EXCEEDED */
  async hash(password: string, caller: HashCaller = SELF): Promise<string> {
    const salt = randomBytes(SALT_BYTES);
    const hash = await this.#derive(password, salt, MEMORY_KIB, PASSES, PARALLELISM, HASH_BYTES, caller);
    return `$argon2id$v=19$m=${MEMORY_KIB},t=${PASSES},p=${PARALLELISM}$${unpadded(salt)}$${unpadded(hash)}`;
  }

  /**
   * Returns whether the password matches a PHC string. `undefined` (no such user) takes as long and never matches.
   *
   * @throws GochatError OVERLOADED, DEADLINE_EXCEEDED
   */
  async verify(phc: string | undefined, password: string, caller: HashCaller = SELF): Promise<boolean> {
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
    const actual = await this.#derive(password, salt, memory, passes, parallelism, expected.length, caller);
    return timingSafeEqual(actual, expected) && phc !== undefined;
  }

  async #derive(
    password: string,
    nonce: Buffer,
    memory: number,
    passes: number,
    parallelism: number,
    tagLength: number,
    caller: HashCaller,
  ): Promise<Buffer> {
    const lane = caller.isKnownAddress ? this.#knownLane : this.#otherLane;
    await this.#waitForSlot(lane, caller);
    try {
      // Composed and decomposed characters are the same password.
      const message = password.normalize('NFC');
      const parameters: Argon2Parameters = { message, nonce, parallelism, tagLength, memory, passes };
      return await derive('argon2id', parameters);
    } finally {
      this.#leave(lane);
    }
  }

  async #waitForSlot(lane: Lane, { address, isGone }: HashCaller): Promise<void> {
    if (this.#hasRoom(lane)) {
      lane.running++;
      return;
    }
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const dropped = lane.waiting.push(address, { isGone, proceed: resolve, reject });
    dropped?.reject(new GochatError('OVERLOADED', { retryAfterMs: RETRY_MS }));
    await promise;
  }

  /** Passes the place to a caller that still waits; the lanes take turns. */
  #leave(lane: Lane): void {
    lane.running--;
    const other = lane === this.#knownLane ? this.#otherLane : this.#knownLane;
    if (!this.#proceed(other)) this.#proceed(lane);
  }

  /** Starts a waiting caller of the lane. Returns whether there was one. */
  #proceed(lane: Lane): boolean {
    if (!this.#hasRoom(lane)) return false;
    for (let next = lane.waiting.shift(); next !== undefined; next = lane.waiting.shift()) {
      if (!next.isGone()) {
        lane.running++;
        next.proceed();
        return true;
      }
      next.reject(new GochatError('DEADLINE_EXCEEDED'));
    }
    return false;
  }

  #hasRoom(lane: Lane): boolean {
    return (
      lane.running < lane.maxRunning && this.#knownLane.running + this.#otherLane.running < this.#maxRunning
    );
  }
}

function unpadded(bytes: Buffer): string {
  return bytes.toString('base64').replaceAll('=', '');
}
