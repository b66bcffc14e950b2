/** A state server for tests: the real crpc server with canned answers, registered in a memory registry. */
import { randomUUID } from 'node:crypto';
import { GochatError, silentLogger } from '../../common/mod.ts';
import { type CallContext, CrpcServer, MemoryRegistry } from '../../crpc/mod.ts';
import { client, state } from '../../proto/mod.ts';

/** The only valid token. */
export const TOKEN = 'header.payload.signature';
/** The only valid refresh token. */
export const REFRESH_TOKEN = 'gcr_refresh';
export const ROOM = 7_212_345_678_901_234_567n;
const AT_MS = 1_700_000_000_000n;

export interface TestState extends AsyncDisposable {
  readonly registry: MemoryRegistry;
  /** Calls received, newest last: the rpc and its input, or the case of REQUEST, its key and its fields. */
  readonly asked: { method: string; key?: bigint; input: unknown; once?: state.Once }[];
  /** Makes all further calls fail. */
  failWith(error: Error | undefined): void;
  /** Makes the next call fail. */
  failOnce(error: Error): void;
  /** Makes all further calls hang until their caller gives up. */
  hang(): void;
  stop(): Promise<void>;
}

function checkToken(context: CallContext): void {
  if (context.metadata.get('authorization')[0] !== `Bearer ${TOKEN}`) throw new GochatError('TOKEN_INVALID');
}

function login(name: string): state.LoginResponse {
  return {
    user: 42n,
    name,
    token: TOKEN,
    expiresAtMs: 1_800_000_000_000n,
    refreshToken: REFRESH_TOKEN,
    refreshExpiresAtMs: 1_900_000_000_000n,
    session: 77n,
  };
}

/** Starts the server. @param messages number of messages in the room */
export async function startState(messages = 0): Promise<TestState> {
  const registry = new MemoryRegistry(`memory://${randomUUID()}`);
  const asked: TestState['asked'] = [];
  let failure: Error | undefined;
  let nextFailure: Error | undefined;
  let isHanging = false;
  const answer =
    <I, O>(needsToken: boolean, make: (input: I, context: CallContext) => O) =>
    async (input: I, context: CallContext): Promise<O> => {
      asked.push(describeAsked(context.method.split('/').at(-1) ?? '', input));
      const failed = nextFailure ?? failure;
      nextFailure = undefined;
      if (failed) throw failed;
      if (isHanging) await new Promise((resolve) => context.signal.addEventListener('abort', resolve));
      if (needsToken) checkToken(context);
      return make(input, context);
    };
  const server = new CrpcServer({ logger: silentLogger })
    .addService(state.AccountServiceService, {
      signup: answer(false, ({ name }: state.SignupRequest) => ({ user: 42n, name })),
      login: answer(false, ({ name, password }: state.LoginRequest) => {
        if (password !== '111111') throw new GochatError('CREDENTIALS_WRONG');
        return login(name);
      }),
      loginOpenId: answer(false, ({ name }: state.LoginOpenIdRequest) => login(name)),
      refresh: answer(false, ({ refreshToken }: state.RefreshRequest) => {
        if (refreshToken !== REFRESH_TOKEN) throw new GochatError('REFRESH_INVALID');
        return login('ann');
      }),
      logout: answer(false, ({ refreshToken }: state.LogoutRequest, context) => {
        if (refreshToken === '') checkToken(context);
        else if (refreshToken !== REFRESH_TOKEN) throw new GochatError('REFRESH_INVALID');
        return {};
      }),
    })
    .addService(state.ChatServiceService, {
      call: answer(
        true,
        ({ key, request }: state.CallRequest): client.Response => ({
          result: answerCall(key, request?.call, messages),
        }),
      ),
      post: answer(true, ({ key, send }: state.PostRequest): client.Sent => answerPost(key, send)),
    });
  await server.start();
  const endpoint = { id: randomUUID(), address: server.address, weight: 1, zone: '', version: '1' };
  const registration = await registry.register('state', { ...endpoint, metadata: {}, load: {} });
  const stop = async () => {
    await registration.deregister();
    await server.stop();
  };
  return {
    registry,
    asked,
    failWith: (error) => (failure = error),
    failOnce: (error) => (nextFailure = error),
    hang: () => (isHanging = true),
    stop,
    [Symbol.asyncDispose]: async () => {
      await stop();
      await registry.close();
    },
  };
}

