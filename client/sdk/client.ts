/** The client: connects through the directory, keeps the connection up, and turns frames into promises and events. */
import { FrameType, type Welcome } from '../../proto/client.ts';
import { Conversations } from './conversations.ts';
import { fromRole, isId, toConversation, toKey } from './convert.ts';
import { Credentials, logOut } from './directory.ts';
import { ClientError } from './errors.ts';
import type {
  ClientEvent,
  ClientEventOf,
  Conversation,
  History,
  HistoryOptions,
  Member,
  Role,
  RoomList,
  RoomListOptions,
  RoomOptions,
  Sent,
} from './events.ts';
import { Emitter } from './events.ts';
import { Inbox } from './inbox.ts';
import type { GochatClientOptions, ResolvedOptions } from './options.ts';
import { resolveOptions } from './options.ts';
import { Outbox } from './outbox.ts';
import { Receipts } from './receipts.ts';
import { Receiver } from './receiver.ts';
import { Reconnector } from './reconnector.ts';
import { Requests } from './requests.ts';
import { Syncer } from './sync.ts';
import { TypingNotes } from './typing.ts';

/** Limit of Send.text until WELCOME names the server's, bytes of UTF-8. */
const DEFAULT_MAX_TEXT_BYTES = 16_384;

/**
 * A user's client on one device.
 *
 * It logs in, gets gateways from ipconf, connects, and stays connected until `close()` or until the server refuses it
 * for good. A send is durable when its promise resolves. Sends arrive in the order of the calls and, across reconnects,
 * once. `message` events come once each, in order within a conversation. Ids are unsigned 64-bit numbers in decimal.
 */
