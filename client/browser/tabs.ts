/** This tab among the tabs of the browser: leading, with a client of its own, or following the tab that leads. */
import {
  ClientError,
  type ClientEvent,
  type ClientEventOf,
  Emitter,
  type GochatClient,
  type Watched,
  type WatchTargets,
} from '../sdk/mod.ts';
import { KnownNames } from './known-names.ts';
import { fromTabError, type TabMessage, toTabError } from './tab-messages.ts';
import { Watches } from './watches.ts';

/** Limit of a text until the connected client tells the server's, bytes of UTF-8. */
const DEFAULT_MAX_TEXT_BYTES = 16_384;

export interface TabsOptions {
  /** Names the lock and the channel: the same for all tabs. */
  readonly name: string;
  /** Makes the client of this tab; called when no other tab is connected. */
  readonly make: () => GochatClient;
}

interface Pending {
  readonly path: string;
  readonly args: readonly unknown[];
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: ClientError) => void;
}

export class Tabs {
  readonly #options: TabsOptions;
  readonly #tab = crypto.getRandomValues(new Uint32Array(2)).join('-');
  readonly #events = new Emitter();
  readonly #names = new KnownNames();
  readonly #watches = new Watches();
  readonly #channel: BroadcastChannel;
  readonly #closing = new AbortController();
  readonly #first = Promise.withResolvers<void>();
  readonly #pending = new Map<number, Pending>();
  /** The newest events that tell a new tab how things are: of the connection, and unanswered sends by client_msg_id. */
  #link: ClientEvent | undefined;
  readonly #queued = new Map<string, ClientEvent>();
  /** Other tabs that follow this one. */
  readonly #followers = new Set<string>();
  #client: GochatClient | undefined;
  #shown: Partial<WatchTargets> = {};
  #calls = 0;
  #maxTextBytes = DEFAULT_MAX_TEXT_BYTES;

  constructor(options: TabsOptions) {
    this.#options = options;
    this.#channel = new BroadcastChannel(options.name);
    this.#first.promise.catch(() => undefined);
  }

  get isLeading(): boolean {
    return this.#client !== undefined;
  }

  get maxTextBytes(): number {
    return this.#client?.maxTextBytes ?? this.#maxTextBytes;
  }

  on<Type extends ClientEvent['type']>(
    type: Type,
    listener: (event: ClientEventOf<Type>) => void,
  ): () => void {
    return this.#events.on(type, listener);
  }

  onAny(listener: (event: ClientEvent) => void): () => void {
    return this.#events.onAny(listener);
  }

  displayName(user: string): string | undefined {
    return this.#client?.displayName(user) ?? this.#names.get(user);
  }

