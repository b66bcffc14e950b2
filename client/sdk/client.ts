/** The client: connects through the directory, keeps the connection up, and turns frames into promises and events. */
import {
  FrameType,
  type Send,
  type UserSettings,
  type Welcome,
  type Conversation as WireConversation,
} from '../../proto/client.ts';
import { Conversations } from './conversations.ts';
import { fromRole, isId, toConversation, toKey, toSeq } from './convert.ts';
import { Credentials } from './credentials.ts';
import { ClientError } from './errors.ts';
import type { Role, SenderRange } from './entries.ts';
import type {
  ChangeOptions,
  ClientEvent,
  ClientEventOf,
  Conversation,
  ConversationList,
  Draft,
  History,
  HistoryOptions,
  ListOptions,
  MemberList,
  Pins,
  Presence,
  ReaderList,
  RetractOptions,
  RoomList,
  RoomOptions,
  SendOptions,
  Sent,
  SharedState,
  ThreadList,
  ThreadOptions,
  ThreadPage,
  Target,
  User,
  UserSettingsVersion,
  Watched,
} from './events.ts';
import { Emitter } from './events.ts';
import { Inbox } from './inbox.ts';
import { Names } from './names.ts';
import type { GochatClientOptions, ResolvedOptions } from './options.ts';
import { resolveOptions } from './options.ts';
import { Receipts } from './receipts.ts';
import { Receiver } from './receiver.ts';
import { Reconnector } from './reconnector.ts';
import { TokenRenewal } from './renewal.ts';
import { type Call, Requests, type Result } from './requests.ts';
import { Sends } from './sends.ts';
import { Account } from './account.ts';
import { Shared } from './shared.ts';
import { Syncer } from './sync.ts';
import { TypingNotes } from './typing.ts';
import { Watcher, type WatchTargets } from './watcher.ts';

/**
 * A user's client on one device.
 *
 * It logs in, gets gateways from ipconf, connects, and stays connected until `close()` or until the server refuses it
 * for good. A send is durable when its promise resolves. Sends arrive in the order of the calls and, across reconnects,
 * once. Entries of others come as events, once each, in order within a conversation; Fold makes of them what is shown.
 * Ids are unsigned 64-bit numbers in decimal.
 */
