/** The queue in which access tokens are checked: those of HELLO and those of AUTH. */
import type { PlainErrorCode } from '../../common/mod.ts';
import type { AdmissionControl } from '../connections/admission.ts';
import type { Connection, Phase } from '../connections/connection.ts';
import type { Identity } from './authenticator.ts';

/**
 * Checks are paced so that a reconnect storm leaves time for live connections. A worker checks tokens for some two
 * milliseconds, then rests for as long as that took (longer on busy cores), and at least for REST_MS. So it checks some
 * 1,500 tokens a second. Tokens checked together go to state, and on to Redis, as one batch, whose cost hardly depends on
 * its size. After a turn that leaves nobody waiting the rest is at least GATHER_MS, in which further tokens gather. A token
 * after such a time without any is checked at once.
 */
const MAX_CHECKS = 32;
const REST_MS = 20;
const GATHER_MS = 40;
/** Most waiting tokens: those that are checked well within LOGIN_TIMEOUT_MS; beyond: OVERLOADED. */
const MAX_WAITING = 5000;
/** The same of addresses whose tokens are wrong too often: they are checked after those of others; beyond: ADDRESS_LIMITED. */
const MAX_DEFERRED = 500;

export interface TokenChecksContext {
  readonly admission: Pick<AdmissionControl, 'failsOften' | 'onLoginFailed' | 'count'>;
}

/** A token to be checked. */
interface TokenCheck {
  readonly connection: Connection;
  /** Phase in which the result is wanted; a connection that has ended costs nothing more. */
  readonly phase: Phase;
  readonly verify: () => Identity | PlainErrorCode;
  readonly onResult: (result: Identity | PlainErrorCode) => void;
}

export class TokenChecks {
  readonly #context: TokenChecksContext;
  /** In order of arrival. */
  readonly #waiting: TokenCheck[] = [];
  /** Those of addresses whose tokens are wrong too often. They get what others leave of a turn, and at least one check. */
  readonly #deferred: TokenCheck[] = [];
  /** Whether a turn of checks is due or a rest is under way. */
  #turning = false;

  constructor(context: TokenChecksContext) {
    this.#context = context;
  }

  /**
   * Queues a check. Returns the code that refuses it, where too many wait.
   *
   * @param onResult is called later, unless the phase of the connection has changed
   */
  add(
    connection: Connection,
    verify: TokenCheck['verify'],
    onResult: TokenCheck['onResult'],
  ): 'ADDRESS_LIMITED' | 'OVERLOADED' | undefined {
    const { admission } = this.#context;
    const check: TokenCheck = { connection, phase: connection.phase, verify, onResult };
    if (admission.failsOften(connection)) {
      if (this.#deferred.length >= MAX_DEFERRED) {
        admission.count('address_logins');
        return 'ADDRESS_LIMITED';
      }
      this.#deferred.push(check);
    } else if (this.#waiting.length >= MAX_WAITING) return 'OVERLOADED';
    else this.#waiting.push(check);
    if (!this.#turning) {
      this.#turning = true;
      setImmediate(this.#onTurn);
    }
    return undefined;
  }

  readonly #onTurn = (): void => {
    const beganMs = performance.now();
    let checks = this.#check(this.#waiting, MAX_CHECKS);
    checks += this.#check(this.#deferred, Math.max(MAX_CHECKS - checks, 1));
    this.#turning = checks > 0;
    if (!this.#turning) return;
    const leastMs = this.#waiting.length + this.#deferred.length > 0 ? REST_MS : GATHER_MS;
    setTimeout(this.#onTurn, Math.max(performance.now() - beganMs, leastMs));
  };

  /** Checks the first tokens of a queue, at most so many; returns how many. */
  #check(queue: TokenCheck[], most: number): number {
    let checks = 0;
    let looked = 0;
    for (; checks < most && looked < queue.length; looked++) {
      const { connection, phase, verify, onResult } = queue[looked] as TokenCheck;
      if (connection.phase !== phase) continue;
      checks++;
      const result = verify();
      // An expired token is genuine, and missing keys are our own fault: only an invalid one may be a guess.
      if (result === 'TOKEN_INVALID') this.#context.admission.onLoginFailed(connection);
      onResult(result);
    }
    queue.splice(0, looked);
    return checks;
  }
}
