/** One device of a user: a client that lives, crashes and restarts, and the record of what it was shown. */
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  ClientError,
  type ChatMessage,
  type ClientEvent,
  Fold,
  GochatClient,
  type HistoryOptions,
  type LogEntry,
  type Transport,
  type TransportFactory,
} from '../../client/mod.ts';
import type { SystemUrls } from '../harness/gochat.ts';
import {
  type EntryKind,
  EPOCH,
  type Happening,
  type History,
  type OfEntry,
  type OfRange,
} from './history.ts';
import type { Random } from './random.ts';
import { OUTBOX_LIMIT } from './refusals.ts';
import type { Tokens } from './tokens.ts';

/** Wait before a client that could not log in, or was evicted, is replaced. */
const AGAIN_MS = 500;
/** Codes of a client that was evicted: it gives up, and its token may be invalid. */
const SENT_AWAY = new Set(['KICKED', 'LOGGED_OUT', 'TOKEN_REVOKED']);

/** What a client may say about a message; a purge is a retraction of a range. */
export type About = 'reply' | 'edit' | 'retract' | 'purge' | 'pin' | 'unpin';

/** A send of this client. */
interface EntryOfInstance {
  readonly conversation: string;
  readonly text: string;
  readonly clientMsgId: string;
  readonly entry: EntryKind;
  readonly target?: number;
  readonly targetText?: string;
  readonly range?: OfRange;
}

/** A message that was shown. */
interface Recent {
  readonly seq: number;
  /** User id and name of its author. */
  readonly sender: string;
  readonly from: string;
}

/** Conversations that a client watches: the server's most. */
const MAX_WATCHED = 8;
/** Messages of a conversation that a client remembers to say something about. */
const MAX_RECENT = 30;

export interface DeviceOptions {
  readonly user: string;
  readonly tokens: Tokens;
  /** '' for an unnamed one. */
  readonly name: string;
  /** Distinguishes devices with the same name, or none, in the history. */
  readonly label: string;
  readonly urls: SystemUrls;
  readonly transport: () => TransportFactory;
  readonly history: History;
  /** Most entries of a conversation that it reads up on; it jumps over more. */
  readonly catchUp: number | 'all';
  /** Called when the user learns of a conversation. */
  readonly onConversation: (id: string) => void;
  /** Called when the user is told that it has left one. */
  readonly onLeft: (id: string) => void;
  /** A client of the device was evicted. */
  readonly onSentAway: () => void;
}