export class GochatClient {
  readonly #options: ResolvedOptions;
  readonly #credentials: Credentials;
  readonly #events = new Emitter();
  readonly #link: Reconnector;
  readonly #sends: Sends;
  readonly #requests: Requests;
  readonly #inbox: Inbox;
  readonly #receipts: Receipts;
  readonly #syncer: Syncer;
  readonly #receiver: Receiver;
  readonly #conversations: Conversations;
  readonly #renewal: TokenRenewal;
  readonly #shared: Shared;
  readonly #watcher: Watcher;
  /** The user's account. */
  readonly account: Account;
  readonly #names = new Names((user, displayName) =>
    this.#events.emit({ type: 'renamed', user: user.toString(), displayName }),
  );
  readonly #typing = new TypingNotes((conversation, payload) =>
    this.#link.connection?.send(FrameType.TYPING, 0, conversation, payload),
  );
  readonly #closing = new AbortController();
  #ref = 0;
  #paused = false;
  #run: Promise<void> | undefined;
  #closed: ClientError | undefined;
  readonly #first = Promise.withResolvers<void>();

  constructor(options: GochatClientOptions) {
    this.#options = resolveOptions(options);
    this.#credentials = new Credentials(options, this.#options);
    this.#link = new Reconnector(this.#options, this.#credentials, this.#closing.signal, {
      onWelcome: (welcome) => this.#onWelcome(welcome),
      onFrame: (type, ref, key, payload) => {
        // Frames during the goodbye are dropped: a message reported as delivered would be lost.
        if (this.#closed === undefined) this.#receiver.frame(type, ref, key, payload);
      },
      onDown: () => {
        this.#receipts.stop();
        this.#renewal.stop();
        this.#watcher.disconnected();
        this.#sends.outbox.disconnected();
      },
      onRetry: (error, retryInMs) => this.#emitDisconnected(error, retryInMs),
      onGivenUp: (error, everWelcomed) => this.#onGivenUp(error, everWelcomed),
    });
    const nextRef = () => this.#nextRef();
    this.#sends = new Sends(this.#options, this.#events, this.#names, {
      nextRef,
      write: (ref, key, payload) => this.#link.connection?.send(FrameType.SEND, ref, key, payload),
      onStalled: () => this.#link.connection?.fail(ClientError.local('DEADLINE_EXCEEDED')),
    });
    this.#requests = new Requests(this.#options, {
      nextRef,
      write: (ref, key, payload) => this.#write(FrameType.REQUEST, ref, key, payload),
    });
    this.#renewal = new TokenRenewal(this.#options, {
      nextRef,
      renew: () => this.#credentials.renew(this.#closing.signal),
      write: (ref, payload) => this.#link.connection?.send(FrameType.AUTH, ref, 0n, payload),
    });
    this.#receipts = new Receipts(this.#options.receiptDelayMs, (payload) =>
      this.#write(FrameType.RECEIPTS, 0, 0n, payload),
    );
    const known = (wire: WireConversation): Conversation => {
      this.#receipts.learn(wire.id, wire.readEpoch);
      return toConversation(wire, this.#names);
    };
    this.#inbox = new Inbox({
      toConversation: known,
      deliver: (conversation, message) => this.#receiver.deliver(conversation, message),
      onCursor: (conversation, seq) => this.#receipts.delivered(conversation, seq),
      onSkipped: (conversation, fromSeq, toSeq) =>
        this.#events.emit({ type: 'skipped', conversation: conversation.toString(), fromSeq, toSeq }),
    });
    this.#syncer = new Syncer(this.#options, this.#inbox, this.#closing.signal, {
      call: (call) => this.#requests.call(call),
      answered: (page) => this.#receiver.answered(page),
      onListed: (wires) => {
        this.#events.emit({ type: 'listed', conversations: wires.map(known) });
      },
      onOpened: ({ id: conversation, name, kind }) =>
        this.#events.emit({ type: 'opened', conversation, name, kind }),
      onGone: (gone) => this.#receiver.gone(gone),
      onSynced: (messages) => this.#events.emit({ type: 'synced', messages }),
      onError: (error) => this.#events.emit({ type: 'error', code: error.code, message: error.message }),
    });
    const ask = async (call: Call, key: bigint): Promise<Result> => {
      if (this.#closed !== undefined) throw this.#closed;
      return this.#requests.call(call, key);
    };
    this.#shared = new Shared({
      ask,
      events: this.#events,
      onReads: (reads) => {
        for (const { conversation, readEpoch, thread } of reads)
          if (thread === 0n) this.#receipts.learn(conversation, readEpoch);
      },
    });
    this.#watcher = new Watcher(this.#options, this.#events, {
      nextRef,
      write: (ref, payload) => this.#write(FrameType.WATCH, ref, 0n, payload),
    });
    this.account = new Account(ask);
    this.#receiver = new Receiver({
      events: this.#events,
      inbox: this.#inbox,
      outbox: this.#sends.outbox,
      requests: this.#requests,
      syncer: this.#syncer,
      names: this.#names,
      renewal: this.#renewal,
      shared: this.#shared,
      watcher: this.#watcher,
      idPrefix: this.#options.idPrefix,
      onResync: (mark) => {
        this.#link.connection?.send(FrameType.RESYNCED, mark, 0n);
        this.#catchUp();
      },
    });
    this.#conversations = new Conversations({
      ask,
      inbox: this.#inbox,
      syncer: this.#syncer,
      names: this.#names,
      toConversation: known,
      joinBacklog: this.#options.joinBacklog,
    });
    // connect() may never be called, and close() rejects this promise: it must not be an unhandled rejection.
    this.#first.promise.catch(() => {});
    if (options.signal !== undefined) {
      const { signal } = options;
      const abort = () => void this.close();
      if (signal.aborted) abort();
      else signal.addEventListener('abort', abort, { once: true, signal: this.#closing.signal });
    }
  }

  /** Number of unanswered sends. */
  get pendingSends(): number {
    return this.#sends.outbox.size;
  }

  /** Longest text that the server accepts, bytes of UTF-8. */
  get maxTextBytes(): number {
    return this.#sends.maxTextBytes;
  }

  /** Calls the listener for each event of a type, synchronously. Returns a function that unsubscribes it. */
  on<Type extends ClientEvent['type']>(
    type: Type,
    listener: (event: ClientEventOf<Type>) => void,
  ): () => void {
    return this.#events.on(type, listener);
  }

  /** Calls the listener for each event; returns the function that ends it. */
  onAny(listener: (event: ClientEvent) => void): () => void {
    return this.#events.onAny(listener);
  }

  /**
   * Connects; resolves with the first WELCOME.
   *
   * Rejects, and the client is closed, when the API server or ipconf cannot be reached or refuse, when no gateway is
   * registered, or when none of them lets the client in within `firstConnectMs`.
   */
  connect(): Promise<void> {
    this.#run ??= this.#link.run();
    return this.#first.promise;
  }

  /** Tries to connect now, rather than after the wait that `disconnected` has told. */
  reconnect(): void {
    this.#link.wake();
  }

  /**
   * Sends a text to a conversation. Resolves once it is durable.
   *
   * Rejects at once with TEXT_EMPTY, TEXT_TOO_LONG, OUTBOX_FULL or ARGUMENT_INVALID; later with the server's refusal or
   * with CLIENT_CLOSED. While there is no connection the message waits in the outbox. All of this holds for the other
   * entries as well: they are sent in the order of the calls.
   */
  send(conversation: string, text: string, options: SendOptions = {}): Promise<Sent> {
    const { replyTo = 0, thread = 0, clientMsgId } = options;
    const make = () => ({ text, replyTo: toSeq(replyTo), thread: toSeq(thread) });
    return this.#sends.add('message', conversation, make, clientMsgId);
  }

  /** Makes a client_msg_id for `send`, by which the message can be edited and retracted while its send is unanswered. */
  nextMessageId(): string {
    return this.#sends.nextMessageId();
  }

  /**
   * Gives one of the user's messages a new text. One whose send is unanswered is named by its client_msg_id; if that
   * send fails for good, so does this.
   */
  edit(conversation: string, target: Target, text: string, options: ChangeOptions = {}): Promise<Sent> {
    const make = () => ({ text, ...toTarget(target) });
    return this.#sends.add('edit', conversation, make, options.clientMsgId);
  }

  /** Removes a message: the user's own or, as a moderator or owner, that of a member of a lower role. Named as in `edit`. */
  retract(conversation: string, target: Target, options: RetractOptions = {}): Promise<Sent> {
    const { reason = '', clientMsgId } = options;
    return this.#sends.add('retract', conversation, () => ({ reason, ...toTarget(target) }), clientMsgId);
  }

  /** Removes the messages of one sender with fromSeq <= seq <= toSeq. The user must be able to read from `fromSeq` on. */
  retractRange(
    conversation: string,
    { sender, fromSeq, toSeq: lastSeq }: SenderRange,
    options: RetractOptions = {},
  ): Promise<Sent> {
    const { reason = '', clientMsgId } = options;
    const make = () => ({
      reason,
      range: { sender: toKey(sender, 'The user'), fromSeq: toSeq(fromSeq), toSeq: toSeq(lastSeq) },
    });
    return this.#sends.add('retract', conversation, make, clientMsgId);
  }

  /** Pins a message. In a room moderators and owners may, unless the server says otherwise. */
  pin(conversation: string, seq: number, options: ChangeOptions = {}): Promise<Sent> {
    return this.#sends.add('pin', conversation, () => toTarget(seq), options.clientMsgId);
  }

  unpin(conversation: string, seq: number, options: ChangeOptions = {}): Promise<Sent> {
    return this.#sends.add('unpin', conversation, () => toTarget(seq), options.clientMsgId);
  }

  /**
   * Tells the other members that the user is typing or has stopped. Call it with each key: at most one notice in 3 s is
   * sent.
   */
  typing(conversation: string, stopped = false): void {
    if (isId(conversation)) this.#typing.tell(BigInt(conversation), stopped);
  }

  /** Opens the direct conversation with a user; creates it if there is none. */
  openDirect(userName: string): Promise<Conversation> {
    return this.#conversations.open({ $case: 'openDirect', openDirect: { userName } });
  }

  /** Creates a room that this user owns. */
  createRoom(name: string, options: RoomOptions = {}): Promise<Conversation> {
    const { hideHistory = false } = options;
    return this.#conversations.open({ $case: 'createRoom', createRoom: { name, hideHistory } });
  }

  /** Leaves a room; a `left` event follows when its last messages have come. */
  leaveRoom(conversation: string): Promise<void> {
    return this.#conversations.change(conversation, { $case: 'leaveRoom', leaveRoom: {} });
  }

  /** Removes another user, by name or id, from a room; the user needs a higher role than the other. */
  removeMember(conversation: string, user: string): Promise<void> {
    return this.#conversations.change(conversation, { $case: 'removeMember', removeMember: { user } });
  }

  /**
   * Gives a member of a room, by name or id, a role. Owners may give roles to members who are not owners, and everybody
   * may take a lower role. When the last owner steps down, the room passes to the member of the highest role who joined
   * first.
   */
  async setRole(conversation: string, user: string, role: Role): Promise<void> {
    const setRole = { user, role: fromRole(role) };
    await this.#conversations.call({ $case: 'setRole', setRole }, 'done', conversation);
  }

  /** Deletes a room that this user owns, with all its messages. */
  deleteRoom(conversation: string): Promise<void> {
    return this.#conversations.change(conversation, { $case: 'deleteRoom', deleteRoom: {} });
  }

  /** Reports that the user has read a conversation up to a message, on all devices. */
  markRead(conversation: string, seq: number): void {
    this.#receipts.read(toKey(conversation), seq);
  }

  /**
   * Marks a conversation as unread from an entry on, on all devices: the read cursor goes back, under a new epoch. Returns the
   * conversation as it is then.
   */
  markUnread(conversation: string, seq: number): Promise<Conversation> {
    const key = toKey(conversation);
    return this.#conversations.markRead(conversation, toSeq(seq) - 1n, this.#receipts.epochOf(key) + 1n);
  }

  /**
   * Returns what the user's devices share: read cursors, mutes, drafts, settings. From then on `self` events bring the whole
   * again after each reconnect; what other devices change comes in any case.
   */
  self(): Promise<SharedState> {
    return this.#shared.get();
  }

  /**
   * Watches what is on the screen: at most 8 conversations of the user and 500 users who are in one of them. Replaces the
   * watch before. Resolves with the state of all; `presence` events and others follow, and `watched` with the whole after each
   * reconnect. Rejects with NOT_VISIBLE, or WATCH_TOO_LARGE, and nothing is changed.
   *
   * @param targets `idle`: nobody is at this device
   */
  watch({ conversations = [], users = [], idle = false }: Partial<WatchTargets>): Promise<Watched> {
    if (this.#closed !== undefined) return Promise.reject(this.#closed);
    return this.#watcher.watch({ conversations, users, idle });
  }

  /** Returns a page of who has read a message and shows it, by ascending id; at most 1000, by default 100. */
  readers(conversation: string, seq: number, options: ListOptions = {}): Promise<ReaderList> {
    return this.#conversations.readers(conversation, seq, options);
  }

  /** Returns how users are who are in a conversation with this one, at most 500. */
  presence(users: readonly string[]): Promise<readonly Presence[]> {
    return this.#conversations.presence(users);
  }

  /** Mutes a conversation on all devices: notifications are not wanted until a Unix time, ms. @param untilMs 0: they are */
  mute(conversation: string, untilMs = Number.MAX_SAFE_INTEGER): Promise<void> {
    return this.#shared.mute(conversation, untilMs);
  }

  /** Keeps a text that the user has begun to write, on all devices: the last one counts. At most 100, of 4096 bytes each. */
  saveDraft(conversation: string, text: string): Promise<Draft> {
    return this.#shared.saveDraft(conversation, text);
  }

  /** Changes some of the user's settings and returns all. Rejects with SETTINGS_CHANGED if they are not of `ifVersion`. */
  setSettings(
    changes: Partial<UserSettings>,
    options: { readonly ifVersion?: number } = {},
  ): Promise<UserSettingsVersion> {
    return this.#shared.setSettings(changes, options.ifVersion ?? 0);
  }

  /** Joins a room by name or id; no effect for a member. Its newest entries come as events. */
  joinRoom(room: string): Promise<Conversation> {
    return this.#conversations.open({ $case: 'joinRoom', joinRoom: { room } });
  }

  /** Returns a page of the user's conversations, by descending activity; at most 500, by default 100. */
  listConversations(options: ListOptions = {}): Promise<ConversationList> {
    return this.#conversations.list(options);
  }

  /** Goes through all of the user's conversations, by descending activity, page by page. */
  async *allConversations(): AsyncGenerator<Conversation, void> {
    for (let after: string | undefined = ''; after !== undefined; ) {
      const { conversations, next }: ConversationList = await this.listConversations({ after });
      yield* conversations;
      after = next;
    }
  }

  /** Fetches one conversation. Rejects with NOT_A_MEMBER if this user is not in it. */
  getConversation(id: string): Promise<Conversation> {
    return this.#conversations.get(id);
  }

  /** Returns a page of all rooms, by ascending id; at most 200, by default 50. */
  listRooms(options: ListOptions = {}): Promise<RoomList> {
    return this.#conversations.rooms(options);
  }

  /** Returns a conversation as far as it is known; every conversation that sent an entry is. */
  conversation(id: string): Conversation | undefined {
    return this.#inbox.conversation(toKey(id));
  }

  /** Returns entries from the log, by default the newest 50. */
  history(conversation: string, options: HistoryOptions = {}): Promise<History> {
    return this.#conversations.history(conversation, options);
  }

  /** Returns replies of a thread, named by the seq of its root; by default the newest 50, at most 100. */
  thread(conversation: string, root: number, options: ThreadOptions = {}): Promise<ThreadPage> {
    return this.#conversations.thread(conversation, root, options);
  }

  /**
   * Returns a page of the threads that the user follows, by descending activity; at most 100, by default 50.
   *
   * @param options `conversation`: those of one; all by default
   */
  threads(options: ListOptions & { readonly conversation?: string } = {}): Promise<ThreadList> {
    return this.#conversations.threads(options);
  }

  /** Follows a thread, or (`follows` is false) does no longer. Who writes in a thread or wrote its root follows it by that. */
  followThread(conversation: string, root: number, follows = true): Promise<void> {
    return this.#conversations.followThread(conversation, root, follows);
  }

  /**
   * Sets the read cursor of a thread that the user follows, on all devices; returns the conversation as it is then. To have a
   * reply and what follows it unread: the seq before it, and an `epoch` more than the thread's.
   */
  markThreadRead(conversation: string, root: number, seq: number, epoch = 0): Promise<Conversation> {
    return this.#conversations.markRead(conversation, toSeq(seq), toSeq(epoch), toSeq(root));
  }

  /** Has the user read everything, timelines and threads alike, in a conversation or in all, on all devices. */
  markAllRead(conversation?: string): Promise<void> {
    return this.#conversations.markAllRead(conversation);
  }

  /** Returns the pinned messages of a conversation. */
  pins(conversation: string): Promise<Pins> {
    return this.#conversations.pins(conversation);
  }

  /** Returns a page of the members of a conversation, by ascending id; at most 1000, by default 200. */
  members(conversation: string, options: ListOptions = {}): Promise<MemberList> {
    return this.#conversations.members(conversation, options);
  }

  /** Looks up users by id; who does not exist is missing. */
  users(ids: readonly string[]): Promise<readonly User[]> {
    return this.#conversations.users(ids);
  }

  /** Returns the display name of a user as far as it is known; the `renamed` event tells of another one. */
  displayName(user: string): string | undefined {
    return this.#names.get(toKey(user, 'The user'));
  }

  /** Sets the user's display name, 1 to 64 characters; empty: the handle is shown. Returns the profile. */
  setDisplayName(displayName: string): Promise<User> {
    return this.#conversations.setDisplayName(displayName);
  }

  /** Resolves when no entry is known to be missing. After a join its newest entries have been delivered then. */
  synchronised(): Promise<void> {
    return this.#syncer.idle();
  }

  /** Stops reading from the server where the transport can, for applications that cannot keep up. */
  pause(): void {
    this.#paused = true;
    this.#link.connection?.pause();
  }

  resume(): void {
    this.#paused = false;
    this.#link.connection?.resume();
  }

  /** Reports delivered messages, closes the connection, and fails unanswered calls. The client cannot be used again. */
  async close(reason: ClientError = ClientError.local('CLIENT_CLOSED')): Promise<void> {
    this.#receipts.flush();
    this.#shut(reason);
    this.#failPending(reason);
    await this.#link.connection?.goodbye();
    await this.#run;
  }

  /**
   * Closes the client and ends its session: its tokens become invalid. With `everywhere` all sessions of the
   * user end. Rejects if the API server cannot be reached; the client is closed in any case.
   */
  async logout(options: { readonly everywhere?: boolean } = {}): Promise<void> {
    await this.close(ClientError.local('CLIENT_CLOSED'));
    await this.#credentials.logOut(options.everywhere ?? false);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  // The connection comes and goes.

  /** Sends a frame; false while there is no connection. */
  #write(type: FrameType, ref: number, key: bigint, payload: Uint8Array): boolean {
    const { connection } = this.#link;
    connection?.send(type, ref, key, payload);
    return connection !== undefined;
  }

  #onWelcome(welcome: Welcome): void {
    this.#sends.welcome(welcome);
    this.#receiver.welcome(welcome.user);
    this.#renewal.start(welcome);
    const displayName = this.#names.note(welcome.user, welcome.displayName || welcome.userName);
    if (this.#paused) this.#link.connection?.pause();
    this.#first.resolve();
    this.#events.emit({
      type: 'connected',
      session: welcome.session.toString(),
      user: welcome.user.toString(),
      userName: welcome.userName,
      displayName,
      device: welcome.device,
      gateway: welcome.gateway,
      connection: welcome.connection.toString(),
      resumed: welcome.resumed,
    });
    if (!this.#sends.isToRestore) this.#catchUp();
    else void this.#restore();
  }

  async #restore(): Promise<void> {
    const { connection } = this.#link;
    await this.#sends.restore();
    if (this.#link.connection === connection) this.#catchUp();
  }

  /** After WELCOME and RESYNC: frames in either direction may have been lost. */
  #catchUp(): void {
    this.#sends.outbox.resend();
    this.#requests.resend();
    this.#receipts.repeat();
    this.#shared.catchUp();
    this.#watcher.catchUp();
    this.#syncer.want(true);
  }

  #onGivenUp(error: ClientError, everWelcomed: boolean): void {
    this.#shut(error);
    // For this reason, also if who hears of it closes the client.
    this.#requests.failAll(error);
    if (everWelcomed) this.#emitDisconnected(error, undefined);
    this.#failPending(error);
  }

  #shut(reason: ClientError): void {
    if (this.#closed !== undefined) return;
    this.#closed = reason;
    this.#sends.close(reason);
    this.#receipts.stop();
    this.#first.reject(reason);
    this.#closing.abort();
  }

  #failPending(reason: ClientError): void {
    this.#requests.failAll(reason);
    this.#watcher.close(reason);
    this.#sends.outbox.failAll(reason);
  }

  #emitDisconnected({ code, message }: ClientError, retryInMs: number | undefined): void {
    this.#events.emit({ type: 'disconnected', code, reason: message, retryInMs });
  }

  /** Returns a ref, 1 to 65535, that no unanswered frame has. */
  #nextRef(): number {
    do this.#ref = (this.#ref % 0xffff) + 1;
    while (
      this.#sends.outbox.usesRef(this.#ref) ||
      this.#requests.usesRef(this.#ref) ||
      this.#renewal.usesRef(this.#ref) ||
      this.#watcher.usesRef(this.#ref)
    );
    return this.#ref;
  }
}

/** Turns a target into the fields of a SEND; throws ARGUMENT_INVALID. */
function toTarget(target: Target): Partial<Send> {
  return typeof target === 'string' ? { targetClientMsgId: target } : { target: toSeq(target) };
}
