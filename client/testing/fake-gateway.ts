/** A gateway for tests: a real TCP server that speaks the protocol on a FakeChat, with faults on request. */
import type { AddressInfo, Socket } from 'node:net';
import { createServer } from 'node:net';
import {
  Auth,
  Authed,
  Close,
  decodeHeader,
  encodeFrame,
  type FrameHeader,
  FrameParser,
  framePayload,
  FrameType,
  Hello,
  MemberChange,
  MembersChanged,
  Message,
  Nack,
  PROTOCOL_VERSION,
  Receipts,
  Request,
  Response,
  Presence,
  Role,
  Self,
  Send,
  Sent,
  type Sync,
  type UserPresence,
  Watch,
  Watched,
  Welcome,
} from '../../proto/client.ts';
import { FakeChat } from './fake-chat.ts';

export interface ReceivedFrame extends FrameHeader {
  readonly payload: Uint8Array;
}

/** The fate of a SEND: normal, a refusal, or one of the losses that a RESYNC follows. */
export type SendFate =
  | 'accept'
  | 'lose'
  | 'lose-answer'
  | { readonly nack: string; readonly retryAfterMs?: number };

export class FakeConnection {
  readonly hello: Hello;
  readonly user: bigint;
  fenced = false;
  readonly #socket: Socket;

  constructor(socket: Socket, hello: Hello, user: bigint) {
    this.#socket = socket;
    this.hello = hello;
    this.user = user;
  }

  send(type: FrameType, ref: number, key: bigint, payload?: Uint8Array): void {
    if (this.#socket.writable) this.#socket.write(encodeFrame(type, ref, key, payload));
  }

  write(bytes: Uint8Array): void {
    this.#socket.write(bytes);
  }

  /** Acts as after a broken route: nothing passes until the client has answered. */
  resync(mark = 1): void {
    this.fenced = true;
    this.send(FrameType.RESYNC, mark, 0n);
  }

  close(code: string, retryable: boolean, retryAfterMs = 0, redirect?: FakeGateway): void {
    const close = Close.encode({
      code,
      reason: `test: ${code}`,
      retryable,
      retryAfterMs,
      elsewhere: redirect && { host: '127.0.0.1', port: redirect.port, wsPort: 0, tls: false },
    }).finish();
    this.send(FrameType.CLOSE, 0, 0n, close);
    this.#socket.end();
  }

  destroy(): void {
    this.#socket.destroy();
  }
}

export class FakeGateway implements AsyncDisposable {
  readonly chat: FakeChat;
  readonly connections = new Set<FakeConnection>();
  /** Every frame that came, in order. */
  readonly received: ReceivedFrame[] = [];
  readonly hellos: Hello[] = [];
  /** Decides the fate of each SEND of an unfenced connection. */
  /** WATCHes that came, newest last. */
  readonly watches: Watch[] = [];
  fate: (send: Send, connection: FakeConnection) => SendFate = () => 'accept';
  /** Decides on HELLO; a CLOSE code refuses it. */
  admit: (hello: Hello) => { code: string; retryable: boolean } | undefined = () => undefined;
  /** Calls of these kinds get no answer. */
  readonly mute = new Set<string>();
  /** Answers to calls of these kinds: a NACK. */
  readonly refuse = new Map<string, { code: string; retryable: boolean }>();
  /** Whether committed messages are pushed to the members. */
  pushes = true;
  heartbeatIntervalMs = 30_000;
  maxTextBytes = 16_384;
  /** How long the token of a connection is good, ms; 0: forever. */
  tokenMs = 0;
  /** Tokens that AUTH brought. */
  readonly tokens: string[] = [];
  readonly #server = createServer({ noDelay: true }, (socket) => this.#accept(socket));
  readonly #sockets = new Set<Socket>();
  #sessions = 0n;