/** A client across its connections, until it is closed, crashes or gives up. */
export class Instance {
  readonly name: string;
  readonly client: GochatClient;
  readonly #user: string;
  readonly #history: History;
  readonly #kill: () => void;
  /** Texts by the number of the send, which ends the client_msg_id. */
  readonly #texts = new Map<number, EntryOfInstance>();
  readonly #idPrefix = `${randomBytes(10).toString('hex')}-`;
  /** What it holds, by conversation. */
  readonly #folds = new Map<string, Fold>();
  /** Messages that it was shown lately, by conversation, to say something about. */
  readonly #recent = new Map<string, Recent[]>();
  #sends = 0;
  /** Highest seq shown to it, by conversation. */
  readonly #heads = new Map<string, number>();
  /** The same since its user joined the conversation. */
  readonly #stays = new Map<string, number>();
  /** Highest seq shown to any client of the user. */
  readonly #userHeads: Map<string, number>;
  /** Conversations in which an unnamed client continues where the user's others are. */
  readonly #away = new Set<string>();
  /** Conversations with messages shown, until it was told that its user has left. */
  readonly #open = new Set<string>();
  readonly #isNamed: boolean;
  /** What the client watches, as it was told last: the read cursors of others, by conversation and user id, and who is how. */
  #watched: {
    readonly reads: Map<string, Map<string, number>>;
    readonly statuses: Map<string, string>;
  } = { reads: new Map(), statuses: new Map() };
  #tokenMs = 0;
  live = true;
  /** Whether it was connected at least once. */
  ready = false;
  /** Whether it is connected and has read the log to its end since. */
  synced = false;

  constructor(name: string, userHeads: Map<string, number>, options: DeviceOptions) {
    const { user, tokens, name: device, urls, history } = options;
    this.name = name;
    this.#user = user;
    this.#isNamed = device !== '';
    this.#userHeads = userHeads;
    this.#history = history;
    const { factory, kill } = mortal(options.transport());
    this.#kill = kill;
    this.client = new GochatClient({
      ipconf: urls.ipconf,
      getToken: async () => {
        const token = await tokens.get();
        this.#tokenMs = token.ms;
        return token;
      },
      device,
      transport: factory,
      joinBacklog: 1e9,
      outboxLimit: OUTBOX_LIMIT,
      idPrefix: this.#idPrefix,
      catchUp: options.catchUp,
      newDevice: options.catchUp,
    });
    this.#write({ kind: 'start', user, device });
    this.client.onAny((event) => this.#onEvent(event, options));
  }

  send(conversation: string, filler: string): void {
    const { text } = this.#begin(conversation, 'message', filler);
    void this.client.send(conversation, text);
  }

  /** Sends an entry about a message: one that it was shown lately or, of its own, one that has no answer yet. */
  sendAbout(conversation: string, what: About, random: Random): void {
    const recent = this.#recent.get(conversation) ?? [];
    const own = [...this.#texts.values()].filter(
      (send) => send.conversation === conversation && send.entry === 'message',
    );
    const isOfAuthor = what === 'edit' || what === 'retract';
    if (isOfAuthor && own.length > 0 && random.chance(0.3)) {
      const { text: targetText, clientMsgId: target } = random.pick(own);
      const { text } = this.#begin(conversation, what, 'unsent', { targetText });
      if (what === 'edit') void this.client.edit(conversation, target, text);
      else void this.client.retract(conversation, target, { reason: text });
      return;
    }
    if (recent.length === 0) return;
    // Hardly anyone may change others' messages.
    const mine = recent.filter(({ from: author }) => author === this.#user);
    const { seq, sender, from } = random.pick(
      isOfAuthor && mine.length > 0 && random.chance(0.7) ? mine : recent,
    );
    if (what === 'purge') {
      // Not from before what this user may read.
      const oldest = Math.min(...recent.map((entry) => entry.seq));
      const range = { user: from, fromSeq: Math.max(oldest, seq - 20), toSeq: seq };
      const { text: reason } = this.#begin(conversation, 'retract', what, { range });
      void this.client.retractRange(conversation, { ...range, sender }, { reason });
      return;
    }
    const { text } = this.#begin(conversation, what === 'reply' ? 'message' : what, what, { target: seq });
    if (what === 'reply') void this.client.send(conversation, text, { replyTo: seq });
    else if (what === 'edit') void this.client.edit(conversation, seq, text);
    else if (what === 'retract') void this.client.retract(conversation, seq, { reason: text });
    else if (what === 'pin') void this.client.pin(conversation, seq);
    else void this.client.unpin(conversation, seq);
  }

  /** Records a send that follows. */
  #begin(
    conversation: string,
    entry: EntryKind,
    filler: string,
    about: Partial<EntryOfInstance> = {},
  ): EntryOfInstance {
    const number = ++this.#sends;
    const text = `${this.name} ${number} ${filler}`;
    const send = { conversation, text, clientMsgId: `${this.#idPrefix}${number}`, entry, ...about };
    this.#texts.set(number, send);
    this.#write({ kind: 'send', ...send });
    return send;
  }

  async end(why: 'closed' | 'crashed'): Promise<void> {
    if (!this.live) return;
    this.#dead(why, '');
    if (why === 'crashed') this.#kill();
    await this.client.close();
  }

  /**
   * Makes a call and records the outcome; undefined if it failed.
   *
   * @param peer the other user concerned
   */
  async call<T>(
    call: string,
    conversation: string,
    work: () => Promise<T>,
    peer?: string,
  ): Promise<T | undefined> {
    const note = {
      kind: 'call' as const,
      call,
      conversation,
      since: Date.now(),
      ...(peer !== undefined && { peer }),
    };
    try {
      const result = await work();
      this.#write({ ...note, code: '' });
      return result;
    } catch (error) {
      this.#write({ ...note, code: ClientError.from(error).code });
      return undefined;
    }
  }

  /** Reads a page of the log and records it. */
  async read(conversation: string, options: HistoryOptions): Promise<void> {
    const since = Date.now();
    const page = await this.call('history', conversation, () => this.client.history(conversation, options));
    for (const entry of page?.entries ?? []) this.#write({ kind: 'page', since, ...recorded(entry) });
  }

  /** Records the messages that it holds in the conversations of its user. */
  writeHeld(conversations: Iterable<string>): void {
    for (const conversation of conversations)
      for (const shown of this.#folds.get(conversation)?.shown() ?? [])
        if (shown.kind === 'message') this.#write({ kind: 'held', ...recorded(shown) });
  }

  /** Reports that the user has read what this client was shown. */
  mark(conversation: string): void {
    const seq = this.#heads.get(conversation);
    if (seq === undefined) return;
    this.#write({ kind: 'marked', conversation, seq });
    this.client.markRead(conversation, seq);
  }

  /** Has an entry and what follows it unread again, and records the count. */
  async recount(conversation: string, fromSeq: number): Promise<void> {
    const { readSeq, readEpoch, lastSeq, unread } = await this.client.markUnread(conversation, fromSeq);
    this.#write({ kind: 'marked', conversation, seq: readEpoch * EPOCH + readSeq });
    this.#history.write({ kind: 'badge', user: this.#user, conversation, readSeq, lastSeq, unread });
  }

  /** Identifies its last token among its user's. */
  get tokenMs(): number {
    return this.#tokenMs;
  }

  /** Conversations that it believes its user to be in. */
  get open(): ReadonlySet<string> {
    return this.#open;
  }

  /** Watches what it has open, and whose messages it was shown. */
  async #watch(): Promise<void> {
    const conversations = [...this.#open].slice(-MAX_WATCHED);
    const senders = new Set(
      conversations.flatMap((id) => this.#recent.get(id) ?? []).map(({ sender }) => sender),
    );
    try {
      await this.client.watch({ conversations, users: [...senders] });
    } catch {
      // Somebody has left meanwhile.
      await this.client.watch({ conversations: [] }).catch(() => undefined);
    }
  }

  /**
   * Returns what it shows wrongly of what it watches: everybody is online, and has read what is stored.
   *
   * @param cursors by "USER read CONVERSATION"
   */
  stale(
    conversations: Readonly<Record<string, number>>,
    cursors: Readonly<Record<string, number>>,
  ): string[] {
    const { reads, statuses } = this.#watched;
    const wrong = [...statuses].flatMap(([user, status]) =>
      status === 'offline' ? [`${this.client.displayName(user) ?? user} as offline`] : [],
    );
    for (const [conversation, users] of reads) {
      if (conversations[conversation] === undefined) continue;
      for (const [user, seq] of users) {
        const stored = cursors[`${this.client.displayName(user)} read ${conversation}`];
        if (stored !== undefined && stored !== seq)
          wrong.push(
            `that ${this.client.displayName(user)} has read ${conversation} up to ${seq}, stored is ${stored}`,
          );
      }
    }
    return wrong;
  }

  writeStale(what: string): void {
    this.#write({ kind: 'stale', what });
  }

  stuck(what: string): void {
    this.#write({ kind: 'stuck', what });
  }

  #dead(why: 'closed' | 'crashed' | 'ended', code: string): void {
    this.live = false;
    this.synced = false;
    this.#write({ kind: 'end', why, code });
  }

  #onEvent(event: ClientEvent, { onConversation, onLeft, tokens, onSentAway }: DeviceOptions): void {
    // Views of a closed client do not count; outcomes of its sends do.
    if (!this.live && event.type !== 'failed') return;
    switch (event.type) {
      case 'connected':
        this.ready = true;
        this.synced = false;
        this.#write({
          kind: 'up',
          gateway: event.gateway,
          resumed: event.resumed,
          tokenMs: this.#tokenMs,
        });
        break;
      case 'disconnected':
        this.synced = false;
        this.#write({ kind: 'down', code: event.code });
        if (event.retryInMs !== undefined || !this.live) break;
        this.#dead('ended', event.code);
        if (!SENT_AWAY.has(event.code)) break;
        void tokens.drop(this.#tokenMs);
        onSentAway();
        break;
      case 'synced':
        this.synced = true;
        void this.#watch();
        break;
      case 'watched':
        this.#watched = {
          reads: new Map(
            event.conversations.map(({ conversation, receipts }) => [
              conversation,
              new Map(receipts.map(({ user, readSeq }) => [user, readSeq])),
            ]),
          ),
          statuses: new Map(event.users.map(({ user, status }) => [user, status])),
        };
        break;
      case 'receipts':
        for (const { user, readSeq } of event.receipts)
          this.#watched.reads.get(event.conversation)?.set(user, readSeq);
        break;
      case 'presence':
        this.#watched.statuses.set(event.user, event.status);
        break;
      case 'message':
      case 'edited':
      case 'retracted':
      case 'pinned':
      case 'unpinned':
      case 'system': {
        const { conversation, seq } = event;
        this.#shown(conversation, seq);
        if (!this.#open.has(conversation)) {
          this.#open.add(conversation);
          if (this.synced) void this.#watch();
        }
        this.#foldOf(conversation).add(event);
        if (event.kind === 'message') this.#remember(event);
        this.#write({ kind: 'message', ...recorded(event) });
        onConversation(conversation);
        break;
      }
      case 'skipped': {
        const { conversation, toSeq: seq } = event;
        this.#foldOf(conversation).skip(seq);
        this.#shown(conversation, seq);
        this.#write({ kind: 'skipped', conversation, seq });
        break;
      }
      case 'sent': {
        const { conversation, seq, id, clientMsgId } = event;
        this.#shown(conversation, seq);
        const text = this.#take(clientMsgId)?.text ?? this.#stray(clientMsgId);
        this.#foldOf(conversation).add(event);
        if (event.kind === 'message') this.#remember(event);
        this.#write({ kind: 'acked', conversation, text, seq, id });
        break;
      }
      case 'failed': {
        const { conversation, code, clientMsgId } = event;
        const text = this.#take(clientMsgId)?.text ?? this.#stray(clientMsgId);
        this.#write({ kind: 'failed', conversation, text, code });
        break;
      }
      case 'left': {
        const { conversation, reason } = event;
        this.#folds.delete(conversation);
        this.#recent.delete(conversation);
        this.#open.delete(conversation);
        this.#watched.reads.delete(conversation);
        this.#stays.delete(conversation);
        if (!this.#isNamed) this.#away.add(conversation);
        this.#write({ kind: 'left', conversation, reason });
        onLeft(conversation);
        break;
      }
      case 'error':
        // A watch that is sent again after the user has left what it names.
        if (event.code === 'NOT_VISIBLE') break;
        this.#write({ kind: 'call', call: 'sync', conversation: '', code: event.code, since: Date.now() });
        break;
    }
  }

  /** Greatest seq shown of a conversation since the user is in it; undefined: none. */
  ownHead(conversation: string): number | undefined {
    return this.#stays.get(conversation);
  }

  /** Its progress; where nothing was shown to it, that of the user's others. */
  head(conversation: string): number {
    const own = this.#away.has(conversation) ? undefined : this.#heads.get(conversation);
    return own ?? this.#userHeads.get(conversation) ?? 0;
  }

  #shown(conversation: string, seq: number): void {
    this.#away.delete(conversation);
    for (const heads of [this.#heads, this.#stays, this.#userHeads])
      if (seq > (heads.get(conversation) ?? 0)) heads.set(conversation, seq);
  }

  #foldOf(conversation: string): Fold {
    let fold = this.#folds.get(conversation);
    if (fold === undefined) this.#folds.set(conversation, (fold = new Fold()));
    return fold;
  }

  #remember({ conversation, seq, sender, from }: ChatMessage): void {
    const recent = this.#recent.get(conversation) ?? [];
    this.#recent.set(conversation, recent);
    recent.push({ seq, sender, from });
    if (recent.length > MAX_RECENT) recent.shift();
  }

  #take(clientMsgId: string): EntryOfInstance | undefined {
    const number = Number(clientMsgId.slice(clientMsgId.lastIndexOf('-') + 1));
    const send = this.#texts.get(number);
    this.#texts.delete(number);
    return send;
  }

  #stray(clientMsgId: string): string {
    return `an answer to no send of ${this.name}: ${clientMsgId}`;
  }

  #write(happening: DistributiveOmit<Extract<Happening, { instance: string }>, 'instance'>): void {
    this.#history.write({ instance: this.name, ...happening });
  }
}

