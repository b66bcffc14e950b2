/** Who types where. Notices may be lost, so each holds for some seconds only. */
import type { ClientEvent } from '../sdk/mod.ts';
import { Source } from './source.ts';

/** A client repeats its notice every 3 s. */
const HOLD_MS = 6_000;

export class Typing extends Source {
  /** By conversation and user: the name, and the timer that ends it. */
  readonly #typing = new Map<string, Map<string, { name: string; timer: ReturnType<typeof setTimeout> }>>();

  /** Display names of who types in a conversation, in the order of beginning. */
  names(conversation: string): readonly string[] {
    return [...(this.#typing.get(conversation)?.values() ?? [])].map(({ name }) => name);
  }

  /** An event of the client. */
  take(event: ClientEvent): void {
    if (event.type === 'message') this.#end(event.conversation, event.sender);
    if (event.type === 'disconnected' || event.type === 'left') this.close();
    if (event.type !== 'typing') return;
    const { conversation, user, name, stopped } = event;
    if (stopped) this.#end(conversation, user);
    else this.#begin(conversation, user, name);
  }

  close(): void {
    for (const [conversation, users] of this.#typing)
      for (const user of users.keys()) this.#end(conversation, user);
  }

  #begin(conversation: string, user: string, name: string): void {
    const users = this.#typing.get(conversation) ?? new Map();
    this.#typing.set(conversation, users);
    clearTimeout(users.get(user)?.timer);
    users.set(user, { name, timer: setTimeout(() => this.#end(conversation, user), HOLD_MS) });
    this.changed();
  }

  #end(conversation: string, user: string): void {
    const users = this.#typing.get(conversation);
    const typing = users?.get(user);
    if (typing === undefined) return;
    clearTimeout(typing.timer);
    users?.delete(user);
    this.changed();
  }
}
