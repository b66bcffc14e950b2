/** The members of one conversation, as far as they were asked for. */
import { ClientError, type ClientEvent, type Member } from '../sdk/mod.ts';
import type { ChatClient } from './chat-client.ts';
import { Source } from './source.ts';

/** Members of a page. */
const PAGE = 200;
/** Changes within this time are fetched together, ms. */
const REFRESH_MS = 300;

export class MemberList extends Source {
  readonly conversation: string;
  readonly #client: ChatClient;
  #members: readonly Member[] = [];
  #count = 0;
  #next: string | undefined = '';
  #isWanted = false;
  #isLoading = false;
  #error: ClientError | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(client: ChatClient, conversation: string) {
    super();
    this.#client = client;
    this.conversation = conversation;
  }

  /** Ascending by id. */
  get members(): readonly Member[] {
    return this.#members;
  }

  /** Number of all. */
  get count(): number {
    return this.#count;
  }

  get hasMore(): boolean {
    return this.#next !== undefined;
  }

  /** Why the last page could not be fetched. */
  get error(): ClientError | undefined {
    return this.#error;
  }

  /** Fetches the next page. Never rejects: `error` tells. */
  async more(): Promise<void> {
    this.#isWanted = true;
    if (this.#next === undefined || this.#isLoading) return;
    await this.#load(this.#members.length + PAGE);
  }

  /** An event of the client. */
  take(event: ClientEvent): void {
    const isNews =
      event.type === 'synced' || (event.type === 'member' && event.conversation === this.conversation);
    if (!isNews || !this.#isWanted) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#load(Math.max(PAGE, this.#members.length)), REFRESH_MS);
  }

  close(): void {
    clearTimeout(this.#timer);
  }

  /** Fetches the first members anew; what is there stays until all of them are here. */
  async #load(wanted: number): Promise<void> {
    this.#isLoading = true;
    try {
      const members: Member[] = [];
      let next: string | undefined = '';
      do {
        const page = await this.#client.members(this.conversation, { after: next, limit: PAGE });
        members.push(...page.members);
        next = page.next;
        this.#count = page.count;
      } while (next !== undefined && members.length < wanted);
      this.#members = members;
      this.#next = next;
      this.#error = undefined;
    } catch (error) {
      this.#error = ClientError.from(error);
    }
    this.#isLoading = false;
    this.changed();
  }
}
