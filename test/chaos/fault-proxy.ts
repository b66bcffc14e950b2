/** A TCP proxy with the faults of networks: delay, slice, hold, half-close, reset, refuse. */
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { resetSocket } from '../../common/mod.ts';
import { Flow, type FlowFault } from './flow.ts';
import type { Random } from './random.ts';

/** Seen from the side that connected: `up` leaves it, `down` comes back. */
export type Direction = 'up' | 'down';

/** Faults on connections until `heal`. */
export interface ConnectionFault {
  readonly up?: FlowFault;
  readonly down?: FlowFault;
  /** New connections are reset at once. */
  readonly refuse?: boolean;
}

export interface FaultProxyOptions {
  readonly host: string;
  /** 0: a free one. */
  readonly port: number;
  readonly target: { readonly host: string; readonly port: number };
  readonly random: Random;
}

interface Pair {
  readonly client: Socket;
  readonly server: Socket;
  readonly flows: Readonly<Record<Direction, Flow>>;
}

/** Passes bytes on unchanged until told otherwise. */
export class FaultProxy implements AsyncDisposable {
  readonly #options: FaultProxyOptions;
  readonly #server: Server;
  readonly #pairs = new Set<Pair>();
  #fault: ConnectionFault = {};
  #share = 0;

  private constructor(options: FaultProxyOptions) {
    this.#options = options;
    this.#server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => this.#accept(client));
  }

  static async start(options: FaultProxyOptions): Promise<FaultProxy> {
    const proxy = new FaultProxy(options);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    proxy.#server.once('error', reject);
    proxy.#server.listen(options.port, options.host, resolve);
    await promise;
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get connections(): number {
    return this.#pairs.size;
  }

  /** Applies a fault to this share of present and future connections, until `heal`. */
  impose(fault: ConnectionFault, share = 1): void {
    this.#fault = fault;
    this.#share = share;
    for (const pair of this.#pairs) if (this.#options.random.chance(share)) afflict(pair, fault);
  }

  /** Ends the faults of `impose`; held bytes are sent. */
  heal(): void {
    this.#share = 0;
    for (const pair of this.#pairs) afflict(pair, {});
  }

  /** Ends connections with RST on both sides. */
  reset(share = 1): void {
    for (const pair of this.#chosen(share)) this.#drop(pair);
  }

  /** Ends one direction of connections with FIN; the other goes on. */
  halfClose(direction: Direction, share = 1): void {
    for (const pair of this.#chosen(share)) pair.flows[direction].end();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.reset();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #chosen(share: number): Pair[] {
    return [...this.#pairs].filter(() => this.#options.random.chance(share));
  }

  #accept(client: Socket): void {
    const afflicted = this.#share > 0 && this.#options.random.chance(this.#share);
    if (afflicted && this.#fault.refuse === true) {
      client.on('error', () => undefined);
      resetSocket(client);
      return;
    }
    const server = connect({ ...this.#options.target, allowHalfOpen: true, noDelay: true });
    const { random } = this.#options;
    const pair: Pair = {
      client,
      server,
      flows: { up: new Flow(client, server, random), down: new Flow(server, client, random) },
    };
    this.#pairs.add(pair);
    if (afflicted) afflict(pair, this.#fault);
    for (const [socket, flow] of [
      [client, pair.flows.up],
      [server, pair.flows.down],
    ] as const) {
      // A break on one side is passed to the other.
      socket.on('error', () => flow.reset(() => this.#drop(pair)));
      socket.on('close', () => {
        if (client.destroyed && server.destroyed) this.#pairs.delete(pair);
      });
    }
  }

  #drop(pair: Pair): void {
    this.#pairs.delete(pair);
    for (const flow of Object.values(pair.flows)) flow.stop();
    resetSocket(pair.client);
    resetSocket(pair.server);
  }
}

function afflict(pair: Pair, fault: ConnectionFault): void {
  pair.flows.up.fault = fault.up ?? {};
  pair.flows.down.fault = fault.down ?? {};
}
