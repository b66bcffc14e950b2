/** A client for tests that speaks JSON, as a browser's console would: with the platform's own WebSocket. */
import { within } from '../../test/harness/eventually.ts';

export type Json = Readonly<Record<string, unknown>>;

export class JsonClient {
  readonly socket: WebSocket;
  /** Objects not yet taken by `next`. */
  readonly received: Json[] = [];
  readonly #closed: Promise<number>;
  readonly #look = new Set<() => void>();

  private constructor(socket: WebSocket) {
    this.socket = socket;
    const closed = Promise.withResolvers<number>();
    this.#closed = closed.promise;
    socket.addEventListener('message', ({ data }) => {
      this.received.push(JSON.parse(data as string) as Json);
      for (const look of this.#look) look();
    });
    socket.addEventListener('close', ({ code }) => closed.resolve(code));
  }

  /** Resolves with the status when the socket has closed. */
  get closed(): Promise<number> {
    return within('the end of the connection', this.#closed);
  }

  /** @param target path and query */
  static open(
    address: string,
    target = '/ws',
    protocols: string[] = ['gochat.v2.json'],
  ): Promise<JsonClient> {
    return new Promise((resolve, reject) => {
      const socket = new WebSocket(`ws://${address}${target}`, protocols);
      const client = new JsonClient(socket);
      socket.addEventListener('open', () => resolve(client));
      socket.addEventListener('error', () => reject(new Error(`no WebSocket at ${address}`)));
    });
  }

  send(json: Json): void {
    this.socket.send(JSON.stringify(json));
  }

  async login(token: string): Promise<Json> {
    this.send({ type: 'HELLO', version_min: 2, version_max: 2, token });
    return await this.next('WELCOME');
  }

  /** Removes and returns the next object of this type; others stay. */
  next(type: string, wants: (json: Json) => boolean = () => true): Promise<Json> {
    const { promise, resolve } = Promise.withResolvers<Json>();
    const look = () => {
      const found = this.received.findIndex((json) => json['type'] === type && wants(json));
      if (found < 0) return;
      this.#look.delete(look);
      resolve(this.received.splice(found, 1)[0] as Json);
    };
    this.#look.add(look);
    look();
    return within(() => `${type}; there are: ${JSON.stringify(this.received)}`, promise);
  }

  destroy(): void {
    this.socket.close();
  }
}
