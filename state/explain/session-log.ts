/** What happened lately to connections, for `gochat ctl session`: bounded, and without any content. */
import type { SessionId, UserId } from '../../common/mod.ts';

/** Events remembered; the oldest go. */
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

/** Remembers comings and goings; a message leaves no trace here. */
export class SessionLog {
  readonly #events: SessionEvent[] = [];
  #next = 0;

  add(event: Omit<SessionEvent, 'atMs'>): void {
    const whole = { ...event, atMs: Date.now() };
    if (this.#events.length < SIZE) this.#events.push(whole);
    else this.#events[this.#next] = whole;
    this.#next = (this.#next + 1) % SIZE;
  }

  /** Returns the events of a session or of a user, the latest last. */
  find(id: bigint): SessionEvent[] {
    const start = this.#events.length < SIZE ? 0 : this.#next;
    const ordered = [...this.#events.slice(start), ...this.#events.slice(0, start)];
    return ordered.filter((event) => event.session === id || event.user === id);
  }
}
