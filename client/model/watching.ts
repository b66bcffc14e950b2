/** What is on the screen, and the state of it: how people are, and how far they have received and read. */
import type { ClientEvent, MemberReceipt, Presence, WatchTargets } from '../sdk/mod.ts';
import type { ChatClient } from './chat-client.ts';
import { Source } from './source.ts';

/** The server's limits of a watch. */
const MAX_CONVERSATIONS = 8;
const MAX_USERS = 500;

/** How far one's own message has come in a conversation. */
export interface Progress {
  /** Whether somebody else has received it. */
  readonly isDelivered: boolean;
  /** User ids of who has read it. */
  readonly readers: readonly string[];
}

export class Watching extends Source {
  readonly #client: ChatClient;
  readonly #presence = new Map<string, Presence>();
  readonly #receipts = new Map<string, Map<string, MemberReceipt>>();
  readonly #members = new Map<string, number>();
  #shown = '';
  #me = '';

  constructor(client: ChatClient) {
    super();
    this.#client = client;
  }

  /** Tells what is on the screen; the most important first. */
  show({ conversations = [], users = [], idle = false }: Partial<WatchTargets>): void {
    const targets = {
      conversations: conversations.slice(0, MAX_CONVERSATIONS),
      users: [...new Set(users)].slice(0, MAX_USERS),
      idle,
    };
    const shown = JSON.stringify(targets);
    if (shown === this.#shown) return;
    this.#shown = shown;
    // The next one replaces it; where it is refused, nothing is known.
    this.#client.watch(targets).catch(() => undefined);
  }

  /** How a user is; undefined: unknown. */
  presence(user: string): Presence | undefined {
    return this.#presence.get(user);
  }

  /** Number of members of a conversation; undefined: unknown. */
  members(conversation: string): number | undefined {
    return this.#members.get(conversation);
  }

  /** How far a message of this user has come. */
  progress(conversation: string, seq: number): Progress {
    const all = this.#receipts.get(conversation)?.values() ?? [];
    const receipts = [...all].filter(({ user }) => user !== this.#me);
    return {
      isDelivered: receipts.some(({ deliveredSeq, readSeq }) => deliveredSeq >= seq || readSeq >= seq),
      readers: receipts.filter(({ readSeq }) => readSeq >= seq).map(({ user }) => user),
    };
  }

  /** An event of the client. */
  take(event: ClientEvent): void {
    switch (event.type) {
      case 'connected':
        this.#me = event.user;
        break;
      case 'watched':
        for (const presence of event.users) this.#presence.set(presence.user, presence);
        for (const { conversation, members, receipts } of event.conversations) {
          this.#members.set(conversation, members);
          this.#receipts.set(conversation, new Map(receipts.map((receipt) => [receipt.user, receipt])));
        }
        break;
      case 'presence':
        this.#presence.set(event.user, event);
        break;
      case 'receipts':
        for (const receipt of event.receipts) this.#receipt(event.conversation, receipt);
        break;
      case 'memberCount':
        this.#members.set(event.conversation, event.members);
        break;
      case 'disconnected':
        this.#presence.clear();
        break;
      case 'left':
        this.#receipts.delete(event.conversation);
        this.#members.delete(event.conversation);
        break;
      default:
        return;
    }
    this.changed();
  }

  #receipt(conversation: string, receipt: MemberReceipt): void {
    const receipts = this.#receipts.get(conversation) ?? new Map<string, MemberReceipt>();
    this.#receipts.set(conversation, receipts);
    receipts.set(receipt.user, receipt);
  }
}
