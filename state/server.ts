/** The state server: owns sessions, delivery and the log; composes its parts and runs them from start to stop. */
import { randomUUID } from 'node:crypto';
import {
  type ConversationId,
  GochatError,
  type Logger,
  type MessageId,
  once,
  type Server,
  type SessionId,
  type UserId,
} from '../common/mod.ts';
import { type BatchStream, CrpcServer, type Registration, type Registry } from '../crpc/mod.ts';
import { link, state } from '../proto/mod.ts';
import { Accounts, type SeedAccount } from './chat/accounts.ts';
import { Passwords } from './chat/passwords.ts';
import { Receipts } from './chat/receipts.ts';
import { Requests } from './chat/requests.ts';
import { Rooms } from './chat/rooms.ts';
import { accountService, chatService } from './chat/service.ts';
import { Tokens } from './chat/tokens.ts';
import { Fanout } from './delivery/fanout.ts';
import { Replay } from './delivery/replay.ts';
import { SendParser } from './delivery/send-parser.ts';
import { Sequencer } from './delivery/sequencer.ts';
import { Health } from './health.ts';
import type { HotState } from './hot/hot-state.ts';
import { DEFAULT_LIMITS, type StateLimits } from './limits.ts';
import { Link, type LinkContext } from './link.ts';
import { type StateMetrics, stateMetrics } from './metrics.ts';
import { NodeIds } from './node-ids.ts';
import type { Downlink } from './session/downlink.ts';
import { LocationMap } from './session/location-map.ts';
import { Sessions } from './session/sessions.ts';
import type { Store } from './store/store.ts';

const SERVICE = 'state';
const JWKS_KEY = 'jwks';
const DEFAULT_TOKEN_TTL_MS = 3_600_000;
const HEALTH_INTERVAL_MS = 2000;

export interface StateServerOptions {
  readonly name: string;
  /** @default 127.0.0.1 */
  readonly host?: string | undefined;
  /** Port of the crpc server; 0 takes a free one. */
  readonly port: number;
  /** Host under which others reach this server. @default host */
  readonly advertiseHost?: string | undefined;
  /** Failure domain; empty: none. */
  readonly zone?: string | undefined;
  /** Registry, store and hot state belong to the caller, who closes them after `stop`. */
  readonly registry: Registry;
  readonly store: Store;
  readonly hot: HotState;
  readonly logger: Logger;
  /** Lifetime of access tokens. @default 3600000 ms */
  readonly tokenTtlMs?: number | undefined;
  /** Shared secret of the cluster's servers; without it anyone who reaches the port may call. */
  readonly clusterToken?: string | undefined;
  /** Longest text of a message, bytes of UTF-8. @default 16384 */
  readonly maxTextBytes?: number | undefined;
  readonly limits?: Partial<StateLimits> | undefined;
}

/** One state node. Any number of them run side by side on the same store, hot state and registry. */
export class StateServer implements Server {
  readonly name: string;
  readonly #options: StateServerOptions;
  readonly #limits: StateLimits;
  readonly #logger: Logger;
  readonly #ids: NodeIds;
  readonly #locations = new LocationMap<Downlink>();
  readonly #links = new Set<Link>();
  readonly #metrics: StateMetrics;
  readonly #fanout: Fanout;
  readonly #sequencer: Sequencer;
  readonly #sessions: Sessions;
  readonly #receipts: Receipts;
  readonly #rooms: Rooms;
  readonly #accounts: Accounts;
  readonly #linkContext: LinkContext;
  readonly #crpc: CrpcServer;
  readonly #health: Health;
  #registration: Registration | undefined;
  #phase: 'new' | 'serving' | 'draining' | 'stopped' = 'new';

