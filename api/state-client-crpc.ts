/** State over crpc: of the nodes that are registered the one with less to do, each call within a deadline. */
import { GochatError, type Logger } from '../common/mod.ts';
import {
  Channel,
  type CrpcClient,
  createClient,
  type Registry,
  type TlsOptions,
  type Unwatch,
} from '../crpc/mod.ts';
import { type client, state } from '../proto/mod.ts';
import type { Caller, StateClient } from './state-client.ts';

/** Registry service under which state nodes register. */
const STATE_SERVICE = 'state';

export interface CrpcStateClientOptions {
  /** Stays the caller's to close. */
  readonly registry: Registry;
  /** Secret that GoChat servers show each other. */
  readonly clusterToken?: string | undefined;
  /** TLS to state. @default none */
  readonly tls?: TlsOptions | undefined;
  /** Told of slow calls. */
  readonly logger: Logger;
  /** How long a call may take, ms. */
  readonly deadlineMs: number;
}

export class CrpcStateClient implements StateClient {
  readonly #channel: Channel;
  readonly #accounts: CrpcClient<typeof state.AccountServiceService>;
  readonly #chat: CrpcClient<typeof state.ChatServiceService>;
  readonly #unwatch: Unwatch;
  /** Registered state nodes; undefined until the registry has answered. */
  #nodes: number | undefined;

  constructor(options: CrpcStateClientOptions) {
    this.#channel = new Channel(`etcd:///${STATE_SERVICE}`, {
      registry: options.registry,
      balancer: 'least-loaded',
      timeoutMs: options.deadlineMs,
      unavailable: 'STATE_UNAVAILABLE',
      logger: options.logger,
      ...(options.clusterToken === undefined ? {} : { token: options.clusterToken }),
      ...(options.tls === undefined ? {} : { tls: options.tls }),
    });
    this.#accounts = createClient(state.AccountServiceService, this.#channel);
    this.#chat = createClient(state.ChatServiceService, this.#channel);
    this.#unwatch = options.registry.watch(STATE_SERVICE, ({ endpoints }) => {
      this.#nodes = endpoints.length;
    });
  }

  signup(request: state.SignupRequest): Promise<state.SignupResponse> {
    return this.#call(() => this.#accounts.signup(request));
  }

  login(request: state.LoginRequest): Promise<state.LoginResponse> {
    return this.#call(() => this.#accounts.login(request));
  }

  logout(caller: Caller, request: state.LogoutRequest): Promise<state.LogoutResponse> {
    return this.#call(() => this.#accounts.logout(request, { metadata: metadataOf(caller) }));
  }

  createRoom(caller: Caller, request: state.CreateRoomRequest): Promise<client.Conversation> {
    // Who owns the room already is given it once more.
    return this.#call(() =>
      this.#chat.createRoom(request, { metadata: metadataOf(caller), idempotent: true }),
    );
  }

  joinRoom(caller: Caller, request: state.JoinRoomRequest): Promise<client.Conversation> {
    return this.#call(() => this.#chat.joinRoom(request, { metadata: metadataOf(caller), idempotent: true }));
  }

  leaveRoom(caller: Caller, request: state.LeaveRoomRequest): Promise<state.LeaveRoomResponse> {
    return this.#call(() =>
      this.#chat.leaveRoom(request, { metadata: metadataOf(caller), idempotent: true }),
    );
  }

  removeMember(caller: Caller, request: state.RemoveMemberRequest): Promise<state.RemoveMemberResponse> {
    return this.#call(() =>
      this.#chat.removeMember(request, { metadata: metadataOf(caller), idempotent: true }),
    );
  }

  deleteRoom(caller: Caller, request: state.DeleteRoomRequest): Promise<state.DeleteRoomResponse> {
    return this.#call(() =>
      this.#chat.deleteRoom(request, { metadata: metadataOf(caller), idempotent: true }),
    );
  }

  listRooms(caller: Caller, request: state.ListRoomsRequest): Promise<state.ListRoomsResponse> {
    return this.#call(() =>
      this.#chat.listRooms(request, { metadata: metadataOf(caller), idempotent: true }),
    );
  }

  getMessages(caller: Caller, request: state.GetMessagesRequest): Promise<client.HistoryPage> {
    return this.#call(() =>
      this.#chat.getMessages(request, { metadata: metadataOf(caller), idempotent: true }),
    );
  }

  unavailable(): string | undefined {
    return this.#nodes ? undefined : 'no state server is registered';
  }

  async close(): Promise<void> {
    this.#unwatch();
    this.#channel.close();
  }

  /** Makes a call, unless it is known that nobody can answer it: then it fails at once and not at the deadline. */
  async #call<T>(call: () => Promise<T>): Promise<T> {
    if (this.#nodes === 0) throw new GochatError('STATE_UNAVAILABLE');
    return call();
  }
}

function metadataOf(caller: Caller): Record<string, string> {
  return { authorization: caller.authorization };
}
