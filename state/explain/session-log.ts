/** The latest events of connections, for `gochat ctl session`: bounded, without message contents. */
import type { SessionId, UserId } from '../../common/mod.ts';

/** Events kept; the oldest are dropped. */
const SIZE = 20_000;

export interface SessionEvent {
  /** Unix time, ms, for people. */
  readonly atMs: number;
  readonly user: UserId;
  readonly session: SessionId;
  readonly device: string;
  /** Name of the gateway, and its worker. */
  readonly gateway: string;
  readonly what: 'attached' | 'left' | 'dropped' | 'kicked';
  /** Code and reason of a kick; else empty. */
  readonly detail: string;
}

/** Records the starts and ends of connections. */
export class SessionLog {
  readonly #atMs = new Float64Array(SIZE);
  readonly #users = new BigUint64Array(SIZE);
  readonly #sessions = new BigUint64Array(SIZE);
  readonly #devices: string[] = [];
  readonly #gateways: string[] = [];
  readonly #whats: SessionEvent['what'][] = [];
  readonly #details: string[] = [];
  #next = 0;

  add({ user, session, device, gateway, what, detail }: Omit<SessionEvent, 'atMs'>): void {
    const at = this.#next;
    this.#atMs[at] = Date.now();
    this.#users[at] = user;
    this.#sessions[at] = session;
    this.#devices[at] = device;
    this.#gateways[at] = gateway;
    this.#whats[at] = what;
    this.#details[at] = detail;
    this.#next = (at + 1) % SIZE;
  }

  /** Returns the events of a session or of a user, the latest last. */
  find(id: bigint): SessionEvent[] {
    const found: SessionEvent[] = [];
    const size = this.#whats.length;
    for (let i = 0; i < size; i++) {
      const at = size < SIZE ? i : (this.#next + i) % SIZE;
      if (this.#sessions[at] === id || this.#users[at] === id) found.push(this.#eventAt(at));
    }
    return found;
  }

  #eventAt(at: number): SessionEvent {
    return {
      atMs: this.#atMs[at] as number,
      user: this.#users[at] as UserId,
      session: this.#sessions[at] as SessionId,
      device: this.#devices[at] as string,
      gateway: this.#gateways[at] as string,
      what: this.#whats[at] as SessionEvent['what'],
      detail: this.#details[at] as string,
    };
  }
}