  /** Follows the tab that leads, or leads once none does. Resolves when there is a connection. */
  connect(): Promise<void> {
    const { name } = this.#options;
    const { locks } = navigator as { readonly locks?: LockManager };
    this.#channel.addEventListener('message', ({ data }) => this.#take(data as TabMessage));
    addEventListener('pagehide', this.#leave, { signal: this.#closing.signal });
    if (locks === undefined) void this.#lead();
    else {
      const { signal } = this.#closing;
      locks.request(name, { signal }, () => this.#lead()).catch(() => undefined);
      this.#post({ kind: 'hello', tab: this.#tab });
    }
    return this.#first.promise;
  }

  /** Makes a call by the tab that leads. */
  call(path: string, args: readonly unknown[]): Promise<unknown> {
    if (this.#closing.signal.aborted) return Promise.reject(ClientError.local('CLIENT_CLOSED'));
    if (this.#client !== undefined) return this.#run(path, args);
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    const id = ++this.#calls;
    this.#pending.set(id, { path, args, resolve, reject });
    this.#post({ kind: 'call', tab: this.#tab, id, path, args });
    return promise;
  }

  /** Tells what this tab shows. Resolves with nothing: `watched` brings the state. */
  watch(targets: Partial<WatchTargets>): Promise<Watched> {
    this.#shown = targets;
    this.#watch(this.#tab, targets);
    return Promise.resolve({ conversations: [], users: [] });
  }

  close(): void {
    if (this.#closing.signal.aborted) return;
    this.#leave();
    this.#closing.abort();
    for (const { reject } of this.#pending.values()) reject(ClientError.local('CLIENT_CLOSED'));
    this.#pending.clear();
    this.#channel.close();
    void this.#client?.close();
  }

  readonly #leave = (): void => this.#watch(this.#tab, undefined);

  /** Connects; holds the lock until this tab is closed. */
  async #lead(): Promise<void> {
    if (this.#closing.signal.aborted) return;
    const isTakingOver = this.#link !== undefined;
    const client = this.#options.make();
    this.#client = client;
    client.onAny((event) => {
      this.#emitAll(event);
    });
    this.#post({ kind: 'leading' });
    this.#watch(this.#tab, this.#shown);
    for (const [id, { path, args, resolve, reject }] of this.#pending) {
      this.#pending.delete(id);
      this.#run(path, args).then(resolve, reject);
    }
    try {
      await client.connect();
      // What other devices have changed in between.
      if (isTakingOver) this.#emitAll({ type: 'self', isWhole: true, ...(await client.self()) });
    } catch (error) {
      this.#first.reject(ClientError.from(error));
    }
    const closed = Promise.withResolvers<void>();
    this.#closing.signal.addEventListener('abort', () => closed.resolve());
    await closed.promise;
  }

  #take(message: TabMessage): void {
    switch (message.kind) {
      case 'event':
        if (!this.isLeading) this.#emit(message.event);
        break;
      case 'hello':
        this.#followers.add(message.tab);
        if (this.isLeading) this.#tellState(message.tab);
        break;
      case 'state':
        if (message.tab !== this.#tab || this.isLeading) break;
        this.#maxTextBytes = message.maxTextBytes;
        for (const event of message.events) this.#emit(event);
        break;
      case 'leading':
        for (const [id, { path, args }] of this.#pending)
          this.#post({ kind: 'call', tab: this.#tab, id, path, args });
        this.#watch(this.#tab, this.#shown);
        break;
      case 'call':
        if (this.isLeading) void this.#answer(message);
        break;
      case 'answer':
        if (message.tab === this.#tab) this.#answered(message);
        break;
      default:
        if (message.targets === undefined) this.#followers.delete(message.tab);
        else this.#followers.add(message.tab);
        if (this.isLeading) this.#watch(message.tab, message.targets);
    }
  }

  #tellState(tab: string): void {
    const events = [...(this.#link === undefined ? [] : [this.#link]), ...this.#queued.values()];
    this.#post({ kind: 'state', tab, events, maxTextBytes: this.maxTextBytes });
  }

  async #answer({ tab, id, path, args }: Extract<TabMessage, { kind: 'call' }>): Promise<void> {
    try {
      this.#post({ kind: 'answer', tab, id, value: await this.#run(path, args) });
    } catch (error) {
      this.#post({ kind: 'answer', tab, id, error: toTabError(error) });
    }
  }

  #answered({ id, value, error }: Extract<TabMessage, { kind: 'answer' }>): void {
    const pending = this.#pending.get(id);
    if (pending === undefined) return;
    this.#pending.delete(id);
    if (error !== undefined) return pending.reject(fromTabError(error));
    this.#names.note(value);
    pending.resolve(value);
  }

  /** Calls a method of the own client. */
  async #run(path: string, args: readonly unknown[]): Promise<unknown> {
    const client: unknown = this.#client;
    const [name = '', part] = path.split('.');
    const owner = part === undefined ? client : (client as Record<string, unknown>)[name];
    const method = (owner as Record<string, (...args: readonly unknown[]) => unknown>)[part ?? name];
    const value = await method?.apply(owner, [...args]);
    if (path === 'logout')
      this.#emitAll({ type: 'disconnected', code: 'LOGGED_OUT', reason: '', retryInMs: undefined });
    return value;
  }

  #watch(tab: string, targets: Partial<WatchTargets> | undefined): void {
    if (this.#client === undefined) this.#post({ kind: 'watch', tab, targets });
    // Where it is refused, nothing is known of the targets.
    else this.#client.watch(this.#watches.set(tab, targets)).catch(() => undefined);
  }

  #emitAll(event: ClientEvent): void {
    this.#emit(event);
    if (this.#followers.size > 0) this.#post({ kind: 'event', event });
  }

  #emit(event: ClientEvent): void {
    if (event.type === 'connected' || event.type === 'disconnected') this.#link = event;
    if (event.type === 'queued') this.#queued.set(event.clientMsgId, event);
    if (event.type === 'sent' || event.type === 'failed') this.#queued.delete(event.clientMsgId);
    this.#names.note(event);
    this.#events.emit(event);
    if (event.type === 'connected') this.#first.resolve();
    if (event.type === 'disconnected' && event.retryInMs === undefined)
      this.#first.reject(new ClientError(event.code, event.reason, false));
  }

  #post(message: TabMessage): void {
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a channel is within its origin
    if (!this.#closing.signal.aborted) this.#channel.postMessage(message);
  }
}
