/** The user's conversations: who and what they are, their order, what is unread in them, whether they are muted. */
import {
  ClientError,
  type ClientEvent,
  type Conversation,
  type ConversationKind,
  type LogEntry,
  type Role,
} from '../sdk/mod.ts';
import type { ChatClient } from './chat-client.ts';
import { Source } from './source.ts';
import { Unread } from './unread.ts';

/** Counts that only the server knows are asked for together, after this long, ms. */
const RECOUNT_DELAY_MS = 300;
/** Most users in one call. */
const MAX_USERS = 100;
/** Mutes without an end. */
const FOREVER = Number.MAX_SAFE_INTEGER;

/** A conversation as a list shows it. */
export interface ConversationRow {
  readonly id: string;
  readonly kind: ConversationKind;
  /** Name of the room, or handle of the other user. */
  readonly name: string;
  /** What people see: name of the room, or display name of the other user. */
  readonly title: string;
  /** Of a direct conversation: id of the other user. */
  readonly peer: string | undefined;
  readonly role: Role;
  readonly lastSeq: number;
  readonly readSeq: number;
  /** MANY (1000) stands for as many or more. */
  readonly unread: number;
  /** Unix time of the last message, ms. */
  readonly activeAtMs: number;
  /** Unix time, ms; 0: not muted. */
  readonly mutedUntilMs: number;
  readonly floorSeq: number;
  readonly visibleAfterSeq: number;
}

interface Kept {
  row: ConversationRow;
  readonly unread: Unread;
}