function describeAsked(method: string, input: unknown): TestState['asked'][number] {
  if (method === 'Post') {
    const { key, send, once } = input as state.PostRequest;
    return { method, key, input: send, ...(once && { once }) };
  }
  if (method !== 'Call') return { method, input };
  const { key, request, once } = input as state.CallRequest;
  const call = request?.call as { $case: string } & Record<string, unknown>;
  return { method: call.$case, key, input: call[call.$case], ...(once && { once }) };
}

function answerPost(key: bigint, send: client.Send | undefined): client.Sent {
  const { clientMsgId, text, kind, target, replyTo } = send ?? client.Send.create();
  if (key !== ROOM) throw new GochatError('NOT_A_MEMBER');
  if (clientMsgId === '') throw new GochatError('CLIENT_MSG_ID_INVALID');
  if (target === 9n || replyTo === 9n) throw new GochatError('TARGET_RETRACTED');
  if (target === 8n) throw new GochatError('NOT_AUTHOR');
  if (text === '' && kind === client.EntryKind.ENTRY_KIND_MESSAGE) throw new GochatError('TEXT_EMPTY');
  const duplicate = clientMsgId === 'again';
  return { clientMsgId, seq: 13n, id: ROOM + 13n, atMs: AT_MS, duplicate, target: 0n };
}