/** Returns an entry as the history has it. */
export function recorded(entry: LogEntry): OfEntry {
  const { conversation, seq, id, kind } = entry;
  const nothing = { conversation, seq, id, text: '', version: 0, target: 0, retracted: false };
  switch (kind) {
    case 'message': {
      const { text, version, retraction, quote } = entry;
      const shown = { ...nothing, entry: kind, text, version, retracted: retraction !== undefined };
      return quote === undefined
        ? shown
        : { ...shown, quote: { seq: quote.seq, text: quote.text, version: quote.version } };
    }
    case 'edit':
      return { ...nothing, entry: kind, text: entry.text, version: entry.version, target: entry.target ?? 0 };
    case 'retract':
    case 'pin':
    case 'unpin':
      return { ...nothing, entry: kind, target: entry.target ?? 0 };
    default:
      return { ...nothing, entry: 'system' };
  }
}

type DistributiveOmit<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never;

export class Device {
  readonly #options: DeviceOptions;
  /** Shared by the devices of a user, as a cursor on the server may be another device's. */
  readonly #heads: Map<string, number>;
  #instances: Instance[] = [];
  #count = 0;
  #stopped = false;

  constructor(options: DeviceOptions, heads: Map<string, number>) {
    this.#options = options;
    this.#heads = heads;
  }