  constructor(chat = new FakeChat()) {
    this.chat = chat;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get only(): FakeConnection {
    const [connection] = this.connections;
    if (connection === undefined || this.connections.size > 1) throw new Error('not exactly one connection');
    return connection;
  }

  async start(): Promise<this> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#server.once('error', reject);
    this.#server.listen(0, '127.0.0.1', resolve);
    await promise;
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#server.close(() => resolve());
    for (const socket of this.#sockets) socket.destroy();
    await promise;
  }

  framesOf(type: FrameType): ReceivedFrame[] {
    return this.received.filter((frame) => frame.type === type);
  }

  /** Synchronisations received. */
  syncs(): Sync[] {
    return this.framesOf(FrameType.REQUEST).flatMap(({ payload }) => {
      const { call } = Request.decode(payload);
      return call?.$case === 'sync' ? [call.sync] : [];
    });
  }

  /** Commits a message of a user who is not connected here, and pushes it. */
  say(conversation: bigint, sender: bigint, text: string, push = this.pushes): Message {
    return this.act(conversation, sender, { text }, push);
  }

  /** Commits an entry of a user who is not connected here, and pushes it. */
  act(conversation: bigint, sender: bigint, send: Partial<Send>, push = this.pushes): Message {
    const clientMsgId = `say-${this.chat.conversations.get(conversation)?.log.length}`;
    const appended = this.chat.append(conversation, sender, { clientMsgId, text: '', ...send });
    if (typeof appended === 'string') throw new Error(appended);
    if (push) this.push(conversation, appended.message);
    return appended.message;
  }

  push(conversation: bigint, message: Message, except?: FakeConnection): void {
    const members = this.chat.conversations.get(conversation)?.members;
    const payload = Message.encode(this.chat.pushed(conversation, message)).finish();
    for (const connection of this.connections) {
      if (connection === except || members?.has(connection.user) !== true) continue;
      connection.send(FrameType.MESSAGE, 0, conversation, payload);
    }
  }

  /** Pushes a change of members to a conversation's members and one more user. */
  tell(conversation: bigint, also: bigint, change: Partial<MembersChanged>): void {
    const members = this.chat.conversations.get(conversation)?.members;
    const payload = MembersChanged.encode(MembersChanged.fromPartial(change)).finish();
    for (const connection of this.connections) {
      if (connection.user === also || members?.has(connection.user) === true)
        connection.send(FrameType.MEMBERS_CHANGED, 0, conversation, payload);
    }
  }

  #accept(socket: Socket): void {
    this.#sockets.add(socket);
    let connection: FakeConnection | undefined;
    const parser = new FrameParser(262_144);
    socket.on('data', (chunk) => {
      parser.push(chunk, (frame) => {
        const header = decodeHeader(frame);
        const payload = framePayload(frame).slice();
        this.received.push({ ...header, payload });
        if (connection === undefined) connection = this.#hello(socket, header, payload);
        else this.#onFrame(connection, header, payload);
        return true;
      });
    });
    // A reset by the client ends the connection like a FIN.
    socket.on('error', () => {});
    socket.on('close', () => {
      this.#sockets.delete(socket);
      if (connection !== undefined) this.connections.delete(connection);
    });
  }

  #hello(socket: Socket, { type }: FrameHeader, payload: Uint8Array): FakeConnection | undefined {
    if (type !== FrameType.HELLO) throw new Error(`frame ${type} before HELLO`);
    const hello = Hello.decode(payload);
    this.hellos.push(hello);
    const user = this.chat.users.get(hello.token.split('.')[0] ?? '') ?? 0n;
    const connection = new FakeConnection(socket, hello, user);
    const refusal = this.admit(hello);
    if (refusal !== undefined) {
      connection.close(refusal.code, refusal.retryable);
      return connection;
    }
    this.connections.add(connection);
    const welcome = Welcome.fromPartial({
      version: PROTOCOL_VERSION,
      session: hello.session || ++this.#sessions,
      user,
      userName: this.chat.nameOf(user),
      device: hello.device || 'unnamed-1',
      gateway: 'fake',
      connection: 7n,
      heartbeatIntervalMs: this.heartbeatIntervalMs,
      maxFrameBytes: 262_144,
      maxTextBytes: this.maxTextBytes,
      resumed: hello.session !== 0n,
      serverTimeMs: BigInt(Date.now()),
      tokenExpiresAtMs: this.#expiry(),
      displayName: this.chat.displayNameOf(user),
    });
    connection.send(FrameType.WELCOME, 0, 0n, Welcome.encode(welcome).finish());
    return connection;
  }

