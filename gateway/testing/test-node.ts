/** A worker node in this thread, in front of fake state nodes. */
import { joinAddress, type Logger, silentLogger } from '../../common/mod.ts';
import { BatchLink } from '../../crpc/mod.ts';
import { link, LINK_PROTOCOL } from '../../proto/mod.ts';
import { within } from '../../test/harness/eventually.ts';
import type { TlsMaterial } from '../accept/tls-material.ts';
import { DEFAULT_LIMITS, type GatewayLimits } from '../limits.ts';
import type { OpenLink } from '../route/state-link.ts';
import { TestClient } from './test-client.ts';
import type { FakeState } from './test-state.ts';
import type { TokenMaker } from './test-tokens.ts';
import { WorkerNode } from '../supervisor/worker-node.ts';

const HOST = '127.0.0.1';

export const openBatchLink: OpenLink = (address, handler) =>
  new BatchLink({
    address,
    handler,
    service: link.LinkServiceService,
    protocol: LINK_PROTOCOL,
    logger: silentLogger,
    backoff: { baseMs: 10, maxMs: 50 },
  });

export interface TestNodeOptions {
  readonly open?: OpenLink;
  readonly logger?: Logger;
  readonly requireTicket?: boolean;
  readonly tls?: TlsMaterial;
  /** Authority that the clients trust; given: they use TLS. */
  readonly ca?: Buffer;
  /** Address to listen on. @default 127.0.0.1 */
  readonly host?: string;
}

export class TestNode implements AsyncDisposable {
  readonly node: WorkerNode;
  /** Ended with the node. */
  readonly clients: { destroy(): void }[] = [];
  #ca: Buffer | undefined;
  #waiting: { readonly links: number; readonly resolve: () => void }[] = [];
  address = '';
  wsAddress = '';

  private constructor(
    limits: Partial<GatewayLimits>,
    { open = openBatchLink, logger = silentLogger, tls, requireTicket = false }: TestNodeOptions,
  ) {
    this.node = new WorkerNode({
      gateway: 5,
      gatewayName: 'gateway-test',
      worker: 2,
      limits: { ...DEFAULT_LIMITS, ...limits },
      open,
      clientTls: tls,
      logger,
      requireTicket,
      onRouteChange: () => {
        for (const { links, resolve } of this.#waiting) if (this.node.stats.readyLinks === links) resolve();
      },
    });
  }

  static async start(
    tokens: TokenMaker,
    states: readonly FakeState[],
    limits: Partial<GatewayLimits> = {},
    options: TestNodeOptions = {},
  ): Promise<TestNode> {
    const { host = HOST, ca } = options;
    const test = new TestNode(limits, options);
    test.#ca = ca;
    test.node.setKeys(tokens.jwks);
    await test.listen(host);
    if (states.length > 0) await test.reach(states);
    return test;
  }

  /** Uses these state nodes and waits until all of them are ready. */
  reach(states: readonly FakeState[]): Promise<void> {
    const ready = this.links(states.length);
    this.node.setStateNodes(states.map(({ address }) => ({ id: address, address, maxTextBytes: 16_384 })));
    return ready;
  }

  /** Resolves when exactly this number of state nodes is ready. */
  links(count: number): Promise<void> {
    if (this.node.stats.readyLinks === count) return Promise.resolve();
    const reached = new Promise<void>((resolve) => this.#waiting.push({ links: count, resolve }));
    return within(`${count} state nodes that take frames`, reached);
  }

  /** Listens on free ports, or again on the same ones. */
  async listen(host = HOST): Promise<void> {
    for (const kind of ['tcp', 'ws'] as const) {
      const known = kind === 'tcp' ? this.address : this.wsAddress;
      const wanted = Number(known.split(':').at(-1));
      const port = await this.node.listen(kind, { host, port: wanted, reusePort: false });
      if (kind === 'tcp') this.address = joinAddress(host, port);
      else this.wsAddress = joinAddress(host, port);
    }
  }

  async tcp(): Promise<TestClient> {
    const client = await TestClient.tcp(this.address, this.#ca);
    this.clients.push(client);
    return client;
  }

  async ws(protocols?: readonly string[], target?: string): Promise<TestClient> {
    const client = await TestClient.ws(this.wsAddress, protocols, target, this.#ca);
    this.clients.push(client);
    return client;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of this.clients) client.destroy();
    await this.node.stop();
  }
}
