/** The state server: a state node with its crpc services, registration and health checks. */
import { randomUUID } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { joinAddress, type Logger, once, type OperatorRoutes, type Server } from '../common/mod.ts';
import { CrpcServer, type Registration, type Registry, type TlsOptions } from '../crpc/mod.ts';
import { link, LINK_PROTOCOL, MAX_TEXT_BYTES_KEY, state } from '../proto/mod.ts';
import type { SeedAccount } from './identity/accounts.ts';
import { accountService, chatService } from './chat/service.ts';
import { KeySeal } from './identity/key-seal.ts';
import { SigningKeys } from './identity/signing-keys.ts';
import { Tokens } from './identity/tokens.ts';
import { Health } from './health.ts';
import type { HotState } from './hot/hot-state.ts';
import { CLOCK_SKEW_MS, DEFAULT_LIMITS, DEFAULT_TOKEN_TTL_MS, type StateLimits } from './limits.ts';
import { NodeIds } from './node-ids.ts';
import { StateNode } from './node.ts';
import { DEFAULT_ENTRY_RULES, type EntryRules } from './policy.ts';
import { keyRoutes } from './explain/key-routes.ts';
import { operatorRoutes } from './explain/operator-routes.ts';
import type { DurableStore } from './store/store.ts';

const SERVICE = 'state';
const PROTO_DIR = fileURLToPath(new URL('../proto', import.meta.url));
const REFLECTION = {
  protoFiles: ['gochat/state/v1/state.proto', 'gochat/link/v1/link.proto'],
  includeDirs: [PROTO_DIR],
};
const JWKS_KEY = 'jwks';
const HEALTH_INTERVAL_MS = 2000;

export interface StateServerOptions {
  readonly name: string;
  /** @default 127.0.0.1 */
  readonly host?: string | undefined;
  /** Port of the crpc server; 0 takes a free one. */
  readonly port: number;
  /** Host under which others reach this server. @default host */
  readonly advertiseHost?: string | undefined;
  /** Registry, store and hot state are closed by the caller after `stop`. */
  readonly registry: Registry;
  readonly store: DurableStore;
  readonly hot: HotState;
  readonly logger: Logger;
  /** Secret that encrypts the signing keys in the store, at least 32 bytes. @default they are not encrypted */
  readonly jwtSecret?: string | undefined;
  /** Lifetime of access tokens. @default 900000 ms */
  readonly tokenTtlMs?: number | undefined;
  /** Grace period of a broken connection. @default 30000 ms */
  readonly sessionGraceMs?: number | undefined;
  /** Shared secret of the cluster's servers; without it anyone who reaches the port may call. */
  readonly clusterToken?: string | undefined;
  /** TLS to the other servers; with an authority they need certificates too. @default none */
  readonly tls?: TlsOptions | undefined;
  /** Whether tools can list the crpc services; for development. @default false */
  readonly reflection?: boolean | undefined;
  /** Longest text of a message, bytes of UTF-8. @default 16384 */
  readonly maxTextBytes?: number | undefined;
  /** What users may do with entries; what is missing is as in DEFAULT_ENTRY_RULES. */
  readonly rules?: Partial<EntryRules> | undefined;
  readonly limits?: Partial<StateLimits> | undefined;
}

/** A state server. Any number of them work side by side on the same store, hot state and registry. */
export class StateServer implements Server {
  readonly name: string;
  readonly #options: StateServerOptions;
  readonly #logger: Logger;
  readonly #textBytes: number;
  readonly #ids: NodeIds;
  readonly #node: StateNode;
  readonly #crpc: CrpcServer;
  readonly #health: Health;
  /** Once started. */
  #keys: SigningKeys | undefined;
  #registration: Registration | undefined;
  #phase: 'new' | 'serving' | 'draining' | 'stopped' = 'new';
  #drained: Promise<void> | undefined;

