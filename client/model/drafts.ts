/** Texts that the user has begun to write, one for each conversation, alike on all devices: the last one counts. */
import type { ClientEvent, Draft } from '../sdk/mod.ts';
import type { ChatClient } from './chat-client.ts';
import { Source } from './source.ts';

/** A draft is stored once its text has rested for so long, ms. */
const REST_MS = 1_000;

export class Drafts extends Source {
  readonly #client: ChatClient;
  readonly #texts = new Map<string, string>();
  /** Drafts that the server does not have yet. */
  readonly #unsaved = new Map<string, ReturnType<typeof setTimeout>>();

  constructor(client: ChatClient) {
    super();
    this.#client = client;
  }

  /** Empty: there is none. */
  get(conversation: string): string {
    return this.#texts.get(conversation) ?? '';
  }

  /** The user has written. */
  set(conversation: string, text: string): void {
    if (text === this.get(conversation)) return;
    this.#put(conversation, text);
    clearTimeout(this.#unsaved.get(conversation));
    const timer = setTimeout(() => void this.#save(conversation), text === '' ? 0 : REST_MS);
    this.#unsaved.set(conversation, timer);
  }

  /** An event of the client. */
  take(event: ClientEvent): void {
    if (event.type === 'left') this.#put(event.conversation, '');
    if (event.type === 'synced')
      for (const conversation of this.#unsaved.keys()) void this.#save(conversation);
    if (event.type === 'self') this.learn(event.drafts, event.isWhole);
  }

  /** The server has told drafts. What is written here and not stored yet will replace them. */
  learn(drafts: readonly Draft[], isWhole: boolean): void {
    const told = new Map(drafts.map(({ conversation, text }) => [conversation, text]));
    if (isWhole)
      for (const conversation of this.#texts.keys()) if (!told.has(conversation)) told.set(conversation, '');
    for (const [conversation, text] of told)
      if (!this.#unsaved.has(conversation)) this.#put(conversation, text);
  }

  close(): void {
    for (const timer of this.#unsaved.values()) clearTimeout(timer);
  }

  #put(conversation: string, text: string): void {
    if (text === this.get(conversation)) return;
    if (text === '') this.#texts.delete(conversation);
    else this.#texts.set(conversation, text);
    this.changed();
  }

  async #save(conversation: string): Promise<void> {
    const timer = this.#unsaved.get(conversation);
    try {
      await this.#client.saveDraft(conversation, this.get(conversation));
    } catch {
      // It stays here; the next connection stores it.
      return;
    }
    if (this.#unsaved.get(conversation) === timer) this.#unsaved.delete(conversation);
  }
}
