/**
 * The user's own entries of one conversation that have no place in the log yet: shown at once, as they will be, and taken back
 * where the server refuses them. Pure: no clock, no I/O.
 */
import type { ChatMessage, EntryKind, FailedEvent, Quote, Target } from '../sdk/mod.ts';

/** Why the server refused something. */
export interface Refusal {
  readonly kind: EntryKind;
  readonly code: string;
  readonly message: string;
  /** What was to be the text: it is not lost. */
  readonly text: string;
}

export interface Echo {
  readonly clientMsgId: string;
  readonly kind: EntryKind;
  readonly atMs: number;
  /** Of a message or an edit. */
  readonly text: string;
  /** Of what changes a message. */
  readonly target: Target | undefined;
  /** Of a reply. */
  readonly quote: Quote | undefined;
  /** Of a message that will not be sent again. */
  readonly refusal: Refusal | undefined;
}

/** One's own change of a message that is not acknowledged. */
export type Change = 'edit' | 'retract';

export class Echoes {
  readonly #echoes = new Map<string, Echo>();
  /** Why the last change of a message was refused, by its seq. */
  readonly #refusals = new Map<number, Refusal>();

  /** Number of those that will still be sent. */
  get waiting(): number {
    return [...this.#echoes.values()].filter(({ refusal }) => refusal === undefined).length;
  }

  add({ clientMsgId, kind, atMs, text, target, quote }: Omit<Echo, 'refusal'>): void {
    if (typeof target === 'number') this.#refusals.delete(target);
    this.#echoes.set(clientMsgId, { clientMsgId, kind, atMs, text, target, quote, refusal: undefined });
  }

  /** It has its place in the log, or the user gives it up. Returns it. */
  remove(clientMsgId: string): Echo | undefined {
    const echo = this.#echoes.get(clientMsgId);
    this.#echoes.delete(clientMsgId);
    return echo;
  }

  /** The server has refused it for good. */
  failed({ clientMsgId, code, message }: FailedEvent): void {
    const echo = this.#echoes.get(clientMsgId);
    if (echo === undefined) return;
    const { kind, text, target } = echo;
    const refusal = { kind, code, message, text };
    if (kind === 'message') this.#echoes.set(clientMsgId, { ...echo, refusal });
    else this.#echoes.delete(clientMsgId);
    if (typeof target === 'number') this.#refusals.set(target, refusal);
    // An edit fails with its message, which keeps the newest text.
    const edited = kind === 'edit' && typeof target === 'string' ? this.#echoes.get(target) : undefined;
    if (edited !== undefined) this.#echoes.set(edited.clientMsgId, { ...edited, text });
  }

  /** Why the last change of a message was refused. */
  refusalOf(seq: number): Refusal | undefined {
    return this.#refusals.get(seq);
  }

  /** The user has seen why. */
  forgive(seq: number): void {
    this.#refusals.delete(seq);
  }

  /** Own messages that are not in the log, in the order of sending, and those that were refused. */
  messages(): readonly Echo[] {
    return [...this.#echoes.values()].filter(({ kind }) => kind === 'message');
  }

  /** Returns a message as one's own changes will leave it, and the last of them. */
  apply(
    message: ChatMessage,
    me: string,
  ): { readonly message: ChatMessage; readonly change: Change | undefined } {
    let shown = message;
    let change: Change | undefined;
    for (const { kind, target, text, atMs } of this.#echoes.values()) {
      const isMeant = typeof target === 'number' ? target === message.seq : target === message.clientMsgId;
      if (target === undefined || !isMeant || shown.retraction !== undefined) continue;
      if (kind === 'edit') {
        shown = { ...shown, text };
        change = 'edit';
      } else if (kind === 'retract') {
        const retraction = { seq: 0, by: me, atMs, reason: text };
        shown = { ...shown, text: '', replyTo: undefined, quote: undefined, retraction };
        change = 'retract';
      }
    }
    return { message: shown, change };
  }

  /** Returns the pins as one's own changes will leave them. */
  pins(seqs: readonly number[]): readonly number[] {
    let pins = seqs;
    for (const { kind, target } of this.#echoes.values()) {
      if (typeof target !== 'number') continue;
      if (kind === 'pin' && !pins.includes(target)) pins = [target, ...pins];
      if (kind === 'unpin') pins = pins.filter((seq) => seq !== target);
    }
    return pins;
  }
}
