/**
 * What the clients of GoChat draw, whatever they draw it on: conversations, timelines, members, who is here. It follows a
 * client's events. After any mix of pages and events, late or doubled, it equals one that is made anew.
 */
import { ClientError, type ClientEvent, type SharedState } from '../sdk/mod.ts';
import type { ChatClient } from './chat-client.ts';
import { ConversationList } from './conversation-list.ts';
import { Drafts } from './drafts.ts';
import { MemberList } from './member-list.ts';
import { Settings } from './settings.ts';
import { Status } from './status.ts';
import { Timeline } from './timeline.ts';
import { Typing } from './typing.ts';
import { Watching } from './watching.ts';

/** Timelines and member lists that are kept; the one used longest ago goes first. */
const MAX_KEPT = 8;

export interface ModelOptions {
  /** Unix time, ms. @default Date.now */
  readonly now?: () => number;
}

export class Model {
  readonly client: ChatClient;
  readonly status: Status;
  readonly conversations: ConversationList;
  readonly drafts: Drafts;
  readonly settings: Settings;
  readonly typing = new Typing();
  readonly watching: Watching;
  readonly #timelines = new Map<string, Timeline>();
  readonly #members = new Map<string, MemberList>();
  readonly #unsubscribe: () => void;
  #isLoading = false;

  /** Follows the client from now on: make it before `connect`. */
  constructor(client: ChatClient, options: ModelOptions = {}) {
    this.client = client;
    this.status = new Status(options.now ?? Date.now);
    this.conversations = new ConversationList(client);
    this.drafts = new Drafts(client);
    this.settings = new Settings(client);
    this.watching = new Watching(client);
    this.#unsubscribe = client.onAny((event) => this.#take(event));
  }

  /** User id; empty until the first connection. */
  get me(): string {
    return this.status.self?.id ?? '';
  }

  /** The timeline of a conversation; `jump` fills it. */
  timeline(conversation: string): Timeline {
    const { client } = this;
    const make = () => new Timeline({ client, conversation, me: () => this.me });
    // What waits to be sent must not be forgotten.
    return kept(this.#timelines, conversation, make, ({ waiting }) => waiting === 0);
  }

  /** The members of a conversation; `more` fills it. */
  members(conversation: string): MemberList {
    return kept(
      this.#members,
      conversation,
      () => new MemberList(this.client, conversation),
      () => true,
    );
  }

  close(): void {
    this.#unsubscribe();
    this.conversations.close();
    this.drafts.close();
    this.typing.close();
    for (const members of this.#members.values()) members.close();
  }

  #take(event: ClientEvent): void {
    this.status.take(event);
    this.conversations.take(event);
    this.drafts.take(event);
    this.settings.take(event);
    this.typing.take(event);
    this.watching.take(event);
    for (const members of this.#members.values()) members.take(event);
    if ('conversation' in event && typeof event.conversation === 'string') {
      // What an earlier client has left to be sent is shown, too.
      if (event.type === 'queued') this.timeline(event.conversation);
      this.#timelines.get(event.conversation)?.take(event);
      if (event.type === 'left') this.#timelines.delete(event.conversation);
    } else for (const timeline of this.#timelines.values()) timeline.take(event);
    if (event.type === 'connected' && !this.conversations.isLoaded) void this.#load();
  }

  async #load(): Promise<void> {
    if (this.#isLoading) return;
    this.#isLoading = true;
    try {
      const [shared] = await Promise.all([this.client.self(), this.conversations.load()]);
      this.#learn(shared);
    } catch (error) {
      // The next connection tries again.
      if (!ClientError.from(error).retryable) throw error;
    } finally {
      this.#isLoading = false;
    }
  }

  #learn(shared: SharedState): void {
    this.conversations.take({ type: 'self', isWhole: true, ...shared });
    this.drafts.learn(shared.drafts, true);
    this.settings.learn(shared.settings);
  }
}

/** Returns what is kept under a key, or makes it; drops what was used longest ago. */
function kept<Value>(
  values: Map<string, Value>,
  key: string,
  make: () => Value,
  mayGo: (value: Value) => boolean,
): Value {
  const value = values.get(key) ?? make();
  values.delete(key);
  values.set(key, value);
  for (const [old, each] of values) {
    if (values.size <= MAX_KEPT) break;
    if (old !== key && mayGo(each)) values.delete(old);
  }
  return value;
}
