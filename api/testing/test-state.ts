/** A state server for tests: the real crpc server with canned answers, registered in a memory registry. */
import { randomUUID } from 'node:crypto';
import { GochatError, silentLogger } from '../../common/mod.ts';
import { type CallContext, CrpcServer, MemoryRegistry } from '../../crpc/mod.ts';
import { client, state } from '../../proto/mod.ts';

/** The only valid token. */
export const TOKEN = 'header.payload.signature';
export const ROOM = 7_212_345_678_901_234_567n;

export interface TestState extends AsyncDisposable {
  readonly registry: MemoryRegistry;
  /** Calls received, newest last: the rpc and its input, or the case of REQUEST, its key and its fields. */
  readonly asked: { method: string; key?: bigint; input: unknown }[];
  /** Makes all further calls fail. */
  failWith(error: Error | undefined): void;
  /** Makes the next call fail. */
  failOnce(error: Error): void;
  /** Makes all further calls hang until their caller gives up. */
  hang(): void;
  stop(): Promise<void>;
}

/** Starts the server. @param messages number of messages in the room */
export async function startState(messages = 0): Promise<TestState> {
  const registry = new MemoryRegistry(`memory://${randomUUID()}`);
  const asked: { method: string; key?: bigint; input: unknown }[] = [];
  let failure: Error | undefined;
  let nextFailure: Error | undefined;
  let isHanging = false;
  const answer =
    <I, O>(needsToken: boolean, make: (input: I) => O) =>
    async (input: I, context: CallContext): Promise<O> => {
      asked.push(describeAsked(context.method.split('/').at(-1) ?? '', input));
      const failed = nextFailure ?? failure;
      nextFailure = undefined;
      if (failed) throw failed;
      if (isHanging) await new Promise((resolve) => context.signal.addEventListener('abort', resolve));
      if (needsToken && context.metadata.get('authorization')[0] !== `Bearer ${TOKEN}`)
        throw new GochatError('TOKEN_INVALID');
      return make(input);
    };
  const server = new CrpcServer({ logger: silentLogger })
    .addService(state.AccountServiceService, {
      signup: answer(false, ({ name }: state.SignupRequest) => ({ user: 42n, name })),
      login: answer(false, ({ name, password }: state.LoginRequest) => {
        if (password !== '111111') throw new GochatError('CREDENTIALS_WRONG');
        return { user: 42n, name, token: TOKEN, expiresAtMs: 1_800_000_000_000n };
      }),
      logout: answer(true, () => ({})),
    })
    .addService(state.ChatServiceService, {
      call: answer(
        true,
        ({ key, request }: state.CallRequest): client.Response => ({
          result: answerCall(key, request?.call, messages),
        }),
      ),
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
  if (method !== 'Call') return { method, input };
  const { key, request } = input as state.CallRequest;
  const call = request?.call as { $case: string } & Record<string, unknown>;
  return { method: call.$case, key, input: call[call.$case] };
}

function answerCall(key: bigint, call: client.Request['call'], messages: number): client.Response['result'] {
  const room = { id: ROOM, kind: client.ConversationKind.CONVERSATION_KIND_ROOM, name: 'lobby' };
  const role = client.Role.ROLE_MODERATOR;
  const conversation = client.Conversation.create({ ...room, lastSeq: 9n, unread: 4n, role });
  switch (call?.$case) {
    case 'createRoom':
      return { $case: 'conversation', conversation: { ...conversation, name: call.createRoom.name } };
    case 'joinRoom': {
      const { room: name } = call.joinRoom;
      if (name !== String(ROOM)) throw new GochatError('ROOM_NOT_FOUND', { details: { name } });
      return { $case: 'conversation', conversation };
    }
    case 'getConversation':
      if (key !== ROOM) throw new GochatError('NOT_A_MEMBER');
      return { $case: 'conversation', conversation };
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
      const listed = { id: after + 5n, name: 'lobby', members: 3, joined: true, lastSeq: 9n, unread: 4n };
      return { $case: 'rooms', rooms: { rooms: [listed], more: after === 0n } };
    }
    case 'getHistory': {
      const { beforeSeq, limit } = call.getHistory;
      const end = beforeSeq === 0n ? messages : Number(beforeSeq) - 1;
      const first = Math.max(1, end - limit + 1);
      const page = Array.from({ length: Math.max(0, end - first + 1) }, (_, i) => testMessage(first + i));
      return { $case: 'history', history: { messages: page, more: first > 1 } };
    }
    default:
      return undefined;
  }
}

function testMessage(seq: number): client.Message {
  return {
    seq: BigInt(seq),
    id: ROOM + BigInt(seq),
    sender: 42n,
    from: 'ann',
    clientMsgId: `c${seq}`,
    text: `message ${seq}`,
    atMs: 1_700_000_000_000n,
  };
}