  get user(): string {
    return this.#options.user;
  }

  /** Its cursors' owner in the store. */
  get group(): string {
    return `${this.#options.user}/${this.#options.name}`;
  }

  /** '' for an unnamed one. */
  get name(): string {
    return this.#options.name;
  }

  get named(): boolean {
    return this.#options.name !== '';
  }

  get live(): readonly Instance[] {
    return this.#instances.filter((instance) => instance.live);
  }

  /** The client that was started last, if it lives and was connected. */
  get current(): Instance | undefined {
    const last = this.#instances.at(-1);
    return last?.live === true && last.ready ? last : undefined;
  }

  /** The client that was started last, whether it lives or not. */
  get last(): Instance | undefined {
    return this.#instances.at(-1);
  }

  /** Starts another client; on a named device it replaces the first one. */
  async start(): Promise<void> {
    while (!this.#stopped) {
      const name = `${this.#options.label}#${++this.#count}`;
      const instance = new Instance(name, this.#heads, this.#options);
      this.#instances = [...this.live, instance];
      try {
        await instance.client.connect();
        return;
      } catch (error) {
        // The client does not retry its first connection.
        await instance.end('closed');
        if (SENT_AWAY.has(ClientError.from(error).code)) await this.#options.tokens.drop(instance.tokenMs);
        await sleep(AGAIN_MS);
      }
    }
  }

  async restart(why: 'closed' | 'crashed', pauseMs: number): Promise<void> {
    await Promise.all(this.live.map((instance) => instance.end(why)));
    await sleep(pauseMs);
    await this.start();
  }

  /** Reconnects after its last client was evicted. */
  async comeAgain(): Promise<void> {
    await sleep(AGAIN_MS);
    if (this.live.length === 0) await this.start();
  }

  stop(): void {
    this.#stopped = true;
  }
}

/** A transport whose connections can end without a FIN, as when the machine loses power. */
function mortal(inner: TransportFactory): { factory: TransportFactory; kill: () => void } {
  let dead = false;
  const open = new Set<Transport>();
  const factory: TransportFactory = {
    kind: inner.kind,
    address: (gateway) => inner.address(gateway),
    open: (gateway, handlers) => {
      const transport = inner.open(gateway, {
        onOpen: () => handlers.onOpen(),
        onData: (chunk) => {
          if (!dead) handlers.onData(chunk);
        },
        onClose: (reason) => {
          open.delete(transport);
          handlers.onClose(reason);
        },
      });
      open.add(transport);
      return {
        send: (bytes) => {
          if (!dead) transport.send(bytes);
        },
        close: () => transport.close(),
        destroy: () => transport.destroy(),
        pause: () => transport.pause?.(),
        resume: () => transport.resume?.(),
      };
    },
  };
  const kill = () => {
    dead = true;
    for (const transport of open) transport.destroy();
  };
  return { factory, kill };
}
