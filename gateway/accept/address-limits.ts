/** What one address may cost a worker: connections at once, connections a second, logins that fail. */
import { AddressList, addressKey, type Rate, TokenBucket } from '../../common/mod.ts';
import {
  CONNECT_BURST_SECONDS,
  type GatewayLimits,
  LOGIN_BURST_MINUTES,
  MAX_IDLE_ORIGINS,
} from '../limits.ts';
import type { Refusal } from '../supervisor/worker-stats.ts';

/** Where connections come from: an address, a /64 of IPv6, or all that is exempt. */
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
 * Counts by origin, before anything is allocated for a connection.
 *
 * Origins with connections are as many as these are, at most. Of the others those that left last are remembered, up to
 * MAX_IDLE_ORIGINS, so that closing a connection does not give a new allowance.
 */
export class AddressLimits {
  readonly #limits: AddressLimitSettings;
  readonly #connects: Rate;
  readonly #loginFailures: Rate;
  readonly #now: () => number;
  readonly #active = new Map<string, Origin>();
  /** In the order in which their last connection ended. */
  readonly #idle = new Map<string, Origin>();
  #exemptText = '';
  #exempt = new AddressList('');

  /** @param limits hold as they are at the time, for those who are known as well @param now monotonic, ms */
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

  /** Origins that are remembered. */
  get size(): number {
    return this.#active.size + this.#idle.size;
  }

  /** Counts a connection in and returns its origin (`leave` is owed), undefined if exempt, or why it is refused. */
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
    if (!origin.loginFailures.has(nowMs)) return 'address_logins';
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

  /** Returns whether one more token of the origin may be checked: each costs a signature. */
  mayLogIn(origin: Origin | undefined): boolean {
    return origin === undefined || origin.loginFailures.has(this.#now());
  }

  /** A token of the origin was no good. */
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
