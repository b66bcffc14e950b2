/** A client that makes calls one after another, over WebSocket, in either form. */
import {
  client,
  encodeFrame,
  FrameParser,
  framePayload,
  FrameType,
  frameFromJson,
  frameToJson,
  frameType,
  PROTOCOL_VERSION,
} from '../../proto/mod.ts';

export type Form = 'proto' | 'json';
type Call = NonNullable<client.Request['call']>;
type Result = NonNullable<client.Response['result']>;

/** An answer with its size on the wire, bytes, and how long it took. */
export interface Answer<Case extends Result['$case']> {
  readonly result: Extract<Result, { $case: Case }>;
  readonly bytes: number;
  readonly ms: number;
}

const MAX_FRAME_BYTES = 1 << 24;

export class CallClient implements Disposable {
  readonly #socket: WebSocket;
  readonly #form: Form;
  #answer = Promise.withResolvers<{ readonly frame: Uint8Array; readonly bytes: number }>();

  private constructor(socket: WebSocket, form: Form) {
    this.#socket = socket;
    this.#form = form;
    socket.binaryType = 'arraybuffer';
    const parser = new FrameParser(MAX_FRAME_BYTES);
    socket.addEventListener('message', ({ data }: { data: unknown }) => {
      if (typeof data === 'string') {
        const frame = frameFromJson(data);
        if (frame instanceof Uint8Array) this.#take(frame, Buffer.byteLength(data));
      } else {
        parser.push(new Uint8Array(data as ArrayBuffer), (frame) => {
          this.#take(frame.slice(), frame.byteLength);
          return true;
        });
      }
    });
    socket.addEventListener('close', () => this.#answer.reject(new Error('The connection has ended.')));
  }

  /** Connects and logs in. @param address host:port of the gateway's WebSocket */
  static async open(address: string, form: Form, token: string): Promise<CallClient> {
    const socket = new WebSocket(`ws://${address}/ws`, [`gochat.v2.${form}`]);
    const opened = Promise.withResolvers<void>();
    socket.addEventListener('open', () => opened.resolve());
    socket.addEventListener('error', () => opened.reject(new Error(`No WebSocket at ${address}.`)));
    await opened.promise;
    const one = new CallClient(socket, form);
    const hello = client.Hello.fromPartial({
      versionMin: PROTOCOL_VERSION,
      versionMax: PROTOCOL_VERSION,
      token,
      device: `bench-${form}`,
    });
    await one.#ask(FrameType.HELLO, 0n, client.Hello.encode(hello).finish());
    return one;
  }

  /** Makes a call on the conversation `key`; 0: none. */
  async call<Case extends Result['$case']>(key: bigint, call: Call, expected: Case): Promise<Answer<Case>> {
    const began = performance.now();
    const { frame, bytes } = await this.#ask(
      FrameType.REQUEST,
      key,
      client.Request.encode({ call }).finish(),
    );
    const ms = performance.now() - began;
    const { result } = client.Response.decode(framePayload(frame));
    if (result?.$case !== expected) throw new Error(`${call.$case} was answered with ${result?.$case}.`);
    return { result: result as Extract<Result, { $case: Case }>, bytes, ms };
  }

  [Symbol.dispose](): void {
    this.#socket.close();
  }

  #ask(type: FrameType, key: bigint, payload: Uint8Array) {
    this.#answer = Promise.withResolvers();
    const frame = encodeFrame(type, 1, key, payload);
    this.#socket.send(this.#form === 'json' ? frameToJson(frame) : frame);
    return this.#answer.promise;
  }

  /** Takes what answers; a refusal or the server's end of the connection is none. */
  #take(frame: Uint8Array, bytes: number): void {
    const type = frameType(frame);
    if (type === FrameType.WELCOME || type === FrameType.RESPONSE) this.#answer.resolve({ frame, bytes });
    if (type === FrameType.NACK || type === FrameType.CLOSE)
      this.#answer.reject(new Error(`Refused: ${frameToJson(frame)}`));
  }
}