  #onFrame(connection: FakeConnection, { type, ref, key }: FrameHeader, payload: Uint8Array): void {
    if (type === FrameType.PING && !this.mute.has('ping')) connection.send(FrameType.PONG, ref, 0n);
    else if (type === FrameType.RESYNCED) connection.fenced = false;
    else if (type === FrameType.CLOSE) connection.destroy();
    else if (type === FrameType.AUTH) this.#onAuth(connection, ref, Auth.decode(payload));
    else if (type === FrameType.SEND) this.#onSend(connection, ref, key, Send.decode(payload));
    else if (type === FrameType.REQUEST) this.#onRequest(connection, ref, key, Request.decode(payload));
    else if (type === FrameType.WATCH) this.#onWatch(connection, ref, Watch.decode(payload));
    else if (type === FrameType.RECEIPTS) {
      for (const receipt of Receipts.decode(payload).receipts) this.chat.receive(connection.user, receipt);
    }
  }

  #onWatch(connection: FakeConnection, ref: number, watch: Watch): void {
    this.watches.push(watch);
    if (this.mute.has('watch')) return;
    const refusal = this.refuse.get('watch');
    if (refusal !== undefined) return nack(connection, ref, refusal.code, refusal.retryable, 1);
    const watched = {
      conversations: watch.conversations.map((id) => ({
        conversation: id,
        members: this.chat.members(id).length,
      })),
      users: watch.users.map((id) => this.chat.presenceOf(id)).filter((user) => user !== undefined),
    };
    connection.send(FrameType.WATCHED, ref, 0n, Watched.encode(Watched.fromPartial(watched)).finish());
  }

  #onAuth(connection: FakeConnection, ref: number, { token }: Auth): void {
    this.tokens.push(token);
    const refusal = this.refuse.get('auth');
    if (refusal !== undefined) return nack(connection, ref, refusal.code, refusal.retryable, 1);
    const tokenExpiresAtMs = this.#expiry();
    connection.send(FrameType.AUTHED, ref, 0n, Authed.encode({ tokenExpiresAtMs }).finish());
  }

  #expiry(): bigint {
    return this.tokenMs === 0 ? 0n : BigInt(Date.now() + this.tokenMs);
  }

  #onSend(connection: FakeConnection, ref: number, key: bigint, send: Send): void {
    const { clientMsgId } = send;
    if (connection.fenced) return nack(connection, ref, 'RESYNC_REQUIRED', true, 0, clientMsgId);
    const fate = this.fate(send, connection);
    if (fate === 'lose') return connection.resync();
    if (typeof fate === 'object') {
      const retryable = fate.retryAfterMs !== undefined;
      nack(connection, ref, fate.nack, retryable, fate.retryAfterMs ?? 0, clientMsgId);
      if (retryable) connection.resync();
      return;
    }
    const appended = this.chat.append(key, connection.user, send);
    if (typeof appended === 'string') return nack(connection, ref, appended, false, 0, clientMsgId);
    const { message, duplicate } = appended;
    const { seq, id, atMs } = message;
    const target = send.targetClientMsgId === '' ? 0n : message.target;
    if (fate === 'lose-answer') connection.resync();
    else
      connection.send(
        FrameType.SENT,
        ref,
        key,
        Sent.encode({ clientMsgId, seq, id, atMs, duplicate, target }).finish(),
      );
    if (this.pushes) this.push(key, message, connection);
  }

  #onRequest(connection: FakeConnection, ref: number, key: bigint, { call }: Request): void {
    const kind = call?.$case ?? '';
    if (this.mute.has(kind)) return;
    const refusal = this.refuse.get(kind);
    if (refusal !== undefined) return nack(connection, ref, refusal.code, refusal.retryable, 1);
    const result = this.#result(connection.user, key, call);
    if (typeof result === 'string') return nack(connection, ref, result, false, 0);
    connection.send(FrameType.RESPONSE, ref, key, Response.encode({ result }).finish());
  }

  #result(user: bigint, key: bigint, call: Request['call']): Response['result'] | string {
    const { chat } = this;
    switch (call?.$case) {
      case 'sync':
        return { $case: 'sync', sync: chat.sync(user, call.sync) };
      case 'openDirect': {
        const peer = chat.users.get(call.openDirect.userName);
        if (peer === undefined) return 'USER_NOT_FOUND';
        return { $case: 'conversation', conversation: chat.see(chat.direct(user, peer), user) };
      }
      case 'createRoom': {
        if (chat.room(call.createRoom.name) !== undefined) return 'NAME_TAKEN';
        return {
          $case: 'conversation',
          conversation: chat.see(chat.addRoom(call.createRoom.name, user), user),
        };
      }
      case 'joinRoom': {
        const room = chat.room(call.joinRoom.room);
        if (room === undefined) return 'ROOM_NOT_FOUND';
        room.members.add(user);
        return { $case: 'conversation', conversation: chat.see(room.id, user) };
      }
      case 'listConversations': {
        const ids = [...chat.conversations.values()].filter(({ members }) => members.has(user));
        const conversations = ids.map(({ id }) => chat.see(id, user));
        const { after, limit } = call.listConversations;
        const { items, next } = pageOf(conversations.toReversed(), after, limit || 100);
        return { $case: 'conversations', conversations: { conversations: items, next } };
      }
      case 'getConversation': {
        const isMember = chat.conversations.get(key)?.members.has(user) === true;
        return isMember ? { $case: 'conversation', conversation: chat.see(key, user) } : 'NOT_A_MEMBER';
      }
      case 'markRead': {
        const isMember = chat.conversations.get(key)?.members.has(user) === true;
        if (!isMember) return 'NOT_A_MEMBER';
        const { readSeq, readEpoch } = call.markRead;
        if (readEpoch < chat.epochOf(user, key)) return 'CURSOR_EPOCH_OLD';
        chat.epochs.set(`${user}/${key}`, readEpoch);
        chat.read.set(`${user}/${key}`, readSeq);
        return { $case: 'conversation', conversation: chat.see(key, user) };
      }
      case 'listRooms': {
        const { after, limit } = call.listRooms;
        const { items, next } = pageOf(chat.rooms(user), after, limit || 50);
        return { $case: 'rooms', rooms: { rooms: items, next } };
      }
      case 'getHistory': {
        if (!chat.conversations.has(key)) return 'NOT_A_MEMBER';
        const { at, limit } = call.getHistory;
        return { $case: 'history', history: chat.history(key, user, at, limit) };
      }
      case 'listPins':
        return { $case: 'pins', pins: chat.pins(key) };
      case 'getUsers': {
        const users = call.getUsers.users.filter((id) => chat.nameOf(id) !== '').map((id) => chat.user(id));
        return { $case: 'users', users: { users } };
      }
      case 'setProfile':
        chat.displayNames.set(user, call.setProfile.displayName);
        return { $case: 'users', users: { users: [chat.user(user)] } };
      case 'leaveRoom':
        if (chat.conversations.get(key)?.members.has(user) !== true) return 'NOT_A_MEMBER';
        chat.leave(key, user);
        return { $case: 'done', done: {} };
      case 'removeMember': {
        const member = chat.users.get(call.removeMember.user);
        if (member === undefined) return 'USER_NOT_FOUND';
        if (chat.roleOf(user, key) <= chat.roleOf(member, key)) return 'ROLE_TOO_LOW';
        chat.leave(key, member, MemberChange.MEMBER_CHANGE_REMOVED);
        this.tell(key, member, {
          change: MemberChange.MEMBER_CHANGE_REMOVED,
          user: member,
          name: chat.displayNameOf(member),
          by: chat.nameOf(user),
        });
        return { $case: 'done', done: {} };
      }
      case 'setRole': {
        const { role } = call.setRole;
        const member = chat.users.get(call.setRole.user);
        if (member === undefined) return 'USER_NOT_FOUND';
        if (chat.roleOf(user, key) !== Role.ROLE_OWNER) return 'ROLE_TOO_LOW';
        chat.roles.set(`${member}/${key}`, role);
        const change = { change: MemberChange.MEMBER_CHANGE_ROLE, user: member, by: chat.nameOf(user), role };
        this.tell(key, member, { ...change, name: call.setRole.user });
        return { $case: 'done', done: {} };
      }
      case 'deleteRoom':
        if (chat.roleOf(user, key) !== Role.ROLE_OWNER) return 'ROLE_TOO_LOW';
        chat.conversations.delete(key);
        return { $case: 'done', done: {} };
      case 'getMembers': {
        const { after, limit } = call.getMembers;
        const members = chat.members(key);
        const { items, next } = pageOf(members, after, limit || 200);
        return { $case: 'members', members: { members: items, next, count: members.length } };
      }
      case 'getPresence': {
        const users = call.getPresence.users.map((id) => chat.presenceOf(id));
        return users.includes(undefined)
          ? 'NOT_VISIBLE'
          : {
              $case: 'presences',
              presences: Presence.fromPartial({ users: users.filter(Boolean) as UserPresence[] }),
            };
      }
      case 'getReaders': {
        const readers = chat
          .members(key)
          .filter(({ user: id }) => (chat.read.get(`${id}/${key}`) ?? 0n) >= call.getReaders.seq);
        const { items, next } = pageOf(readers, call.getReaders.after, call.getReaders.limit || 100);
        return { $case: 'readers', readers: { readers: items.map(({ user: id }) => chat.user(id)), next } };
      }
      case 'getSelf': {
        const { items, next } = pageOf(chat.reads(user), call.getSelf.after, call.getSelf.limit || 500);
        return { $case: 'self', self: { ...chat.selfOf(user), reads: items, next } };
      }
      case 'setMute':
        chat.mutes.set(`${user}/${key}`, call.setMute.untilMs);
        return { $case: 'done', done: {} };
      case 'setDraft': {
        const draft = { conversation: key, text: call.setDraft.text, atMs: 1n };
        chat.drafts.set(`${user}/${key}`, draft);
        return { $case: 'self', self: Self.create({ drafts: [draft] }) };
      }
      case 'setSettings': {
        const settings = chat.setSettings(user, call.setSettings);
        return settings === undefined ? 'SETTINGS_CHANGED' : { $case: 'settings', settings };
      }
      default:
        return 'FRAME_INVALID';
    }
  }
}

function pageOf<Item>(all: readonly Item[], after: string, limit: number): { items: Item[]; next: string } {
  const from = Number(after);
  const to = from + limit;
  return { items: all.slice(from, to), next: to < all.length ? `${to}` : '' };
}

function nack(
  connection: FakeConnection,
  ref: number,
  code: string,
  retryable: boolean,
  retryAfterMs: number,
  clientMsgId = '',
): void {
  const body = { code, message: `test: ${code}`, retryable, retryAfterMs, clientMsgId };
  connection.send(FrameType.NACK, ref, 0n, Nack.encode(body).finish());
}