function answerCall(key: bigint, call: client.Request['call'], messages: number): client.Response['result'] {
  const room = { id: ROOM, kind: client.ConversationKind.CONVERSATION_KIND_ROOM, name: 'lobby' };
  const role = client.Role.ROLE_MODERATOR;
  const conversation = client.Conversation.create({
    ...room,
    lastSeq: 9n,
    readSeq: 5n,
    unread: 4n,
    role,
    activeAtMs: AT_MS,
  });
  switch (call?.$case) {
    case 'createRoom':
      return { $case: 'conversation', conversation: { ...conversation, name: call.createRoom.name } };
    case 'joinRoom': {
      const { room: name } = call.joinRoom;
      if (name !== String(ROOM)) throw new GochatError('ROOM_NOT_FOUND', { details: { name } });
      return { $case: 'conversation', conversation };
    }
    case 'openDirect':
      return { $case: 'conversation', conversation: { ...conversation, name: call.openDirect.userName } };
    case 'getConversation':
      if (key !== ROOM) throw new GochatError('NOT_A_MEMBER');
      return { $case: 'conversation', conversation };
    case 'listConversations': {
      const { after } = call.listConversations;
      const direct = client.ConversationKind.CONVERSATION_KIND_DIRECT;
      const listed =
        after === ''
          ? { ...conversation, lastMessage: { ...testMessage(9), clientMsgId: '' } }
          : { ...conversation, kind: direct, name: 'bob', peer: 43n };
      const next = after === '' ? 'b' : '';
      return { $case: 'conversations', conversations: { conversations: [listed], next } };
    }
    case 'leaveRoom':
      if (key !== ROOM) throw new GochatError('NOT_A_MEMBER');
      return { $case: 'done', done: {} };
    case 'removeMember': {
      const { user: name } = call.removeMember;
      if (name === 'nobody') throw new GochatError('USER_NOT_FOUND', { details: { name } });
      return { $case: 'done', done: {} };
    }
    case 'setRole':
      if (call.setRole.user === 'ann') throw new GochatError('LAST_OWNER');
      return { $case: 'done', done: {} };
    case 'deleteRoom':
      if (key !== ROOM) throw new GochatError('ROLE_TOO_LOW');
      return { $case: 'done', done: {} };
    case 'listRooms': {
      const { after } = call.listRooms;
      const listed = { id: 5n, name: 'lobby', members: 3, joined: true, lastSeq: 9n, unread: 4n };
      return { $case: 'rooms', rooms: { rooms: [listed], next: after === '' ? '5' : '' } };
    }
    case 'getMembers': {
      if (key !== ROOM) throw new GochatError('NOT_A_MEMBER');
      const member = { user: 42n, name: 'ann', displayName: 'Ann', online: true, role };
      const next = call.getMembers.after === '' ? '42' : '';
      return { $case: 'members', members: { members: [member], count: 2, next } };
    }
    case 'getHistory':
      return { $case: 'history', history: readHistory(call.getHistory, messages) };
    case 'getThread': {
      if (call.getThread.root === 9n) throw new GochatError('TARGET_NOT_FOUND');
      const { messages: replies, ...page } = readHistory(call.getThread, messages);
      const root = { ...testMessage(2), threadSummary: SUMMARY };
      const thread = { conversation: key, seq: 2n, root, summary: SUMMARY, last: undefined };
      return { $case: 'thread', thread: { ...page, thread, messages: replies.map(inThread) } };
    }
    case 'listThreads': {
      const next = call.listThreads.after === '' ? '7' : '';
      const last = inThread(testMessage(9));
      const thread = { conversation: ROOM, seq: 2n, root: testMessage(2), summary: SUMMARY, last };
      return { $case: 'threads', threads: { threads: [thread], next } };
    }
    case 'markAllRead':
      return { $case: 'done', done: {} };
    case 'followThread':
      if (call.followThread.root === 9n) throw new GochatError('TARGET_NOT_FOUND');
      return { $case: 'done', done: {} };
    case 'listPins': {
      const pin = { message: testMessage(2), by: 42n, atMs: AT_MS };
      const next = call.listPins.after === '' ? '2' : '';
      return { $case: 'pins', pins: { pins: [pin], pinsVersion: 7n, next } };
    }
    case 'getUsers': {
      const { users } = call.getUsers;
      return { $case: 'users', users: { users: (users.length === 0 ? [42n] : users).map(testUser) } };
    }
    case 'setProfile': {
      const { displayName } = call.setProfile;
      if (displayName === 'bad') throw new GochatError('DISPLAY_NAME_INVALID', { details: { max: 64 } });
      return { $case: 'users', users: { users: [{ ...testUser(42n), displayName: displayName || 'ann' }] } };
    }
    case 'getReaders': {
      if (call.getReaders.seq === 9n) throw new GochatError('TARGET_NOT_FOUND');
      const next = call.getReaders.after === '' ? '42' : '';
      return { $case: 'readers', readers: { readers: [testUser(42n)], next } };
    }
    case 'getPresence': {
      const { users } = call.getPresence;
      if (users.includes(9n)) throw new GochatError('NOT_VISIBLE');
      const status = client.PresenceStatus.PRESENCE_STATUS_OFFLINE;
      return {
        $case: 'presences',
        presences: {
          users: users.map((user) => ({ user, status, lastSeenMs: user === 42n ? AT_MS : 0n })),
        },
      };
    }
    case 'markRead':
      if (key !== ROOM) throw new GochatError('NOT_A_MEMBER');
      if (call.markRead.readSeq > 9n) throw new GochatError('CURSOR_BEYOND_END');
      return { $case: 'conversation', conversation: { ...conversation, ...call.markRead } };
    case 'getSelf':
      return { $case: 'self', self: testSelf(call.getSelf.after === '') };
    case 'setMute':
      if (key !== ROOM) throw new GochatError('NOT_A_MEMBER');
      return { $case: 'done', done: {} };
    case 'setDraft': {
      if (key !== ROOM) throw new GochatError('NOT_A_MEMBER');
      const draft = { conversation: key, text: call.setDraft.text, atMs: AT_MS };
      return { $case: 'self', self: client.Self.create({ drafts: [draft] }) };
    }
    case 'setSettings': {
      const { settings, ifVersion } = call.setSettings;
      if (ifVersion !== 0n && ifVersion !== 2n) throw new GochatError('SETTINGS_CHANGED');
      return { $case: 'settings', settings: { version: 3n, settings } };
    }
    case 'changePassword':
      if (call.changePassword.password !== '111111') throw new GochatError('PASSWORD_WRONG');
      return { $case: 'done', done: {} };
    case 'listSessions':
      return { $case: 'sessions', sessions: { sessions: [testSession()] } };
    case 'endSession':
      if (call.endSession.session !== 77n) throw new GochatError('SESSION_NOT_FOUND');
      return { $case: 'done', done: {} };
    case 'createBot':
      return { $case: 'bot', bot: { ...testBot(), name: call.createBot.name, token: 'gcr_bot' } };
    case 'listBots':
      return { $case: 'bots', bots: { bots: [testBot()] } };
    case 'renewBotToken':
      return { $case: 'bot', bot: { ...testBot(), token: 'gcr_new' } };
    case 'listAccounts':
      return { $case: 'accounts', accounts: { accounts: [testAccount()], next: '42' } };
    case 'changeAccount': {
      const isAdmin = call.changeAccount.change === client.AccountChange.ACCOUNT_CHANGE_GRANT_ADMIN;
      return { $case: 'accounts', accounts: { accounts: [{ ...testAccount(), admin: isAdmin }], next: '' } };
    }
    case 'resetPassword':
      return { $case: 'password', password: { password: 'a-new-one' } };
    case 'closeAccount':
    case 'closeBot':
    case 'endSessions':
      return { $case: 'done', done: {} };
    default:
      return undefined;
  }
}