export class ConversationList extends Source {
  readonly #client: ChatClient;
  readonly #kept = new Map<string, Kept>();
  /** Conversations that events have named before their page came. */
  readonly #wanted = new Set<string>();
  #me = '';
  #isLoaded = false;
  #sorted: readonly ConversationRow[] | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(client: ChatClient) {
    super();
    this.#client = client;
  }

  /** Whether all conversations are here. */
  get isLoaded(): boolean {
    return this.#isLoaded;
  }

  /** By descending activity. */
  rows(): readonly ConversationRow[] {
    this.#sorted ??= [...this.#kept.values()].map(({ row }) => row).toSorted(byActivity);
    return this.#sorted;
  }

  get(id: string): ConversationRow | undefined {
    return this.#kept.get(id)?.row;
  }

  /** Fetches all. Rejects with a ClientError; what was there stays. */
  async load(): Promise<void> {
    for (let after: string | undefined = ''; after !== undefined; ) {
      const page = await this.#client.listConversations({ after, limit: 500 });
      for (const conversation of page.conversations) this.#put(conversation);
      after = page.next;
      this.#changed();
    }
    this.#isLoaded = true;
    this.#changed();
    await this.#nameUsers();
  }

  /** Adds a conversation that the user has opened, or that the server has told anew. */
  put(conversation: Conversation): void {
    this.#put(conversation);
    this.#changed();
    void this.#nameUsers();
  }

  /** The user has read up to an entry, here. */
  read(id: string, seq: number): void {
    const kept = this.#kept.get(id);
    if (kept === undefined || seq <= kept.row.readSeq) return;
    kept.unread.read({ ...kept.unread.cursor, readSeq: seq });
    this.#refresh(id);
    this.#client.markRead(id, seq);
  }

  /** The user wants an entry, and what follows it, to be unread. Rejects with a ClientError. */
  async unread(id: string, fromSeq: number): Promise<void> {
    this.put(await this.#client.markUnread(id, fromSeq));
  }

  /** Mutes a conversation, or ends that, at once here. Rejects with a ClientError, and it is as before. */
  async mute(id: string, isMuted: boolean): Promise<void> {
    const before = this.get(id)?.mutedUntilMs ?? 0;
    const untilMs = isMuted ? FOREVER : 0;
    this.#set(id, { mutedUntilMs: untilMs });
    try {
      await this.#client.mute(id, untilMs);
    } catch (error) {
      if (this.get(id)?.mutedUntilMs === untilMs) this.#set(id, { mutedUntilMs: before });
      throw error;
    }
  }

  /** An event of the client. */
  take(event: ClientEvent): void {
    switch (event.type) {
      case 'connected':
        this.#me = event.user;
        break;
      case 'listed':
        for (const conversation of event.conversations) this.#put(conversation);
        this.#changed();
        break;
      case 'opened':
        this.#want(event.conversation);
        break;
      case 'left':
        if (this.#kept.delete(event.conversation)) this.#changed();
        break;
      case 'skipped':
        this.#kept.get(event.conversation)?.unread.skip();
        this.#want(event.conversation);
        break;
      case 'synced':
        if (this.#wanted.size > 0) this.#ask();
        break;
      case 'self':
        for (const { conversation, thread, ...cursor } of event.reads) {
          if (thread !== undefined) continue;
          this.#kept.get(conversation)?.unread.read(cursor);
          this.#refresh(conversation);
        }
        this.#muted(event.mutes, event.isWhole);
        break;
      case 'member':
        if (event.user === this.#me && event.role !== undefined)
          this.#set(event.conversation, { role: event.role });
        break;
      case 'renamed':
        this.#renamed(event.user, event.displayName);
        break;
      case 'sent':
      case 'message':
      case 'retracted':
      case 'system':
      case 'edited':
      case 'pinned':
      case 'unpinned':
        this.#entry(event);
        break;
      default:
    }
  }

  close(): void {
    clearTimeout(this.#timer);
  }

  #entry(entry: LogEntry): void {
    const kept = this.#kept.get(entry.conversation);
    if (kept === undefined) {
      this.#want(entry.conversation);
      return;
    }
    kept.unread.add(entry, entry.sender === this.#me);
    const { row } = kept;
    kept.row = { ...row, lastSeq: Math.max(row.lastSeq, entry.seq) };
    if (entry.kind === 'message' && entry.thread === undefined)
      kept.row = { ...kept.row, activeAtMs: Math.max(row.activeAtMs, entry.atMs) };
    if (entry.kind === 'system' && entry.user === this.#me && entry.role !== undefined)
      kept.row = { ...kept.row, role: entry.role };
    this.#refresh(entry.conversation);
  }

  #put(page: Conversation): void {
    const { id, kind, name, peer, role, visibleAfterSeq, floorSeq, mutedUntilMs } = page;
    const kept = this.#kept.get(id);
    const unread = kept?.unread ?? new Unread(page);
    kept?.unread.recount(page);
    this.#wanted.delete(id);
    const row = {
      id,
      kind,
      name,
      title: (peer !== undefined && this.#client.displayName(peer)) || name,
      peer,
      role,
      lastSeq: Math.max(page.lastSeq, kept?.row.lastSeq ?? 0),
      readSeq: unread.cursor.readSeq,
      unread: unread.count,
      activeAtMs: Math.max(page.activeAtMs, kept?.row.activeAtMs ?? 0),
      mutedUntilMs,
      floorSeq,
      visibleAfterSeq,
    };
    this.#kept.set(id, { row, unread });
  }

  #set(id: string, changes: Partial<ConversationRow>): void {
    const kept = this.#kept.get(id);
    if (kept === undefined) return;
    kept.row = { ...kept.row, ...changes };
    this.#changed();
  }

  /** Shows the count anew, and asks for it if only the server knows. */
  #refresh(id: string): void {
    const unread = this.#kept.get(id)?.unread;
    if (unread === undefined) return;
    this.#set(id, { unread: unread.count, readSeq: unread.cursor.readSeq });
    if (unread.takeStale()) this.#want(id);
  }

  #muted(mutes: readonly { conversation: string; untilMs: number }[], isWhole: boolean): void {
    if (isWhole)
      for (const { row } of this.#kept.values())
        if (row.mutedUntilMs !== 0 && mutes.every(({ conversation }) => conversation !== row.id))
          this.#set(row.id, { mutedUntilMs: 0 });
    for (const { conversation, untilMs } of mutes) this.#set(conversation, { mutedUntilMs: untilMs });
  }

  #renamed(user: string, displayName: string): void {
    for (const { row } of this.#kept.values())
      if (row.peer === user) this.#set(row.id, { title: displayName });
  }

  #want(id: string): void {
    this.#wanted.add(id);
    this.#ask();
  }

  #ask(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      void this.#fetch();
    }, RECOUNT_DELAY_MS);
  }

  async #fetch(): Promise<void> {
    const wanted = [...this.#wanted];
    this.#wanted.clear();
    for (const id of wanted) {
      this.#kept.get(id)?.unread.takeStale();
      try {
        this.#put(await this.#client.getConversation(id));
      } catch (error) {
        // What this user is no longer in goes with its `left` event. `synced` asks again for the others.
        if (ClientError.from(error).retryable) this.#wanted.add(id);
      }
      if (this.#kept.get(id)?.unread.takeStale()) this.#want(id);
    }
    this.#changed();
    await this.#nameUsers();
  }

  /** Looks up the display names of users whose direct conversations are here. */
  async #nameUsers(): Promise<void> {
    const peers = this.rows().flatMap(({ peer }) => peer ?? []);
    const unnamed = peers.filter((peer) => this.#client.displayName(peer) === undefined);
    for (let i = 0; i < unnamed.length; i += MAX_USERS) {
      // Without them the handles are shown.
      const users = await this.#client.users(unnamed.slice(i, i + MAX_USERS)).catch(() => []);
      for (const { id, displayName } of users) this.#renamed(id, displayName);
    }
  }

  #changed(): void {
    this.#sorted = undefined;
    this.changed();
  }
}

function byActivity(a: ConversationRow, b: ConversationRow): number {
  return b.activeAtMs - a.activeAtMs || (a.id < b.id ? 1 : -1);
}
