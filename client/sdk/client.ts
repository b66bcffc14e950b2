/** The client: connects through the directory, keeps the connection, and turns frames into promises and events. */
import type {
  Conversation as WireConversation,
  Gone,
  Message,
  Response as ResponseFrame,
} from '../../proto/client.ts';
import {
  ConversationKind,
  FrameType,
  MemberChange,
  MembersChanged,
  Message as MessagePayload,
  Nack as NackPayload,
  Response as ResponsePayload,
  Sent as SentPayload,
  Typing as TypingPayload,
  type Welcome,
} from '../../proto/client.ts';
import { Credentials, logOut } from './directory.ts';
import { ClientError } from './errors.ts';
import type {
  ClientEvent,
  ClientEventOf,
  Conversation,
  History,
  HistoryOptions,
  LeaveReason,
  Member,
  RoomOptions,
  Sent,
} from './events.ts';
import { Emitter } from './events.ts';
import { isId, randomPrefix, toChatMessage, toConversation, toKey } from './convert.ts';
import { Inbox } from './inbox.ts';
import type { GochatClientOptions, ResolvedOptions } from './options.ts';
import { resolveOptions } from './options.ts';
import { Outbox } from './outbox.ts';
import { Receipts } from './receipts.ts';
import { Reconnector } from './reconnector.ts';
import type { Call, Result } from './requests.ts';
import { Requests } from './requests.ts';
import { Syncer } from './sync.ts';
import { TypingNotes } from './typing.ts';

/** Limit of Send.text until WELCOME has told the server's, bytes of UTF-8. */
const DEFAULT_MAX_TEXT_BYTES = 16_384;

/** What MEMBERS_CHANGED tells of others; the rest concerns this user too. */
const CHANGES: { readonly [change: number]: 'joined' | 'left' | 'removed' | undefined } = {
  [MemberChange.MEMBER_CHANGE_JOINED]: 'joined',
  [MemberChange.MEMBER_CHANGE_LEFT]: 'left',
  [MemberChange.MEMBER_CHANGE_REMOVED]: 'removed',
};

const REASONS: { readonly [reason: number]: LeaveReason | undefined } = {
  [MemberChange.MEMBER_CHANGE_LEFT]: 'left',
  [MemberChange.MEMBER_CHANGE_REMOVED]: 'removed',
};

