/** Limits per address: connections, connects per second, failed logins per minute. */
import { AddressList, addressKey, type Rate, TokenBucket } from '../../common/mod.ts';
import {
  CONNECT_BURST_SECONDS,
  type GatewayLimits,
  LOGIN_BURST_MINUTES,
  MAX_IDLE_ORIGINS,
} from '../limits.ts';
import type { Refusal } from '../supervisor/worker-stats.ts';

/** The counter of an address or, for IPv6, of a /64. */
export interface Origin {
  readonly key: string;
  connections: number;
  readonly connects: TokenBucket;
  readonly loginFailures: TokenBucket;
}

export type AddressLimitSettings = Pick<
  GatewayLimits,
  'maxConnectionsPerAddress' | 'connectsPerSecond' | 'loginFailuresPerMinute' | 'exemptAddresses'
>;

/**
 * Counts connections by origin, before anything is allocated for them.
 *
 * There are at most as many origins as connections, plus MAX_IDLE_ORIGINS that had one lately. These are kept so that
 * closing a connection does not renew the allowance.
 */
export class AddressLimits {
  readonly #limits: AddressLimitSettings;
  readonly #connects: Rate;
  readonly #loginFailures: Rate;
  readonly #now: () => number;
  readonly #active = new Map<string, Origin>();
  /** Origins without connections, in the order in which their last one ended. */
  readonly #idle = new Map<string, Origin>();
  #exemptText = '';
  #exempt = new AddressList('');

  /** @param limits read at each use, so changes apply to known origins too @param now monotonic, ms */
  constructor(limits: AddressLimitSettings, now: () => number = () => performance.now()) {
    this.#limits = limits;
    this.#now = now;
    this.#connects = {
      get perSecond() {
        return limits.connectsPerSecond;
      },
      get burst() {
        return limits.connectsPerSecond * CONNECT_BURST_SECONDS;
      },
    };
    this.#loginFailures = {
      get perSecond() {
        return limits.loginFailuresPerMinute / 60;
      },
      get burst() {
        return limits.loginFailuresPerMinute * LOGIN_BURST_MINUTES;
      },
    };
  }

  /** Number of origins. */
  get size(): number {
    return this.#active.size + this.#idle.size;
  }

  /** Counts a connection. Returns its origin (`leave` must follow), undefined if exempt, or why it is refused. */
  enter(address: string): Origin | undefined | Refusal {
    if (this.#isExempt(address)) return undefined;
    const key = addressKey(address);
    const nowMs = this.#now();
    const known = this.#active.get(key) ?? this.#idle.get(key);
    const origin = known ?? {
      key,
      connections: 0,
      connects: new TokenBucket(this.#connects, nowMs),
      loginFailures: new TokenBucket(this.#loginFailures, nowMs),
    };
    if (origin.connections >= this.#limits.maxConnectionsPerAddress) return 'address_connections';
    if (!origin.connects.take(nowMs)) return 'address_connects';
    if (origin.connections++ === 0) {
      this.#idle.delete(key);
      this.#active.set(key, origin);
    }
    return origin;
  }

  /** A connection of the origin has ended. */
  leave(origin: Origin | undefined): void {
    if (origin === undefined || --origin.connections > 0) return;
    const nowMs = this.#now();
    this.#active.delete(origin.key);
    if (origin.connects.isFull(nowMs) && origin.loginFailures.isFull(nowMs)) return;
    this.#idle.set(origin.key, origin);
    if (this.#idle.size <= MAX_IDLE_ORIGINS) return;
    for (const oldest of this.#idle.keys()) {
      this.#idle.delete(oldest);
      break;
    }
  }

  /** Returns whether so many tokens of the origin were invalid that those of other origins are checked first. */
  failsOften(origin: Origin | undefined): boolean {
    return origin?.loginFailures.has(this.#now()) === false;
  }

  /** Counts an invalid token of the origin. */
  onLoginFailed(origin: Origin | undefined): void {
    origin?.loginFailures.take(this.#now());
  }

  #isExempt(address: string): boolean {
    const { exemptAddresses } = this.#limits;
    if (this.#exemptText !== exemptAddresses) {
      this.#exempt = new AddressList(exemptAddresses);
      this.#exemptText = exemptAddresses;
    }
    return this.#exempt.has(address);
  }
}
