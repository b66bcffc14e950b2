/** A client that follows no rules of its own: it sends and shows frames in their JSON form, on whatever wire. */
import { connect, type Socket } from 'node:net';
import { onTestFinished } from 'vitest';
import { WebSocket } from 'ws';
import { FrameParser, frameFromJson, frameToJson } from '../../proto/client.ts';
import { eventually } from '../harness/eventually.ts';
import type { System } from './system.ts';

export const WIRES = ['tcp', 'gochat.v2.proto', 'gochat.v2.json'] as const;
export type Wire = (typeof WIRES)[number];

/** A frame in its JSON form. */
export type Frame = Readonly<Record<string, unknown>>;

export class WireClient implements AsyncDisposable {
  /** Frames that no test has waited for yet. */
  readonly frames: Frame[] = [];
  /** Status of the close frame, once the WebSocket has ended; on TCP 0. */
  status: number | undefined;
  readonly wire: Wire;
  readonly webSocket: WebSocket | undefined;
  readonly #socket: Socket | undefined;
  readonly #parser = new FrameParser(1 << 24);
  #opened = false;
  #ref = 0;

  private constructor(system: System, wire: Wire, target: string) {
    this.wire = wire;
    if (wire === 'tcp') {
      const [host, port] = system.tcp.split(':') as [string, string];
      this.#socket = connect({ host, port: Number(port) });
      this.#socket.on('connect', () => (this.#opened = true));
      this.#socket.on('data', (chunk) => this.#take(chunk));
      this.#socket.on('error', () => undefined);
      this.#socket.on('close', () => (this.status = 0));
    } else {
      this.webSocket = new WebSocket(`ws://${system.ws}${target}`, [wire]);
      this.webSocket.on('open', () => (this.#opened = true));
      this.webSocket.on('message', (data: Buffer) => {
        if (wire === 'gochat.v2.json') this.frames.push(JSON.parse(data.toString()) as Frame);
        else this.#take(data);
      });
      this.webSocket.on('error', () => undefined);
      this.webSocket.on('close', (status) => (this.status = status));
    }
  }

  /** Connects and says nothing. */
  static async open(system: System, wire: Wire, target = '/ws'): Promise<WireClient> {
    const client = new WireClient(system, wire, target);
    await eventually(`a connection by ${wire}`, () => client.#opened);
    return client;
  }

  /** Connects, says HELLO and takes WELCOME, which is `welcome`. */
  static async hello(
    system: System,
    token: string,
    { wire = 'gochat.v2.json', ...fields }: { readonly wire?: Wire } & Frame = {},
  ): Promise<WireClient & { readonly welcome: Frame }> {
    const client = await WireClient.open(system, wire);
    client.send({ type: 'HELLO', version_min: 2, version_max: 2, token, ...fields });
    return Object.assign(client, { welcome: await client.next('WELCOME') });
  }

  /** Sends a frame by this client's wire. */
  send(frame: Frame): void {
    if (this.wire === 'gochat.v2.json') this.sendRaw(JSON.stringify(frame));
    else this.sendRaw(encode(frame));
  }

  /** Sends a WebSocket message, or bytes on TCP, as they are. */
  sendRaw(data: string | Uint8Array): void {
    if (this.webSocket !== undefined) this.webSocket.send(data);
    else this.#socket?.write(data);
  }

  /** Waits for a frame of this type that fits, and takes it out. */
  next(type: string, fits: (frame: Frame) => boolean = () => true): Promise<Frame> {
    return this.#first(type, (frame) => frame['type'] === type && fits(frame));
  }

  /** Sends a REQUEST and returns its answer, RESPONSE or NACK. */
  async ask(call: Frame, key = '0'): Promise<Frame> {
    const ref = (this.#ref % 65_535) + 1;
    this.#ref = ref;
    this.send({ type: 'REQUEST', ref, key, ...call });
    return await this.answer(ref);
  }

  /** Waits for RESPONSE or NACK with this ref. */
  answer(ref: number): Promise<Frame> {
    return this.#first(
      `the answer to ref ${ref}`,
      (frame) => (frame['type'] === 'RESPONSE' || frame['type'] === 'NACK') && (frame['ref'] ?? 0) === ref,
    );
  }

  /** Sends a text and returns its SENT or NACK. */
  async say(key: unknown, text: string, id: string = crypto.randomUUID()): Promise<Frame> {
    return await this.put(key, { client_msg_id: id, text });
  }

  /** Sends an entry and returns its SENT or NACK. */
  async put(key: unknown, fields: Frame): Promise<Frame> {
    const id = fields['client_msg_id'] ?? crypto.randomUUID();
    this.send({ type: 'SEND', ref: 1, key, ...fields, client_msg_id: id });
    return await this.#first(
      `the answer to ${JSON.stringify(fields)}`,
      (frame) => frame['client_msg_id'] === id && (frame['type'] === 'SENT' || frame['type'] === 'NACK'),
    );
  }

  /** Waits for the end and returns `status`. */
  async ended(): Promise<number> {
    await eventually('the connection to end', () => this.status !== undefined);
    return this.status as number;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket?.destroy();
    this.webSocket?.terminate();
    await this.ended();
  }

  /** Waits for a frame and takes it out; one that has not come when the connection ends never will. */
  async #first(what: string, fits: (frame: Frame) => boolean): Promise<Frame> {
    let found: Frame | undefined;
    await eventually(what, () => {
      const at = this.frames.findIndex(fits);
      if (at >= 0) [found] = this.frames.splice(at, 1);
      return found !== undefined || this.status !== undefined;
    });
    if (found !== undefined) return found;
    throw new Error(`ended with ${this.status} before ${what}: ${JSON.stringify(this.frames)}`);
  }

  #take(chunk: Uint8Array): void {
    this.#parser.push(chunk, (frame) => void this.frames.push(JSON.parse(frameToJson(frame)) as Frame));
  }
}

/** Sends what the server may leave out, now and every half second until the test ends. */
export function repeat(send: () => void): void {
  send();
  const timer = setInterval(send, 500);
  onTestFinished(() => clearInterval(timer));
}

/** Returns a frame as bytes. */
export function encode(frame: Frame): Uint8Array {
  const bytes = frameFromJson(JSON.stringify(frame));
  if (bytes instanceof Uint8Array) return bytes;
  throw new Error(`no frame: ${bytes.what}`);
}