  constructor(options: StateServerOptions) {
    const { store, hot, registry, logger } = options;
    this.name = options.name;
    this.#options = options;
    this.#logger = logger;
    const textBytes = options.maxTextBytes ?? DEFAULT_LIMITS.textBytes;
    const sessionGraceMs = options.sessionGraceMs ?? DEFAULT_LIMITS.sessionGraceMs;
    const limits = Object.freeze({ ...DEFAULT_LIMITS, textBytes, sessionGraceMs, ...options.limits });
    this.#textBytes = limits.textBytes;
    this.#ids = new NodeIds({ registry, logger, onRegained: () => this.#node.wake() });
    const { tokenTtlMs } = options;
    this.#node = new StateNode({
      store,
      revocations: store,
      hot,
      ids: this.#ids,
      limits,
      rules: Object.freeze({ ...DEFAULT_ENTRY_RULES, ...options.rules }),
      logger,
      tokenTtlMs,
    });
    this.#crpc = new CrpcServer({
      logger,
      port: options.port,
      ...(options.host === undefined ? undefined : { host: options.host }),
      ...(options.clusterToken === undefined ? undefined : { token: options.clusterToken }),
      ...(options.tls === undefined ? undefined : { tls: options.tls }),
      ...(options.reflection === true && { reflection: REFLECTION }),
    });
    this.#health = new Health(
      [
        { name: 'store', ping: () => store.ping() },
        { name: 'hot state', ping: () => hot.ping() },
      ],
      HEALTH_INTERVAL_MS,
    );
  }

  /** Operator routes for the admin port. */
  get operatorRoutes(): OperatorRoutes {
    return {
      ...operatorRoutes(this.name, this.#node, this.#options.store),
      ...keyRoutes(() => this.#keys),
    };
  }

  /** Address of the crpc server, host:port, once started. */
  get address(): string {
    return this.#crpc.address;
  }

  /**
   * Loads the signing keys, publishes the public ones, listens and registers.
   * @throws GochatError PORT_IN_USE, STORE_UNAVAILABLE, REGISTRY_UNREACHABLE, JWT_SECRET_CHANGED
   */
  readonly start = once(async () => {
    const { registry, store, tokenTtlMs, jwtSecret } = this.#options;
    try {
      const { evictions } = this.#node;
      const ttlMs = tokenTtlMs ?? DEFAULT_TOKEN_TTL_MS;
      const keys = await SigningKeys.open({
        store,
        seal: new KeySeal(jwtSecret),
        tokenMs: ttlMs + 2 * CLOCK_SKEW_MS,
        logger: this.#logger,
        publish: (jwks) => registry.publish(JWKS_KEY, jwks),
      });
      this.#keys = keys;
      const tokens = new Tokens(keys, {
        ttlMs,
        refusal: (user, session) => evictions.refusal(user, session),
      });
      await this.#ids.acquire();
      this.#crpc
        .addService(state.AccountServiceService, accountService(this.#node, tokens))
        .addService(state.ChatServiceService, chatService(this.#node, this.#options.hot, tokens))
        .addBatchService(link.LinkServiceService, (stream) => this.#node.accept(stream), {
          protocol: LINK_PROTOCOL,
        });
      await this.#crpc.start();
      this.#registration = await registry.register(SERVICE, {
        id: randomUUID(),
        address: this.#advertised(),
        weight: 1,
        zone: '',
        version: '',
        metadata: { name: this.name, [MAX_TEXT_BYTES_KEY]: String(this.#textBytes) },
        load: {},
      });
      this.#health.start();
      keys.start();
      this.#node.start();
      this.#phase = 'serving';
    } catch (error) {
      await this.stop();
      throw error;
    }
  });

  /**
   * Leaves the registry, refuses new sends, commits and acknowledges what is queued, then ends the streams with
   * 'peer-draining': the workers make their connections resynchronise on other nodes.
   */
  drain(deadlineMs: number): Promise<void> {
    this.#drained ??= this.#drain(deadlineMs);
    return this.#drained;
  }

  readonly stop = once(async () => {
    this.#phase = 'stopped';
    this.#health.stop();
    this.#keys?.stop();
    this.#node.stop();
    await this.#crpc.stop();
    // The registry may be gone; its leases then expire.
    await this.#attempt(this.#registration?.deregister());
    await this.#attempt(this.#ids.close());
  });

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  readiness(): string | undefined {
    if (this.#phase !== 'serving') return `the server is ${this.#phase}`;
    if (!this.#ids.available) return 'registry: the node has no number';
    return this.#health.problem;
  }

  /** Creates missing accounts, for the demo mode and tests; also before `start`. */
  async seedAccounts(accounts: readonly SeedAccount[]): Promise<void> {
    await this.#ids.acquire();
    await this.#node.accounts.seed(accounts);
  }

  async #drain(deadlineMs: number): Promise<void> {
    if (this.#phase !== 'serving') return;
    this.#phase = 'draining';
    const endMs = performance.now() + deadlineMs;
    const finish = this.#attempt(this.#registration?.deregister()).then(() =>
      this.#attempt(this.#node.drain()),
    );
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, deadlineMs);
    });
    await Promise.race([finish, late]);
    clearTimeout(timer);
    await this.#crpc.drain(Math.max(0, endMs - performance.now()));
    await this.stop();
  }

  /** Awaits a step of closing. A failure is logged and does not stop the other steps. */
  async #attempt(step: Promise<void> | undefined): Promise<void> {
    try {
      await step;
    } catch (error) {
      this.#logger.warn({ err: error }, 'a step of closing failed');
    }
  }

  #advertised(): string {
    const host = this.#options.advertiseHost ?? this.#crpc.host;
    return joinAddress(host, this.#crpc.port);
  }
}