  constructor(options: StateServerOptions) {
    const { store, hot, registry } = options;
    this.name = options.name;
    this.#options = options;
    this.#logger = options.logger;
    const textBytes = options.maxTextBytes ?? DEFAULT_LIMITS.textBytes;
    this.#limits = Object.freeze({ ...DEFAULT_LIMITS, textBytes, ...options.limits });
    const [limits, logger, locations] = [this.#limits, this.#logger, this.#locations];
    this.#metrics = stateMetrics({
      sessions: () => locations.size,
      queueRows: () => this.#sequencer.queueRows,
    });
    const metrics = this.#metrics;
    this.#ids = new NodeIds({ registry, logger, onRegained: () => this.#sequencer.flush() });
    this.#fanout = new Fanout({ store, locations, limits, metrics, logger });
    this.#sequencer = new Sequencer({
      store,
      fanout: this.#fanout,
      replay: new Replay({ store, fanout: this.#fanout, logger, maxRuns: limits.queueRows }),
      limits,
      metrics,
      logger,
      nextId: () => this.#ids.next() as MessageId,
      canMakeIds: () => this.#ids.available,
    });
    this.#sessions = new Sessions({ hot, limits, logger, nextSession: () => this.#ids.next() as SessionId });
    this.#receipts = new Receipts(store, limits.cursorMoves, logger);
    this.#rooms = new Rooms({
      store,
      isOnline: (user) => locations.isOnline(user),
      nextConversation: () => this.#ids.next() as ConversationId,
    });
    this.#accounts = new Accounts({
      store,
      hot,
      passwords: new Passwords(limits.hashing, limits.hashQueue),
      limits,
      nextUser: () => this.#ids.next() as UserId,
    });
    this.#linkContext = {
      locations,
      sessions: this.#sessions,
      sequencer: this.#sequencer,
      requests: new Requests(this.#rooms, metrics, limits.requests),
      receipts: this.#receipts,
      sendParser: new SendParser(limits.textBytes),
      limits,
      metrics,
      logger,
    };
    this.#crpc = new CrpcServer({
      logger,
      port: options.port,
      ...(options.host === undefined ? undefined : { host: options.host }),
      ...(options.clusterToken === undefined ? undefined : { token: options.clusterToken }),
    });
    this.#health = new Health(
      [
        { name: 'store', ping: () => store.ping() },
        { name: 'hot state', ping: () => hot.ping() },
      ],
      HEALTH_INTERVAL_MS,
    );
  }

  /** host:port of the crpc server, after start. */
  get address(): string {
    return this.#crpc.address;
  }

  /**
   * Loads the signing key, listens, publishes the public keys and registers.
   * @throws GochatError PORT_IN_USE, STORE_UNAVAILABLE, REGISTRY_UNREACHABLE
   */
  readonly start = once(async () => {
    const { registry, store, tokenTtlMs } = this.#options;
    try {
      const tokens = await Tokens.open(store, tokenTtlMs ?? DEFAULT_TOKEN_TTL_MS);
      await this.#ids.acquire();
      this.#crpc
        .addService(state.AccountServiceService, accountService(this.#accounts, tokens))
        .addService(state.ChatServiceService, chatService(this.#rooms, tokens))
        .addBatchService(link.LinkServiceService, (stream) => this.#accept(stream));
      await this.#crpc.start();
      await registry.publish(JWKS_KEY, tokens.jwks);
      this.#registration = await registry.register(SERVICE, {
        id: randomUUID(),
        address: this.#advertised(),
        weight: 1,
        zone: this.#options.zone ?? '',
        version: '',
        metadata: { name: this.name },
        load: {},
      });
      this.#health.start();
      this.#health.check();
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
  readonly drain = onceWith(async (deadlineMs: number) => {
    if (this.#phase !== 'serving') return;
    this.#phase = 'draining';
    const begun = performance.now();
    const left = (): number => Math.max(0, deadlineMs - (performance.now() - begun));
    await this.#within(left(), [this.#registration?.deregister()]);
    this.#sessions.drain();
    await this.#within(left(), [
      this.#sequencer.drain().then(() => this.#fanout.settled()),
      this.#linkContext.requests.drain(),
      this.#receipts.flush(),
    ]);
    await this.#crpc.drain(left());
    await this.stop();
  });

  readonly stop = once(async () => {
    this.#phase = 'stopped';
    this.#health.stop();
    this.#sequencer.stop();
    this.#fanout.stop();
    this.#receipts.stop();
    for (const open of this.#links) open.close();
    await this.#crpc.stop();
    // The registry may be gone; its leases then end by themselves.
    const results = await Promise.allSettled([this.#registration?.deregister(), this.#ids.close()]);
    for (const result of results) {
      if (result.status === 'rejected')
        this.#logger.warn({ err: result.reason as unknown }, 'registry at stop');
    }
  });

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  readiness(): string | undefined {
    if (this.#phase !== 'serving') return `the server is ${this.#phase}`;
    if (!this.#ids.available) return 'registry: the node has no number';
    return this.#health.problem;
  }

  /** Makes the accounts that are missing; for the demo mode and tests, also before `start`. */
  async seedAccounts(accounts: readonly SeedAccount[]): Promise<void> {
    await this.#ids.acquire();
    await this.#accounts.seed(accounts);
  }

  #accept(stream: BatchStream): Link {
    if (this.#phase === 'draining' || this.#phase === 'stopped') throw new GochatError('SERVER_DRAINING');
    const accepted: Link = new Link(stream, this.#linkContext, () => this.#links.delete(accepted));
    this.#links.add(accepted);
    return accepted;
  }

  /** Waits until all are done, but no longer than `ms`; what fails does not hold up a drain. */
  async #within(ms: number, steps: readonly (Promise<void> | undefined)[]): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, ms);
    });
    const done = Promise.allSettled(steps).then((results) => {
      for (const result of results) {
        if (result.status === 'rejected')
          this.#logger.warn({ err: result.reason as unknown }, 'while draining');
      }
    });
    await Promise.race([done, late]);
    clearTimeout(timer);
  }

  #advertised(): string {
    const host = this.#options.advertiseHost ?? this.#crpc.host;
    return `${host.includes(':') ? `[${host}]` : host}:${this.#crpc.port}`;
  }
}

/** Like `once`, for a function of one argument: that of the first call counts. */
function onceWith<A, T>(run: (argument: A) => Promise<T>): (argument: A) => Promise<T> {
  let running: Promise<T> | undefined;
  return (argument) => {
    running ??= run(argument);
    return running;
  };
}
