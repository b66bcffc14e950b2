/** A client of the simple forms as a client of the protocol: it sends again, fills gaps and keeps the order for it. */
import { randomBytes } from 'node:crypto';
import { describe } from '../../common/mod.ts';
import {
  client,
  decodeHeader,
  encodeFrame,
  framePayload,
  frameRef,
  FrameType,
  frameType,
  MAX_WATCHED_CONVERSATIONS,
  PROTOCOL_VERSION,
} from '../../proto/mod.ts';
import { type ClientMessage, isId, type RoomNews, type ServerMessage } from './simple-messages.ts';
import { SimpleReads } from './simple-reads.ts';
import type { WireFault } from './ws-wire.ts';

/** Most messages that are not acknowledged; further ones are refused. */
const MAX_UNSENT = 100;
/** Most rooms that a connection follows. */
const MAX_ROOMS = 100;
/** How often a message is sent that may succeed later. */
const MAX_ATTEMPTS = 5;
const DEFAULT_RETRY_MS = 1_000;
/** Entries in a page of what was missed. */
const PAGE = 100;
const MAX_REF = 0xffff;

/** A message that is not acknowledged. */
interface Unsent {
  readonly key: bigint;
  readonly clientMsgId: string;
  readonly text: string;
  attempts: number;
}

/** A request that is not answered. */
interface Asked {
  readonly frame: Uint8Array;
  readonly onAnswer: (result: client.Response['result']) => void;
  /** @default the client is told */
  readonly onRefused?: (nack: client.Nack) => void;
}

/** A room that the connection follows. */
interface Followed {
  /** The last entry that the client was told or has sent. */
  seq: number;
  /** Whether a page of what was missed is under way. */
  catchingUp: boolean;
}

export interface SimpleSessionContext {
  /** Passes a frame to the gateway, as if the client had sent it. */
  readonly forward: (frame: Uint8Array) => void;
  readonly tell: (message: ServerMessage) => void;
}

export class SimpleSession {
  readonly #context: SimpleSessionContext;
  /** Distinguishes this connection's messages from all others of its user. */
  readonly #prefix = randomBytes(9).toString('base64url');
  readonly #followed = new Map<bigint, Followed>();
  /** In the order of the client. */
  readonly #unsent: Unsent[] = [];
  readonly #asked = new Map<number, Asked>();
  readonly #reads: SimpleReads;
  /** Whether the client is to be told that its `auth` succeeded. */
  #isAuthAwaited = false;
  #user = 0n;
  /** The room of messages that name none: the last one joined. */
  #room = 0n;
  #ref = 0;
  #count = 0;
  #retry: NodeJS.Timeout | undefined;

