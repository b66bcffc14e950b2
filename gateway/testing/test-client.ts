/** A client for tests: frames in, frames out, on TCP or WebSocket. */
import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { WebSocket } from 'ws';
import {
  client,
  decodeHeader,
  encodeFrame,
  FrameParser,
  framePayload,
  FrameType,
  type FrameHeader,
} from '../../proto/mod.ts';
import { within } from '../../test/harness/eventually.ts';
import { WS_PROTO } from '../accept/listener-ws.ts';

export interface ReceivedFrame extends FrameHeader {
  readonly payload: Uint8Array;
}

interface Waiter {
  readonly wants: (frame: ReceivedFrame) => boolean;
  readonly resolve: (frame: ReceivedFrame) => void;
}

export class TestClient {
  /** Frames not yet taken by `next`. */
  readonly received: ReceivedFrame[] = [];
  readonly socket: Socket | WebSocket;
  readonly #closed: Promise<number | undefined>;
  readonly #waiters = new Set<Waiter>();
  readonly #parser = new FrameParser(1 << 24);

  constructor(socket: Socket | WebSocket) {
    this.socket = socket;
    const closed = Promise.withResolvers<number | undefined>();
    this.#closed = closed.promise;
    if (socket instanceof WebSocket) {
      socket.on('message', (data: Buffer) => this.#take(data));
      socket.on('close', (status) => closed.resolve(status));
      socket.on('error', () => {});
    } else {
      socket.on('data', (data) => this.#take(data));
      socket.on('close', () => closed.resolve(undefined));
      socket.on('error', () => {});
    }
  }

  /** @param ca authority of the gateway's certificate; undefined: no TLS */
  static tcp(address: string, ca?: Buffer): Promise<TestClient> {
    const { hostname, port } = new URL(`tcp://${address}`);
    const target = { host: hostname.replace(/^\[(.*)\]$/, '$1'), port: Number(port) };
    return new Promise((resolve, reject) => {
      const socket = ca === undefined ? connect(target) : connectTls({ ...target, ca });
      const test = new TestClient(socket);
      socket.once(ca === undefined ? 'connect' : 'secureConnect', () => resolve(test)).once('error', reject);
    });
  }

  /** @param target path and query */
  static ws(
    address: string,
    protocols: readonly string[] = [WS_PROTO],
    target = '/ws',
    ca?: Buffer,
  ): Promise<TestClient> {
    return new Promise((resolve, reject) => {
      const scheme = ca === undefined ? 'ws' : 'wss';
      const socket = new WebSocket(`${scheme}://${address}${target}`, [...protocols], ca && { ca });
      const test = new TestClient(socket);
      socket.once('open', () => resolve(test)).once('error', reject);
    });
  }

  /** Resolves when the socket has closed, on WebSocket with the status. */
  get closed(): Promise<number | undefined> {
    return within('the end of the connection', this.#closed);
  }

  write(bytes: Uint8Array): void {
    if (this.socket instanceof WebSocket) this.socket.send(bytes);
    else this.socket.write(bytes);
  }

  hello(token: string, more: Partial<client.Hello> = {}): void {
    const hello = client.Hello.fromPartial({ versionMin: 2, versionMax: 2, token, client: 'test', ...more });
    this.write(encodeFrame(FrameType.HELLO, 0, 0n, client.Hello.encode(hello).finish()));
  }

  /** Sends HELLO and waits for WELCOME. */
  async login(token: string, more: Partial<client.Hello> = {}): Promise<client.Welcome> {
    this.hello(token, more);
    return client.Welcome.decode((await this.next(FrameType.WELCOME)).payload);
  }

  send(ref: number, conversation: bigint, text: string): void {
    const send = client.Send.encode(client.Send.fromPartial({ clientMsgId: `id-${ref}`, text })).finish();
    this.write(encodeFrame(FrameType.SEND, ref, conversation, send));
  }

  /** Removes and returns the next frame of this type; others stay. */
  next(type: number, wants: (frame: ReceivedFrame) => boolean = () => true): Promise<ReceivedFrame> {
    const found = this.received.findIndex((frame) => frame.type === type && wants(frame));
    if (found >= 0) return Promise.resolve(this.received.splice(found, 1)[0] as ReceivedFrame);
    const { promise, resolve } = Promise.withResolvers<ReceivedFrame>();
    this.#waiters.add({ wants: (frame) => frame.type === type && wants(frame), resolve });
    const seen = () => this.received.map((frame) => frame.type).join(', ');
    return within(() => `a frame of type ${type}; there are: ${seen()}`, promise);
  }

  async nextClose(): Promise<client.Close> {
    return client.Close.decode((await this.next(FrameType.CLOSE)).payload);
  }

  async nextNack(ref: number): Promise<client.Nack> {
    return client.Nack.decode((await this.next(FrameType.NACK, (frame) => frame.ref === ref)).payload);
  }

  async nextMessage(): Promise<client.Message> {
    return client.Message.decode((await this.next(FrameType.MESSAGE)).payload);
  }

  destroy(): void {
    if (this.socket instanceof WebSocket) this.socket.terminate();
    else this.socket.destroy();
  }

  #take(chunk: Uint8Array): void {
    this.#parser.push(chunk, (bytes) => {
      const frame = { ...decodeHeader(bytes), payload: framePayload(bytes) };
      for (const waiter of this.#waiters) {
        if (!waiter.wants(frame)) continue;
        this.#waiters.delete(waiter);
        waiter.resolve(frame);
        return undefined;
      }
      this.received.push(frame);
      return undefined;
    });
  }
}
