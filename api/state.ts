/** The client of state over crpc: least-loaded balancing, a deadline for each call. */
import { GochatError, type Logger } from '../common/mod.ts';
import {
  Channel,
  type ClientInterceptor,
  type CrpcClient,
  createClient,
  type Registry,
  type TlsOptions,
  type Unwatch,
} from '../crpc/mod.ts';
import { type client, state } from '../proto/mod.ts';
import type { Caller } from './caller.ts';

/** Registry service under which state nodes register. */
const STATE_SERVICE = 'state';

/** Registry key under which state publishes its public keys. */
const JWKS_KEY = 'jwks';

export type Call = NonNullable<client.Request['call']>;
type Result = NonNullable<client.Response['result']>;

export interface StateOptions {
  /** Closed by the caller. */
  readonly registry: Registry;
  /** Secret that GoChat servers show each other. */
  readonly clusterToken?: string | undefined;
  /** TLS to state. @default none */
  readonly tls?: TlsOptions | undefined;
  /** Logs slow calls. */
  readonly logger: Logger;
  /** Deadline of a call, ms. */
  readonly deadlineMs: number;
}

/** Calls to state. Each rejects with a GochatError. */
export class State {
  /** Sign-up, login and logout. */
  readonly accounts: CrpcClient<typeof state.AccountServiceService>;
  readonly #chat: CrpcClient<typeof state.ChatServiceService>;
  readonly #channel: Channel;
  readonly #unwatch: Unwatch;
  readonly #unfollow: Unwatch;
  /** The public keys of access tokens, a JSON Web Key Set; undefined until state has published them. */
  jwks: string | undefined;
  /** Number of registered state nodes; undefined until the registry has answered. */
  #nodes: number | undefined;

  constructor(options: StateOptions) {
    this.#channel = new Channel(`etcd:///${STATE_SERVICE}`, {
      registry: options.registry,
      balancer: 'least-loaded',
      timeoutMs: options.deadlineMs,
      unavailable: 'STATE_UNAVAILABLE',
      logger: options.logger,
      interceptors: [this.#failWithoutNodes()],
      ...(options.clusterToken === undefined ? {} : { token: options.clusterToken }),
      ...(options.tls === undefined ? {} : { tls: options.tls }),
    });
    this.accounts = createClient(state.AccountServiceService, this.#channel);
    this.#chat = createClient(state.ChatServiceService, this.#channel);
    this.#unwatch = options.registry.watch(STATE_SERVICE, ({ endpoints }) => {
      this.#nodes = endpoints.length;
    });
    this.#unfollow = options.registry.follow(JWKS_KEY, (jwks) => {
      this.jwks = jwks;
    });
  }

  /**
   * Makes a call of client.proto's Request on the conversation `key` (0: none), with retries where they may help.
   *
   * @param expected case of the answer
   */
  async call<Case extends Result['$case']>(
    caller: Caller,
    key: bigint,
    call: Call,
    expected: Case,
  ): Promise<Extract<Result, { $case: Case }>> {
    const { result } = await this.#chat.call(
      { key, request: { call }, once: caller.once },
      { metadata: caller.metadata, idempotent: true },
    );
    if (result?.$case !== expected)
      throw new GochatError('INTERNAL', {
        cause: new Error(`state has answered ${call.$case} with ${result?.$case}`),
      });
    return result as Extract<Result, { $case: Case }>;
  }

  /** Sends an entry to the conversation `key`, with retries: the client_msg_id makes them one entry. */
  post(caller: Caller, key: bigint, send: client.Send): Promise<client.Sent> {
    return this.#chat.post({ key, send, once: caller.once }, { metadata: caller.metadata, idempotent: true });
  }

  /** Returns why no call can succeed now; undefined while state is reachable. */
  unavailable(): string | undefined {
    return this.#nodes ? undefined : 'no state server is registered';
  }

  close(): void {
    this.#unwatch();
    this.#unfollow();
    this.#channel.close();
  }

  /** Fails calls at once, and not at the deadline, while there is no state node. */
  #failWithoutNodes(): ClientInterceptor {
    return {
      unary: (next) => async (call) => {
        if (this.#nodes === 0) throw new GochatError('STATE_UNAVAILABLE');
        return next(call);
      },
    };
  }
}
