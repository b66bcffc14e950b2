/** The api server: a thin HTTP layer over state. It holds no keys and no database credentials. */
import type { AddressInfo } from 'node:net';
import {
  acceptErrorLog,
  Cors,
  joinAddress,
  listenError,
  type Logger,
  once,
  type Server,
  type ServerCertificate,
  TrustedProxies,
} from '../common/mod.ts';
import type { Registry, TlsOptions } from '../crpc/mod.ts';
import { type App, createApp } from './app.ts';
import { GatewayList } from './gateway-list.ts';
import { RequestLimit } from './request-limit.ts';
import { OpenId, type OpenIdOptions } from './open-id.ts';
import type { PageOptions } from './routes/page.ts';
import { State } from './state.ts';
import { WebSockets, type WebSocketsOptions } from './web-sockets.ts';

export interface ApiOptions {
  /** @default 'api' */
  readonly name?: string;
  /** @default '127.0.0.1' */
  readonly host?: string;
  /** 0 takes a free one. @default 8080 */
  readonly port?: number;
  /** Command-line flag of the port, for errors. @default '--port' */
  readonly portFlag?: string;
  /** Certificate of the port; undefined: no TLS. */
  readonly certificate?: ServerCertificate | undefined;
  readonly registry: Registry;
  readonly logger: Logger;
  /** Proxies whose X-Forwarded-For is believed; see TrustedProxies. @default '' none */
  readonly trustProxy?: string;
  /** Origins of web pages that may call; see Cors. @default '' none */
  readonly corsOrigins?: string;
  /** Secret that GoChat servers show each other. */
  readonly clusterToken?: string | undefined;
  /** TLS to state. @default none */
  readonly tls?: TlsOptions | undefined;
  /** Requests per second of an address (IPv6: of a /64); 0: no limit. @default 1_000 */
  readonly ratePerSecond?: number;
  /** Requests of an address at once. @default 3_000 */
  readonly rateBurst?: number;
  /** The gateway of the same process, to which `/ws` is piped. @default one of the registry's */
  readonly gateway?: WebSocketsOptions['gateway'];
  /** An OpenID Connect provider by which users may log in. @default none */
  readonly openId?: OpenIdOptions | undefined;
  /** The web page at `/`. @default none */
  readonly page?: PageOptions | undefined;
  /** Deadline of a call to state. @default 5_000 ms */
  readonly deadlineMs?: number;
  /** Most HTTP connections; further ones are closed on arrival. @default 10_000 */
  readonly maxConnections?: number;
}

/** Serves accounts, rooms and history over HTTP, with OpenAPI at /docs. */
export class ApiServer implements Server {
  readonly name: string;
  readonly #host: string;
  readonly #port: number;
  readonly #options: ApiOptions;
  readonly #logger: Logger;
  readonly #limit: RequestLimit;
  #webSockets: WebSockets | undefined;
  #gatewayList: GatewayList | undefined;
  #state: State | undefined;
  #app: App | undefined;
  #address = '';
  #draining = false;

  constructor(options: ApiOptions) {
    this.name = options.name ?? 'api';
    this.#host = options.host ?? '127.0.0.1';
    this.#port = options.port ?? 8080;
    this.#options = options;
    this.#logger = options.logger;
    const { ratePerSecond: perSecond = 1_000, rateBurst: burst = 3_000 } = options;
    this.#limit = new RequestLimit({ perSecond, burst });
  }

  /** Listening address, host:port, once started. */
  get address(): string {
    return this.#address;
  }

  readonly start = once(async () => {
    const {
      registry,
      clusterToken,
      tls,
      deadlineMs = 5_000,
      trustProxy = '',
      corsOrigins = '',
    } = this.#options;
    const state = new State({ registry, deadlineMs, clusterToken, tls, logger: this.#logger });
    this.#state = state;
    const proxies = new TrustedProxies(trustProxy);
    const { gateway } = this.#options;
    const webSockets = new WebSockets({ registry, gateway, proxies, logger: this.#logger });
    this.#webSockets = webSockets;
    const { page } = this.#options;
    if (page?.gateways !== undefined && page.gateways.length > 0)
      this.#gatewayList = new GatewayList({ registry, logger: this.#logger });
    this.#app = await createApp({
      state,
      logger: this.#logger,
      proxies,
      cors: new Cors(corsOrigins),
      limit: this.#limit,
      isDraining: () => this.#draining,
      certificate: this.#options.certificate,
      page: this.#options.page,
      gatewayList: this.#gatewayList,
      openId: this.#options.openId && new OpenId(this.#options.openId),
    });
    this.#app.server.on('upgrade', (request, socket, head) => void webSockets.upgrade(request, socket, head));
    this.#app.server.maxConnections = this.#options.maxConnections ?? 10_000;
    try {
      await this.#app.listen({ host: this.#host, port: this.#port });
    } catch (cause) {
      await this.stop();
      const { code, message } = cause as NodeJS.ErrnoException;
      const flag = this.#options.portFlag ?? '--port';
      throw listenError(code ?? message, { host: this.#host, port: this.#port, flag }, cause);
    }
    this.#app.server.on('error', acceptErrorLog(this.#logger));
    this.#address = joinAddress(this.#host, (this.#app.server.address() as AddressInfo).port);
    this.#logger.info({ address: this.address }, 'api listens');
  });

  /** Refuses new requests with SERVER_DRAINING and finishes those in flight. */
  async drain(deadlineMs: number): Promise<void> {
    if (this.#draining) return;
    this.#draining = true;
    this.#webSockets?.close();
    const deadline = setTimeout(() => this.#app?.server.closeAllConnections(), deadlineMs);
    await this.#app?.close();
    clearTimeout(deadline);
  }

  readonly stop = once(async () => {
    this.#draining = true;
    this.#webSockets?.close();
    this.#app?.server.closeAllConnections();
    await this.#app?.close();
    this.#gatewayList?.close();
    this.#state?.close();
    this.#limit[Symbol.dispose]();
  });

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  readiness(): string | undefined {
    if (this.#draining) return 'draining';
    if (!this.#app?.server.listening) return 'not listening';
    return this.#state?.unavailable();
  }
}
