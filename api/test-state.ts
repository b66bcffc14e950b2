/** A state server for tests: the real crpc server with canned answers, registered in a memory registry. */
import { randomUUID } from 'node:crypto';
import { GochatError, silentLogger } from '../common/mod.ts';
import { type CallContext, CrpcServer, MemoryRegistry } from '../crpc/mod.ts';
import { client, state } from '../proto/mod.ts';

/** The only token that is let in. */
export const TOKEN = 'header.payload.signature';
export const ROOM = 7_212_345_678_901_234_567n;

export interface TestState extends AsyncDisposable {
  readonly registry: MemoryRegistry;
  /** What was asked, newest last. */
  readonly asked: { method: string; input: unknown }[];
  /** Makes each call from now on fail. */
  failWith(error: Error | undefined): void;
  /** Makes the next call fail. */
  failOnce(error: Error): void;
  /** Makes each call from now on hang until its caller gives up. */
  hang(): void;
  stop(): Promise<void>;
}

/** Starts the server; `messages` is how many the room holds. */
export async function startState(messages = 0): Promise<TestState> {
  const registry = new MemoryRegistry(`memory://${randomUUID()}`);
  const asked: { method: string; input: unknown }[] = [];
  let failure: Error | undefined;
  let nextFailure: Error | undefined;
  let isHanging = false;
  const answer =
    <I, O>(needsToken: boolean, make: (input: I) => O) =>
    async (input: I, context: CallContext): Promise<O> => {
      asked.push({ method: context.method.split('/').at(-1) ?? '', input });
      const failed = nextFailure ?? failure;
      nextFailure = undefined;
      if (failed) throw failed;
      if (isHanging) await new Promise((resolve) => context.signal.addEventListener('abort', resolve));
      if (needsToken && context.metadata.get('authorization')[0] !== `Bearer ${TOKEN}`)
        throw new GochatError('TOKEN_INVALID');
      return make(input);
    };
  const room = { id: ROOM, kind: client.ConversationKind.CONVERSATION_KIND_ROOM, name: 'lobby' };
  const conversation = client.Conversation.create({ ...room, lastSeq: 9n, unread: 4n });
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
      createRoom: answer(true, ({ name }: state.CreateRoomRequest) => ({ ...conversation, name })),
      joinRoom: answer(true, ({ room }: state.JoinRoomRequest) => {
        if (room !== ROOM) throw new GochatError('ROOM_NOT_FOUND', { details: { name: String(room) } });
        return conversation;
      }),
      leaveRoom: answer(true, ({ room }: state.LeaveRoomRequest) => {
        if (room !== ROOM) throw new GochatError('NOT_A_MEMBER');
        return {};
      }),
      removeMember: answer(true, ({ user }: state.RemoveMemberRequest) => {
        if (user === 'nobody') throw new GochatError('USER_NOT_FOUND', { details: { name: user } });
        return {};
      }),
      deleteRoom: answer(true, ({ room }: state.DeleteRoomRequest) => {
        if (room !== ROOM) throw new GochatError('NOT_OWNER');
        return {};
      }),
      listRooms: answer(true, ({ after }: state.ListRoomsRequest) => ({
        rooms: [{ id: after + 5n, name: 'lobby', members: 3, joined: true, lastSeq: 9n, unread: 4n }],
        more: after === 0n,
      })),
      getMessages: answer(true, ({ beforeSeq, limit }: state.GetMessagesRequest) => {
        const end = beforeSeq === 0n ? messages : Number(beforeSeq) - 1;
        const first = Math.max(1, end - limit + 1);
        return {
          messages: Array.from({ length: Math.max(0, end - first + 1) }, (_, i) => testMessage(first + i)),
          more: first > 1,
        };
      }),
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
