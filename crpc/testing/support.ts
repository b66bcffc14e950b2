/** Helpers of crpc's tests: events awaited with a deadline, a proxy that fails on demand, and endpoints. */
import { once } from 'node:events';
import { createServer, connect } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { within } from '../../test/harness/eventually.ts';
import type { Endpoint } from '../registry/registry.ts';

/** Incoming values, awaited one by one or until one matches. */
export class Inbox<T> {
  readonly all: T[] = [];
  #read = 0;
  #wake: (() => void) | undefined;

  readonly push = (value: T): void => {
    this.all.push(value);
    this.#wake?.();
  };

  /** Returns the next matching value; earlier ones are skipped. */
  next(fits: (value: T) => boolean = () => true): Promise<T> {
    const what = () => `a value that fits; the last one is ${JSON.stringify(this.all.at(-1))}`;
    return within(what, this.#next(fits));
  }

  async #next(fits: (value: T) => boolean): Promise<T> {
    for (;;) {
      while (this.#read < this.all.length) {
        const value = this.all[this.#read++] as T;
        if (fits(value)) return value;
      }
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }
}

/** A TCP proxy in front of a server that can reset connections, refuse them, or go silent. */
export class FaultyProxy implements AsyncDisposable {
  #server;
  readonly #target: number;
  readonly #pairs = new Set<[Socket, Socket]>();
  #mode: 'pass' | 'refuse' | 'silent' = 'pass';

  private constructor(target: number) {
    this.#target = target;
    this.#server = createServer((socket) => this.#accept(socket));
  }

  static async to(address: string): Promise<FaultyProxy> {
    const proxy = new FaultyProxy(Number(address.slice(address.lastIndexOf(':') + 1)));
    proxy.#server.listen(0, '127.0.0.1');
    await once(proxy.#server, 'listening');
    return proxy;
  }

  get address(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Breaks every connection and refuses new ones. */
  cut(): void {
    this.#mode = 'refuse';
    for (const [a, b] of this.#pairs) {
      a.destroy();
      b.destroy();
    }
  }

  /** Keeps connections open but passes nothing on, like a dead host or a cut cable. */
  silence(): void {
    this.#mode = 'silent';
    for (const [a, b] of this.#pairs) {
      a.pause();
      b.pause();
    }
  }

  /** Accepts new connections again; silent ones are reset. */
  heal(): void {
    if (this.#mode === 'silent') this.cut();
    this.#mode = 'pass';
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cut();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #accept(socket: Socket): void {
    if (this.#mode === 'refuse') {
      socket.destroy();
      return;
    }
    if (this.#mode === 'silent') socket.pause();
    const upstream = connect(this.#target, '127.0.0.1');
    const pair: [Socket, Socket] = [socket, upstream];
    this.#pairs.add(pair);
    for (const [from, to] of [pair, [upstream, socket]] as const) {
      from.setNoDelay(true);
      from.on('data', (data) => {
        if (this.#mode === 'pass') to.write(data);
      });
      from.on('error', () => {});
      from.on('close', () => {
        to.destroy();
        this.#pairs.delete(pair);
      });
    }
  }
}

/** Returns an endpoint to register in a test. */
export function endpointOf(id: string, more: Partial<Endpoint> = {}): Endpoint {
  return {
    id,
    address: `${id}.test:1`,
    weight: 1,
    zone: '',
    version: '1',
    metadata: {},
    load: {},
    ...more,
  };
}