const SUMMARY: client.ThreadSummary = {
  replies: 3n,
  lastSeq: 9n,
  lastAtMs: AT_MS,
  followed: true,
  unread: 2n,
  readSeq: 5n,
  readEpoch: 1n,
};

function inThread(message: client.Message): client.Message {
  return { ...message, thread: 2n };
}

function testSession(): client.Session {
  const [createdAtMs, usedAtMs, expiresAtMs] = [AT_MS, AT_MS + 1n, AT_MS + 2n];
  return {
    id: 77n,
    client: 'phone',
    address: '192.0.2.1',
    createdAtMs,
    usedAtMs,
    expiresAtMs,
    current: true,
  };
}

function testBot(): client.Bot {
  return { id: 50n, name: 'builds', displayName: 'Builds', token: '' };
}

function testAccount(): client.Account {
  const state = client.AccountState.ACCOUNT_STATE_SUSPENDED;
  return { id: 42n, name: 'ann', displayName: 'Ann', state, admin: false, owner: 0n };
}

function testSelf(isFirst: boolean): client.Self {
  const reads = [{ conversation: ROOM, deliveredSeq: 0n, readSeq: 5n, readEpoch: 0n, thread: 0n }];
  if (!isFirst) return client.Self.create({ reads });
  return {
    reads,
    mutes: [{ conversation: ROOM, untilMs: AT_MS }],
    drafts: [{ conversation: ROOM, text: 'well', atMs: AT_MS }],
    settings: { version: 2n, settings: [{ name: 'invisible', value: 'true' }] },
    next: '7',
  };
}

function readHistory({ at, limit }: client.GetHistory, messages: number): client.HistoryPage {
  const point = at?.point;
  const around = point?.$case === 'aroundSeq' ? Number(point.aroundSeq) : 0;
  const before = point?.$case === 'beforeSeq' ? Number(point.beforeSeq) : 0;
  const end = around > messages ? 0 : around || (before === 0 ? messages : before - 1);
  const first = Math.max(1, end - limit + 1);
  const page = Array.from({ length: Math.max(0, end - first + 1) }, (_, i) => testMessage(first + i));
  return {
    messages: page,
    more: first > 1,
    moreAfter: end < messages,
    asOf: BigInt(messages),
    anchorSeq: BigInt(around),
    floorSeq: 0n,
  };
}

function testUser(id: bigint): client.User {
  return { id, name: `u${id}`, displayName: 'Ann' };
}

function testMessage(seq: number): client.Message {
  return client.Message.create({
    seq: BigInt(seq),
    id: ROOM + BigInt(seq),
    sender: 42n,
    from: 'ann',
    clientMsgId: `c${seq}`,
    text: `message ${seq}`,
    atMs: AT_MS,
  });
}