export class GochatClient {
  readonly #options: ResolvedOptions;
  readonly #credentials: Credentials;
  readonly #api: string | undefined;
  readonly #events = new Emitter();
  readonly #link: Reconnector;
  readonly #outbox: Outbox;
  readonly #requests: Requests;
  readonly #inbox: Inbox;
  readonly #receipts: Receipts;
  readonly #syncer: Syncer;
  readonly #receiver: Receiver;
  readonly #conversations: Conversations;
  readonly #typing = new TypingNotes((conversation, payload) =>
    this.#link.connection?.send(FrameType.TYPING, 0, conversation, payload),
  );
  readonly #closing = new AbortController();
  #sendCount = 0;
  #ref = 0;
  #maxTextBytes = DEFAULT_MAX_TEXT_BYTES;
  #paused = false;
  #run: Promise<void> | undefined;
  #closed: ClientError | undefined;
  readonly #first = Promise.withResolvers<void>();

  constructor(options: GochatClientOptions) {
    this.#options = resolveOptions(options);
    this.#api = options.api;
    this.#credentials = new Credentials(options, this.#options);
    this.#link = new Reconnector(this.#options, this.#credentials, this.#closing.signal, {
      onWelcome: (welcome) => this.#onWelcome(welcome),
      onFrame: (type, ref, key, payload) => {
        // Frames during the goodbye are dropped: a message reported as delivered would be lost.
        if (this.#closed === undefined) this.#receiver.frame(type, ref, key, payload);
      },
      onDown: () => {
        this.#receipts.stop();
        this.#outbox.disconnected();
      },
      onRetry: (error, retryInMs) => this.#emitDisconnected(error, retryInMs),
      onGivenUp: (error, everWelcomed) => this.#onGivenUp(error, everWelcomed),
    });
    const nextRef = () => this.#nextRef();
    this.#outbox = new Outbox(this.#options, {
      nextRef,
      write: (ref, key, payload) => this.#link.connection?.send(FrameType.SEND, ref, key, payload),
      onSent: (sent) => this.#events.emit({ type: 'sent', ...sent }),
      onFailed: (id, conversation, error) => this.#emitFailed(id, conversation.toString(), error),
      onStalled: () => this.#link.connection?.fail(ClientError.local('DEADLINE_EXCEEDED')),
    });
    this.#requests = new Requests(this.#options, {
      nextRef,
      write: (ref, key, payload) => this.#write(FrameType.REQUEST, ref, key, payload),
    });
    this.#receipts = new Receipts(this.#options.receiptDelayMs, (payload) =>
      this.#write(FrameType.RECEIPTS, 0, 0n, payload),
    );
    this.#inbox = new Inbox(
      (conversation, message) => this.#receiver.deliver(conversation, message),
      (conversation, seq) => this.#receipts.delivered(conversation, seq),
    );
    this.#syncer = new Syncer(this.#options, this.#inbox, this.#closing.signal, {
      call: (call) => this.#requests.call(call),
      answered: (page) => this.#receiver.answered(page),
      onOpened: ({ id: conversation, name, kind }) =>
        this.#events.emit({ type: 'opened', conversation, name, kind }),
      onGone: (gone) => this.#receiver.gone(gone),
      onSynced: (messages) => this.#events.emit({ type: 'synced', messages }),
      onError: (error) => this.#events.emit({ type: 'error', code: error.code, message: error.message }),
    });
    this.#receiver = new Receiver({
      events: this.#events,
      inbox: this.#inbox,
      outbox: this.#outbox,
      requests: this.#requests,
      syncer: this.#syncer,
      idPrefix: this.#options.idPrefix,
      onResync: (mark) => {
        this.#link.connection?.send(FrameType.RESYNCED, mark, 0n);
        this.#catchUp();
      },
    });
    this.#conversations = new Conversations(
      async (call, key) => {
        if (this.#closed !== undefined) throw this.#closed;
        return this.#requests.call(call, key);
      },
      this.#inbox,
      this.#syncer,
      this.#options.joinBacklog,
    );
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
    return this.#outbox.size;
  }

  /** Longest text that the server accepts, bytes of UTF-8. */
  get maxTextBytes(): number {
    return this.#maxTextBytes;
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

  /**
   * Sends a text to a conversation. Resolves once it is durable.
   *
   * Rejects at once with TEXT_EMPTY, TEXT_TOO_LONG, OUTBOX_FULL or ARGUMENT_INVALID; later with the server's refusal or
   * with CLIENT_CLOSED. While there is no connection the message waits in the outbox.
   */
  send(conversation: string, text: string): Promise<Sent> {
    const id = `${this.#options.idPrefix}${++this.#sendCount}`;
    const refusal = this.#refuse(conversation, text);
    const promise =
      refusal === undefined
        ? this.#outbox.add(id, BigInt(conversation), text)
        : Promise.reject<Sent>(refusal);
    if (refusal !== undefined) this.#emitFailed(id, conversation, refusal);
    // Listeners of the events need not handle the promise as well.
    promise.catch(() => {});
    return promise;
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

  /** Joins a room by name or id; no effect for a member. Its newest messages come as events. */
  joinRoom(room: string): Promise<Conversation> {
    return this.#conversations.open({ $case: 'joinRoom', joinRoom: { room } });
  }

  /** Lists the user's conversations, by descending activity. */
  listConversations(): Promise<readonly Conversation[]> {
    return this.#conversations.list();
  }

  /** Fetches one conversation. Rejects with NOT_A_MEMBER if this user is not in it. */
  async getConversation(id: string): Promise<Conversation> {
    const call = { $case: 'getConversation', getConversation: {} } as const;
    const { conversation } = await this.#conversations.call(call, 'conversation', id);
    return toConversation(conversation);
  }

  /** Lists all rooms, by ascending id, in pages. */
  listRooms(options: RoomListOptions = {}): Promise<RoomList> {
    return this.#conversations.rooms(options);
  }

  /** Returns a conversation as far as it is known; every conversation that sent a message is. */
  conversation(id: string): Conversation | undefined {
    return this.#inbox.conversation(toKey(id));
  }

  /** Returns messages from the log, by default the newest 50. */
  history(conversation: string, options: HistoryOptions = {}): Promise<History> {
    return this.#conversations.history(conversation, options);
  }

  /** Lists the members of a conversation, with who is online. */
  members(conversation: string): Promise<readonly Member[]> {
    return this.#conversations.members(conversation);
  }

  /** Resolves when no message is known to be missing. After a join its newest messages have been delivered then. */
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
   * Closes the client and ends its session: the access token becomes invalid. With `everywhere` all sessions of the
   * user end. Rejects if the API server cannot be reached; the client is closed in any case.
   */
  async logout(options: { readonly everywhere?: boolean } = {}): Promise<void> {
    const token = this.#credentials.held;
    await this.close(ClientError.local('CLIENT_CLOSED'));
    if (token === undefined) return;
    if (this.#api === undefined)
      throw ClientError.local('ARGUMENT_INVALID', {
        details: { what: 'A logout without the address of api' },
      });
    await logOut(this.#options, this.#api, token, options.everywhere ?? false);
    this.#credentials.invalidate();
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
    this.#receiver.welcome(welcome.user);
    if (welcome.maxTextBytes > 0) this.#maxTextBytes = welcome.maxTextBytes;
    if (this.#paused) this.#link.connection?.pause();
    this.#first.resolve();
    this.#events.emit({
      type: 'connected',
      session: welcome.session.toString(),
      user: welcome.user.toString(),
      userName: welcome.userName,
      device: welcome.device,
      gateway: welcome.gateway,
      connection: welcome.connection.toString(),
      resumed: welcome.resumed,
    });
    this.#catchUp();
  }

  /** After WELCOME and RESYNC: frames in either direction may have been lost. */
  #catchUp(): void {
    this.#outbox.resend();
    this.#requests.resend();
    this.#receipts.repeat();
    this.#syncer.want(true);
  }

  #onGivenUp(error: ClientError, everWelcomed: boolean): void {
    this.#shut(error);
    if (everWelcomed) this.#emitDisconnected(error, undefined);
    this.#failPending(error);
  }

  #shut(reason: ClientError): void {
    if (this.#closed !== undefined) return;
    this.#closed = reason;
    this.#receipts.stop();
    this.#first.reject(reason);
    this.#closing.abort();
  }

  #failPending(reason: ClientError): void {
    this.#requests.failAll(reason);
    this.#outbox.failAll(reason);
  }

  #emitDisconnected({ code, message }: ClientError, retryInMs: number | undefined): void {
    this.#events.emit({ type: 'disconnected', code, reason: message, retryInMs });
  }

  // Sends.

  #refuse(conversation: string, text: string): ClientError | undefined {
    if (this.#closed !== undefined) return this.#closed;
    if (!isId(conversation)) {
      return ClientError.local('ARGUMENT_INVALID', { details: { what: `The conversation ${conversation}` } });
    }
    if (text === '') return ClientError.local('TEXT_EMPTY');
    // A UTF-16 unit is at most three bytes of UTF-8, so most texts need not be encoded to check.
    const fits =
      text.length * 3 <= this.#maxTextBytes || new TextEncoder().encode(text).length <= this.#maxTextBytes;
    if (!fits) return ClientError.local('TEXT_TOO_LONG', { details: { max: this.#maxTextBytes } });
    if (this.#outbox.full) {
      return ClientError.local('OUTBOX_FULL', { details: { max: this.#options.outboxLimit } });
    }
    return undefined;
  }

  #emitFailed(clientMsgId: string, conversation: string, error: ClientError): void {
    const { code, message, retryable } = error;
    this.#events.emit({ type: 'failed', clientMsgId, conversation, code, message, retryable });
  }

  /** Returns a ref, 1 to 65535, that no unanswered frame has. */
  #nextRef(): number {
    do this.#ref = (this.#ref % 0xffff) + 1;
    while (this.#outbox.usesRef(this.#ref) || this.#requests.usesRef(this.#ref));
    return this.#ref;
  }
}