  constructor(context: SimpleSessionContext) {
    this.#context = context;
    this.#reads = new SimpleReads({
      send: (watch) => {
        const ref = this.#nextRef();
        this.#forward(FrameType.WATCH, ref, 0n, client.Watch.encode(watch).finish());
        return ref;
      },
      tell: (room, user, seq) => {
        if (user !== this.#user) this.#tellNews('read', room, { user, seq });
      },
    });
  }

  /** Carries out a client's message; returns why it cannot be. */
  take(message: ClientMessage): WireFault | undefined {
    switch (message.type) {
      case 'auth':
        this.#authenticate(message.token);
        return undefined;
      case 'join':
        return this.#join(message.room);
      default:
        return this.#takeOfRoom(message, message.roomId ?? this.#room);
    }
  }

  /** Takes a frame of the server. */
  onFrame(frame: Uint8Array): void {
    const payload = framePayload(frame);
    const { key, ref } = decodeHeader(frame);
    switch (frameType(frame)) {
      case FrameType.WELCOME:
        this.#onWelcome(client.Welcome.decode(payload));
        break;
      case FrameType.MESSAGE:
        this.#onMessage(key, client.Message.decode(payload));
        break;
      case FrameType.SENT:
        this.#onSent(key, client.Sent.decode(payload));
        break;
      case FrameType.RESPONSE:
        this.#answered(ref)?.onAnswer(client.Response.decode(payload).result);
        break;
      case FrameType.NACK:
        this.#onNack(ref, client.Nack.decode(payload));
        break;
      case FrameType.RESYNC:
        this.#onResync(frameRef(frame));
        break;
      case FrameType.TYPING:
        this.#onTyping(key, client.Typing.decode(payload));
        break;
      case FrameType.WATCHED:
        this.#reads.onWatched(ref, client.Watched.decode(payload));
        break;
      case FrameType.READ:
        this.#reads.onRead(key, client.Read.decode(payload));
        break;
      case FrameType.MEMBERS_CHANGED:
        this.#onMembers(key, client.MembersChanged.decode(payload));
        break;
      case FrameType.CLOSE: {
        const { code, reason } = client.Close.decode(payload);
        this.#context.tell({ type: 'error', code, message: reason });
      }
    }
  }

  close(): void {
    clearTimeout(this.#retry);
    this.#reads.close();
  }

  #takeOfRoom(
    message: Exclude<ClientMessage, { type: 'auth' | 'join' }>,
    key: bigint,
  ): WireFault | undefined {
    if (key === 0n)
      return { code: 'JSON_INVALID', details: { what: 'room_id is missing, and no room is joined' } };
    switch (message.type) {
      case 'message':
        this.#send(key, message.content);
        break;
      case 'typing':
        this.#forward(FrameType.TYPING, 0, key, client.Typing.encode(client.Typing.create()).finish());
        break;
      case 'read': {
        const receipt = {
          conversation: key,
          deliveredSeq: 0n,
          readSeq: BigInt(message.seq),
          readEpoch: 0n,
          thread: 0n,
        };
        this.#forward(FrameType.RECEIPTS, 0, 0n, client.Receipts.encode({ receipts: [receipt] }).finish());
        break;
      }
      default:
        this.#leave(key);
    }
    return undefined;
  }

  #authenticate(token: string): void {
    if (this.#user !== 0n) {
      this.#forward(FrameType.AUTH, 0, 0n, client.Auth.encode({ token }).finish());
      return;
    }
    this.#isAuthAwaited = true;
    const hello = client.Hello.fromPartial({
      versionMin: PROTOCOL_VERSION,
      versionMax: PROTOCOL_VERSION,
      token,
    });
    this.#forward(FrameType.HELLO, 0, 0n, client.Hello.encode(hello).finish());
  }

  #onWelcome({ user, userName, conversation }: client.Welcome): void {
    this.#user = user;
    if (this.#isAuthAwaited) this.#context.tell({ type: 'auth', user_id: String(user), user_name: userName });
    if (conversation !== undefined) this.#follow(conversation);
  }

  /** Follows a conversation of the client, which may be a direct one, else joins the room. */
  #join(room: string): WireFault | undefined {
    if (this.#followed.size >= MAX_ROOMS)
      return { code: 'JSON_INVALID', details: { what: `a connection follows at most ${MAX_ROOMS} rooms` } };
    const onAnswer: Asked['onAnswer'] = (result) => {
      if (result?.$case === 'conversation') this.#follow(result.conversation);
    };
    const join = () => this.#ask(0n, { $case: 'joinRoom', joinRoom: { room } }, { onAnswer });
    if (!isId(room)) join();
    else
      this.#ask(
        BigInt(room),
        { $case: 'getConversation', getConversation: {} },
        { onAnswer, onRefused: (nack) => (nack.code === 'NOT_A_MEMBER' ? join() : this.#refuse(nack)) },
      );
    return undefined;
  }

  #follow({ id, lastSeq }: client.Conversation): void {
    this.#room = id;
    if (!this.#followed.has(id)) {
      this.#followed.set(id, { seq: Number(lastSeq), catchingUp: false });
      this.#followReads();
    }
    this.#tellNews('join', id, { user: this.#user });
  }

  /** Ends the subscription of this connection; the user stays a member. */
  #leave(key: bigint): void {
    if (this.#followed.delete(key)) this.#followReads();
    if (this.#room === key) this.#room = 0n;
    this.#tellNews('leave', key, { user: this.#user });
  }

  /** Of the rooms that were joined last. */
  #followReads(): void {
    this.#reads.follow([...this.#followed.keys()].slice(-MAX_WATCHED_CONVERSATIONS));
  }

  #send(key: bigint, text: string): void {
    if (this.#unsent.length >= MAX_UNSENT) {
      this.#context.tell({
        type: 'error',
        code: 'RATE_LIMITED',
        message: describe({ code: 'RATE_LIMITED' }),
      });
      return;
    }
    const unsent = { key, text, clientMsgId: `${this.#prefix}-${++this.#count}`, attempts: 0 };
    this.#unsent.push(unsent);
    // What waits for its next attempt must not be overtaken.
    if (this.#retry === undefined) this.#submit(unsent);
  }

  #submit(unsent: Unsent): void {
    unsent.attempts++;
    const send = client.Send.fromPartial({ clientMsgId: unsent.clientMsgId, text: unsent.text });
    this.#forward(FrameType.SEND, this.#nextRef(), unsent.key, client.Send.encode(send).finish());
  }

  #onSent(key: bigint, { clientMsgId, seq, atMs }: client.Sent): void {
    const at = this.#unsent.findIndex((unsent) => unsent.clientMsgId === clientMsgId);
    if (at < 0) return;
    this.#unsent.splice(at, 1);
    this.#context.tell({
      type: 'sent',
      room_id: String(key),
      message_id: Number(seq),
      timestamp: new Date(Number(atMs)).toISOString(),
    });
    this.#advance(key, Number(seq));
  }

  #onNack(ref: number, nack: client.Nack): void {
    if (this.#reads.refused(ref, nack)) return;
    const asked = this.#answered(ref);
    if (asked !== undefined) {
      if (asked.onRefused === undefined) this.#refuse(nack);
      else asked.onRefused(nack);
      return;
    }
    // The RESYNC that is due, or has come already, sends it again.
    if (nack.code === 'RESYNC_REQUIRED') return;
    const at = this.#unsent.findIndex((each) => each.clientMsgId === nack.clientMsgId);
    const unsent = this.#unsent[at];
    // A late refusal of an earlier attempt.
    if (unsent === undefined && nack.clientMsgId !== '') return;
    if (unsent !== undefined && nack.retryable && unsent.attempts < MAX_ATTEMPTS) {
      this.#retry ??= setTimeout(() => this.#submitAll(), nack.retryAfterMs || DEFAULT_RETRY_MS);
      return;
    }
    if (unsent !== undefined) this.#unsent.splice(at, 1);
    this.#refuse(nack);
  }

  #onResync(ref: number): void {
    this.#forward(FrameType.RESYNCED, ref, 0n);
    this.#submitAll();
    for (const { frame } of this.#asked.values()) this.#context.forward(frame);
    for (const [key, followed] of this.#followed) if (!followed.catchingUp) this.#catchUp(key, followed);
    if (this.#followed.size > 0) this.#reads.repeat();
  }

  #submitAll(): void {
    clearTimeout(this.#retry);
    this.#retry = undefined;
    for (const unsent of this.#unsent) this.#submit(unsent);
  }

  #onMessage(key: bigint, message: client.Message): void {
    if (this.#advance(key, Number(message.seq))) this.#tellMessage(key, message);
  }

  /** Moves a room to an entry that has come; returns whether it is the next one. Else what is between is asked for. */
  #advance(key: bigint, seq: number): boolean {
    const followed = this.#followed.get(key);
    if (followed === undefined || followed.catchingUp || seq <= followed.seq) return false;
    if (seq === followed.seq + 1) {
      followed.seq = seq;
      return true;
    }
    this.#catchUp(key, followed);
    return false;
  }

  #catchUp(key: bigint, followed: Followed): void {
    followed.catchingUp = true;
    const at = { point: { $case: 'afterSeq', afterSeq: BigInt(followed.seq) } } as const;
    this.#ask(
      key,
      { $case: 'getHistory', getHistory: { limit: PAGE, at } },
      {
        onAnswer: (result) => {
          followed.catchingUp = false;
          if (result?.$case !== 'history' || this.#followed.get(key) !== followed) return;
          const { messages, moreAfter } = result.history;
          for (const message of messages) {
            followed.seq = Number(message.seq);
            this.#tellMessage(key, message);
          }
          if (moreAfter && messages.length > 0) this.#catchUp(key, followed);
        },
        onRefused: (nack) => {
          followed.catchingUp = false;
          this.#refuse(nack);
        },
      },
    );
  }

  /** Tells of a message of somebody else or of another device; other entries are not shown. */
  #tellMessage(key: bigint, message: client.Message): void {
    const { kind, sender, from, text, seq, atMs, clientMsgId, retraction } = message;
    if (kind !== client.EntryKind.ENTRY_KIND_MESSAGE || retraction !== undefined) return;
    if (sender === this.#user && clientMsgId.startsWith(`${this.#prefix}-`)) return;
    this.#tellNews('message', key, { user: sender, name: from, content: text, seq, atMs });
  }

  #onTyping(key: bigint, { user, name, stopped }: client.Typing): void {
    if (!stopped && this.#followed.has(key)) this.#tellNews('typing', key, { user, name });
  }

  #onMembers(key: bigint, { change, user, name }: client.MembersChanged): void {
    if (!this.#followed.has(key)) return;
    const { MemberChange } = client;
    const isSelf = user === this.#user || change === MemberChange.MEMBER_CHANGE_DELETED;
    if (change === MemberChange.MEMBER_CHANGE_JOINED && !isSelf) this.#tellNews('join', key, { user, name });
    else if (change === MemberChange.MEMBER_CHANGE_ROLE || change === MemberChange.MEMBER_CHANGE_JOINED)
      return;
    else if (isSelf) this.#leave(key);
    else this.#tellNews('leave', key, { user, name });
  }

  #tellNews(
    type: RoomNews['type'],
    key: bigint,
    news: { user: bigint; name?: string; content?: string; seq?: bigint; atMs?: bigint },
  ): void {
    const { user, name = '', content = '', seq, atMs } = news;
    this.#context.tell({
      type,
      user_id: String(user),
      user_name: name,
      room_id: String(key),
      content,
      ...(seq !== undefined && { message_id: Number(seq) }),
      timestamp: new Date(atMs === undefined ? Date.now() : Number(atMs)).toISOString(),
    });
  }

  #refuse({ code, message }: client.Nack): void {
    this.#context.tell({ type: 'error', code, message });
  }

  #ask(key: bigint, call: NonNullable<client.Request['call']>, asked: Omit<Asked, 'frame'>): void {
    const ref = this.#nextRef();
    const frame = encodeFrame(FrameType.REQUEST, ref, key, client.Request.encode({ call }).finish());
    this.#asked.set(ref, { frame, ...asked });
    this.#context.forward(frame);
  }

  #answered(ref: number): Asked | undefined {
    const asked = this.#asked.get(ref);
    this.#asked.delete(ref);
    return asked;
  }

  #nextRef(): number {
    this.#ref = (this.#ref % MAX_REF) + 1;
    return this.#ref;
  }

  #forward(type: FrameType, ref: number, key: bigint, payload?: Uint8Array): void {
    this.#context.forward(encodeFrame(type, ref, key, payload));
  }
}
