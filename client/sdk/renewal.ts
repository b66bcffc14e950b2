/** Renews the access token of the live connection before it expires, so that the connection does not end for that. */
import { Auth, type Authed, type Nack, type Welcome } from '../../proto/client.ts';
import { Backoff } from './backoff.ts';
import { ClientError } from './errors.ts';
import type { ResolvedOptions } from './options.ts';

/** Shares of the time to the expiry after which the token is renewed; in between at random, as many may have begun at once. */
const RENEW_AFTER = 0.7;
const RENEW_BEFORE = 0.9;
/** Shortest wait: a source of tokens may give the same one again. */
const MIN_WAIT_MS = 1_000;
/** Longest wait of a timer. */
const MAX_WAIT_MS = 2 ** 31 - 1;

export interface RenewalHooks {
  /** Gets a new token. */
  renew(): Promise<string>;
  nextRef(): number;
  /** Sends an AUTH frame. */
  write(ref: number, payload: Uint8Array): void;
}

export class TokenRenewal {
  readonly #options: ResolvedOptions;
  readonly #hooks: RenewalHooks;
  readonly #backoff: Backoff;
  /** Difference of the server's clock to this one, ms. */
  #clockMs = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** Ref of the unanswered AUTH; 0: there is none. */
  #ref = 0;
  /** Counts connections: what an earlier one has begun no longer counts. */
  #connection = 0;

  constructor(options: ResolvedOptions, hooks: RenewalHooks) {
    this.#options = options;
    this.#hooks = hooks;
    this.#backoff = new Backoff(options.backoff, options.random);
  }

  usesRef(ref: number): boolean {
    return ref === this.#ref;
  }

  /** A connection is up. */
  start({ serverTimeMs, tokenExpiresAtMs }: Welcome): void {
    this.stop();
    this.#clockMs = Number(serverTimeMs) - Date.now();
    this.#schedule(Number(tokenExpiresAtMs));
  }

  /** The connection is gone. */
  stop(): void {
    clearTimeout(this.#timer);
    this.#ref = 0;
    this.#connection++;
    this.#backoff.reset();
  }

  renewed(ref: number, { tokenExpiresAtMs }: Authed): void {
    if (ref !== this.#ref) return;
    this.#ref = 0;
    this.#backoff.reset();
    this.#schedule(Number(tokenExpiresAtMs));
  }

  /** AUTH was refused. Returns false if the ref is another frame's. */
  refused(ref: number, { retryable, retryAfterMs }: Nack): boolean {
    if (ref === 0 || ref !== this.#ref) return false;
    this.#ref = 0;
    if (retryable) this.#wait(this.#backoff.next(retryAfterMs));
    return true;
  }

  /** @param expiresAtMs Unix time of the server's clock; 0: never */
  #schedule(expiresAtMs: number): void {
    if (expiresAtMs === 0) return;
    const share = RENEW_AFTER + (RENEW_BEFORE - RENEW_AFTER) * this.#options.random();
    this.#wait(Math.max(MIN_WAIT_MS, (expiresAtMs - this.#clockMs - Date.now()) * share));
  }

  #wait(ms: number): void {
    this.#timer = setTimeout(() => void this.#renew(), Math.min(MAX_WAIT_MS, ms));
  }

  async #renew(): Promise<void> {
    const connection = this.#connection;
    try {
      const token = await this.#hooks.renew();
      if (connection !== this.#connection) return;
      this.#ref = this.#hooks.nextRef();
      this.#hooks.write(this.#ref, Auth.encode({ token }).finish());
    } catch (thrown) {
      const { retryable, retryAfterMs } = ClientError.from(thrown);
      // Else the connection ends with its token, and connecting again tells what is wrong.
      if (retryable && connection === this.#connection) this.#wait(this.#backoff.next(retryAfterMs));
    }
  }
}
