/** Whether there is a connection, and who is connected. */
import type { ClientEvent } from '../sdk/mod.ts';
import { Source } from './source.ts';

/** 'closed': the client will not connect again. */
export type Link = 'connecting' | 'online' | 'offline' | 'closed';

export interface Self {
  readonly id: string;
  /** The handle. */
  readonly name: string;
  readonly displayName: string;
}

export class Status extends Source {
  readonly #now: () => number;
  #link: Link = 'connecting';
  #self: Self | undefined;
  #code = '';
  #reason = '';
  #gateway = '';
  #retryAtMs: number | undefined;
  #sinceMs: number | undefined;

  /** @param now Unix time, ms */
  constructor(now: () => number) {
    super();
    this.#now = now;
  }

  get link(): Link {
    return this.#link;
  }

  /** Undefined until the first connection. */
  get self(): Self | undefined {
    return this.#self;
  }

  /** Name of the gateway of the last connection. */
  get gateway(): string {
    return this.#gateway;
  }

  /** Code of why there is no connection. */
  get code(): string {
    return this.#code;
  }

  /** Why there is no connection. */
  get reason(): string {
    return this.#reason;
  }

  /** Unix time of the next attempt, ms; undefined: it is under way, or there is none. */
  get retryAtMs(): number | undefined {
    return this.#retryAtMs;
  }

  /** Unix time of the last connection's end, ms. */
  get sinceMs(): number | undefined {
    return this.#sinceMs;
  }

  /** An event of the client. */
  take(event: ClientEvent): void {
    if (event.type === 'connected') {
      const { user: id, userName: name, displayName, gateway } = event;
      this.#self = { id, name, displayName };
      this.#gateway = gateway;
      this.#link = 'online';
      this.#code = this.#reason = '';
      this.#retryAtMs = this.#sinceMs = undefined;
    } else if (event.type === 'disconnected') {
      const { code, reason, retryInMs } = event;
      this.#link = retryInMs === undefined ? 'closed' : 'offline';
      this.#code = code;
      this.#reason = reason;
      this.#retryAtMs = retryInMs === undefined ? undefined : this.#now() + retryInMs;
      this.#sinceMs ??= this.#now();
    } else if (event.type === 'renamed' && event.user === this.#self?.id) {
      this.#self = { ...this.#self, displayName: event.displayName };
    } else return;
    this.changed();
  }
}