/**
 * A user's client on one device.
 *
 * It logs in, asks ipconf for gateways, connects, and from then on keeps connected until `close()` or until the server
 * says that it must not come back. Sends are durable when their promise resolves; they are sent in the order of the
 * calls and, across reconnects, once. `message` events come once each and in order within a conversation. Ids are
 * unsigned 64-bit numbers in decimal.
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
  readonly #typing = new TypingNotes((conversation, payload) =>
    this.#link.connection?.send(FrameType.TYPING, 0, conversation, payload),
  );
  readonly #closing = new AbortController();
  /** Begins every client_msg_id of this client, so that it knows its own messages in the log. */
  readonly #idPrefix = randomPrefix();
  #sendCount = 0;
  #ref = 0;
  #user = 0n;
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
      onFrame: (type, ref, key, payload) => this.#onFrame(type, ref, key, payload),
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
      write: (ref, key, payload) => this.#link.connection?.send(FrameType.REQUEST, ref, key, payload),
    });
    this.#receipts = new Receipts(this.#options.receiptDelayMs, (payload) => {
      this.#link.connection?.send(FrameType.RECEIPTS, 0, 0n, payload);
      return this.#link.connection !== undefined;
    });
    this.#inbox = new Inbox(
      (conversation, message) => this.#deliver(conversation, message),
      (conversation, seq) => this.#receipts.delivered(conversation, seq),
    );
    this.#syncer = new Syncer(this.#options, this.#inbox, this.#closing.signal, {
      call: (call) => this.#requests.call(call),
      onGone: (gone) => this.#onGone(gone),
      onSynced: (messages) => this.#events.emit({ type: 'synced', messages }),
      onError: (error) => this.#events.emit({ type: 'error', code: error.code, message: error.message }),
    });
    // connect() may never be called, and close() rejects this: nobody is told twice.
    this.#first.promise.catch(() => {});
    if (options.signal !== undefined) {
      const { signal } = options;
      const abort = () => void this.close();
      if (signal.aborted) abort();
      else signal.addEventListener('abort', abort, { once: true, signal: this.#closing.signal });
    }
  }

  /** How many sends have no answer yet. */
  get pendingSends(): number {
    return this.#outbox.size;
  }

  /** Longest text that the server takes, bytes of UTF-8. */
  get maxTextBytes(): number {
    return this.#maxTextBytes;
  }

  /** Calls the listener for each event of a type, synchronously; returns the function that ends it. */
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
   * Sends a text to a conversation; resolves once it is durable.
   *
   * Rejects with TEXT_EMPTY, TEXT_TOO_LONG, OUTBOX_FULL or ARGUMENT_INVALID at once, with what the server says, or
   * with CLIENT_CLOSED. While there is no connection the message waits in the outbox.
   */
  send(conversation: string, text: string): Promise<Sent> {
    const id = `${this.#idPrefix}${++this.#sendCount}`;
    const refusal = this.#refuse(conversation, text);
    const promise =
      refusal === undefined
        ? this.#outbox.add(id, BigInt(conversation), text)
        : Promise.reject<Sent>(refusal);
    if (refusal !== undefined) this.#emitFailed(id, conversation, refusal);
    // Those who listen to the events need not look at the promise as well.
    promise.catch(() => {});
    return promise;
  }

  /** Tells the others that the user is typing, or has stopped; call it with each key: at most one in 3 s is sent. */
  typing(conversation: string, stopped = false): void {
    if (isId(conversation)) this.#typing.tell(BigInt(conversation), stopped);
  }

  /** Opens the direct conversation with a user, made if need be. */
  openDirect(userName: string): Promise<Conversation> {
    return this.#open({ $case: 'openDirect', openDirect: { userName } });
  }

  /** Makes a room, which this user then owns. */
  createRoom(name: string, options: RoomOptions = {}): Promise<Conversation> {
    const { hideHistory = false } = options;
    return this.#open({ $case: 'createRoom', createRoom: { name, hideHistory } });
  }

  /** Leaves a room; a `left` event follows when its last messages have come. */
  leaveRoom(conversation: string): Promise<void> {
    return this.#change(conversation, { $case: 'leaveRoom', leaveRoom: {} });
  }

  /** Makes another user, by name or id, leave a room that this user owns. */
  removeMember(conversation: string, user: string): Promise<void> {
    return this.#change(conversation, { $case: 'removeMember', removeMember: { user } });
  }

  /** Deletes a room that this user owns, and all that was said in it. */
  deleteRoom(conversation: string): Promise<void> {
    return this.#change(conversation, { $case: 'deleteRoom', deleteRoom: {} });
  }

  /** Tells the server that the user has read a conversation up to a message; it counts on all devices. */
  markRead(conversation: string, seq: number): void {
    this.#receipts.read(toKey(conversation), seq);
  }

  /** Joins a room by name or id; without effect for a member. The newest messages before come as events. */
  joinRoom(room: string): Promise<Conversation> {
    return this.#open({ $case: 'joinRoom', joinRoom: { room } });
  }

  /** Lists the user's conversations, by descending activity. */
  async listConversations(): Promise<readonly Conversation[]> {
    const result = await this.#call({ $case: 'listConversations', listConversations: {} }, 'conversations');
    return result.conversations.conversations.map(toConversation);
  }

  /** Returns what is known of a conversation; each that a message came from is. */
  conversation(id: string): Conversation | undefined {
    return this.#inbox.conversation(toKey(id));
  }

  async history(conversation: string, options: HistoryOptions = {}): Promise<History> {
    const getHistory = { beforeSeq: BigInt(options.beforeSeq ?? 0), limit: options.limit ?? 50 };
    const result = await this.#call({ $case: 'getHistory', getHistory }, 'history', conversation);
    const messages = result.history.messages.map((message) => toChatMessage(conversation, message));
    return { messages, more: result.history.more };
  }

  async members(conversation: string): Promise<readonly Member[]> {
    const result = await this.#call({ $case: 'getMembers', getMembers: {} }, 'members', conversation);
    return result.members.members.map(({ user, name, online }) => ({ user: user.toString(), name, online }));
  }

  /** Resolves when no message is known to be missing: after a join, its newest messages have been delivered. */
  synchronised(): Promise<void> {
    return this.#syncer.idle();
  }

  /** Stops reading from the server where the transport can; for users that cannot keep up. */
  pause(): void {
    this.#paused = true;
    this.#link.connection?.pause();
  }

  resume(): void {
    this.#paused = false;
    this.#link.connection?.resume();
  }

  /** Reports what was delivered, says goodbye, and fails what has no answer; the client cannot be used again. */
  async close(reason: ClientError = ClientError.local('CLIENT_CLOSED')): Promise<void> {
    this.#receipts.flush();
    this.#shut(reason);
    this.#failPending(reason);
    await this.#link.connection?.goodbye();
    await this.#run;
  }

  /**
   * Closes the client and ends its session: the access token is good for nothing any more. With `everywhere` all
   * sessions of the user end. Rejects where the API server cannot be reached; the client is closed all the same.
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

  #onWelcome(welcome: Welcome): void {
    this.#user = welcome.user;
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

  /** After WELCOME and RESYNC: what was on the way in either direction may be lost. */
  #catchUp(): void {
    this.#outbox.resend();
    this.#requests.resend();
    this.#receipts.flush();
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

  // Frames.

  #onFrame(type: number, ref: number, key: bigint, payload: Uint8Array): void {
    // What still comes while the goodbye is under way is nobody's any more: reported as delivered it would be lost.
    if (this.#closed !== undefined) return;
    switch (type) {
      case FrameType.MESSAGE: {
        const message = MessagePayload.decode(payload);
        this.#take(key, Number(message.seq), message);
        break;
      }
      case FrameType.SENT: {
        const { clientMsgId, seq, id, atMs, duplicate } = SentPayload.decode(payload);
        const receipt = { seq: Number(seq), id: id.toString(), atMs: Number(atMs), duplicate };
        this.#outbox.committed(clientMsgId, receipt);
        this.#take(key, receipt.seq, undefined);
        break;
      }
      case FrameType.NACK: {
        const nack = NackPayload.decode(payload);
        if (!this.#requests.refused(ref, nack)) this.#outbox.refused(ref, nack);
        break;
      }
      case FrameType.RESPONSE: {
        const response: ResponseFrame = ResponsePayload.decode(payload);
        this.#requests.answered(ref, response);
        break;
      }
      case FrameType.TYPING: {
        const { user, name, stopped } = TypingPayload.decode(payload);
        const conversation = key.toString();
        this.#events.emit({ type: 'typing', conversation, user: user.toString(), name, stopped });
        break;
      }
      case FrameType.MEMBERS_CHANGED:
        this.#onMembersChanged(key, MembersChanged.decode(payload));
        break;
      case FrameType.RESYNC:
        this.#link.connection?.send(FrameType.RESYNCED, ref, 0n);
        this.#catchUp();
        break;
      default:
      // A later version of the protocol may send more types: they are for clients that know them.
    }
  }

  #onMembersChanged(key: bigint, { change, user, name, by, afterSeq }: MembersChanged): void {
    const what = CHANGES[change];
    // What became of this user itself the log tells, behind the last messages.
    if (what === undefined || user === this.#user) {
      if (change !== MemberChange.MEMBER_CHANGE_JOINED) this.#syncer.want(false);
      return;
    }
    const conversation = key.toString();
    this.#events.emit({
      type: 'member',
      conversation,
      change: what,
      user: user.toString(),
      name,
      by,
      afterSeq: Number(afterSeq),
    });
  }

  #onGone({ conversation, reason }: Gone): void {
    const known = this.#inbox.forget(conversation);
    const why = REASONS[reason] ?? 'deleted';
    const { name = '' } = known ?? {};
    this.#events.emit({ type: 'left', conversation: conversation.toString(), name, reason: why });
  }

  #take(conversation: bigint, seq: number, message: Message | undefined): void {
    this.#inbox.push(conversation, seq, message);
    if (!this.#inbox.incomplete) return;
    // Of a conversation that is new here only the log knows where it begins.
    if (this.#inbox.knows(conversation)) this.#syncer.wantIfIncomplete();
    else this.#syncer.want(false);
  }

  #deliver(conversation: bigint, message: Message): void {
    if (message.sender === this.#user && message.clientMsgId.startsWith(this.#idPrefix)) {
      // An own send that the log shows: its SENT is late or lost. What is settled already is not told twice.
      const { seq, id, atMs } = message;
      const receipt = { seq: Number(seq), id: id.toString(), atMs: Number(atMs), duplicate: undefined };
      this.#outbox.committed(message.clientMsgId, receipt);
      return;
    }
    this.#events.emit({ type: 'message', ...toChatMessage(conversation.toString(), message) });
  }

  // Sends and calls.

  #refuse(conversation: string, text: string): ClientError | undefined {
    if (this.#closed !== undefined) return this.#closed;
    if (!isId(conversation)) {
      return ClientError.local('ARGUMENT_INVALID', { details: { what: `The conversation ${conversation}` } });
    }
    if (text === '') return ClientError.local('TEXT_EMPTY');
    // A UTF-16 unit is at most three bytes of UTF-8, so that most texts need no encoding to know.
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

  /** Makes a call that changes who is in a room; resolves when its effect on this client has come. */
  async #change(conversation: string, call: Call): Promise<void> {
    await this.#call(call, 'done', conversation);
    this.#syncer.want(false);
    await this.#syncer.idle();
  }

  #open(call: Call): Promise<Conversation> {
    return this.#syncer.holdWhile(async () => {
      const { conversation: wire } = await this.#call(call, 'conversation');
      const isNew = !this.#inbox.knows(wire.id);
      const conversation = this.#inbox.adopt(wire, this.#beginning(wire));
      if (isNew) this.#syncer.want(false);
      return conversation;
    });
  }

  /** Where a conversation begins that is new to this client: its device's cursor, or a room's recent past. */
  #beginning({ kind, deliveredSeq, lastSeq }: WireConversation): number {
    const delivered = Number(deliveredSeq);
    const joined = kind === ConversationKind.CONVERSATION_KIND_ROOM && delivered === 0;
    // Before the first synchronisation it may be an old room of which this device has missed more.
    if (!joined || !this.#syncer.completed) return delivered;
    return Math.max(0, Number(lastSeq) - this.#options.joinBacklog);
  }

  async #call<Case extends Result['$case']>(
    call: Call,
    expected: Case,
    conversation?: string,
  ): Promise<Extract<Result, { $case: Case }>> {
    if (this.#closed !== undefined) throw this.#closed;
    const key = conversation === undefined ? 0n : toKey(conversation);
    const result = await this.#requests.call(call, key);
    if (result.$case !== expected) throw ClientError.local('FRAME_INVALID');
    return result as Extract<Result, { $case: Case }>;
  }

  /** Returns a ref, 1 to 65535, that nothing unanswered bears. */
  #nextRef(): number {
    do this.#ref = (this.#ref % 0xffff) + 1;
    while (this.#outbox.usesRef(this.#ref) || this.#requests.usesRef(this.#ref));
    return this.#ref;
  }
}
