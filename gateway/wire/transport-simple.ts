/** WebSocket without a subprotocol: the simple forms. Each connection has an adapter; others pay nothing for it. */
import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import type { WebSocket } from 'ws';
import { encodeFrame, FrameParser, FrameType, frameType } from '../../proto/mod.ts';
import { type Connection, Phase } from '../connections/connection.ts';
import { type Downlink, joinFrames } from '../push/downlink.ts';
import { parseMessage, type ServerMessage } from './simple-messages.ts';
import { SimpleSession } from './simple-session.ts';
import { NO_CLOSE_FRAME, wasCutOff } from './socket-ends.ts';
import { cutSocket, type TransportEvents } from './transport.ts';
import { WsTransport } from './transport-ws.ts';
import { protoWire } from './ws-wire-proto.ts';

/** Most messages between `auth` and its answer. */
const MAX_EARLY = 16;
/** The server's frames are the gateway's own, so there is no limit to check. */
const ANY_FRAME_BYTES = 0xffff_ffff;

/**
 * What the gateway writes to in place of the socket: it takes frames, and sends the messages that follow from them. Its
 * queue is that of the socket, so a client that does not read is seen as such.
 */
class SimpleOutput extends Duplex {
  readonly webSocket: WebSocket;
  readonly raw: Socket;
  /** Messages that came before WELCOME. */
  readonly early: string[] = [];
  session: SimpleSession | undefined;
  heartbeat: NodeJS.Timeout | undefined;
  onWelcome: () => void = () => undefined;
  readonly #parser = new FrameParser(ANY_FRAME_BYTES);

  constructor(webSocket: WebSocket, raw: Socket) {
    super();
    this.webSocket = webSocket;
    this.raw = raw;
  }

  override _read(): void {}

  override _write(frames: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    this.#parser.push(frames, (frame) => {
      this.session?.onFrame(frame);
      if (frameType(frame) === FrameType.WELCOME) this.onWelcome();
      return true;
    });
    // Behind all that was sent: this ends when the socket has taken it.
    if (this.raw.writableLength === 0) done();
    else this.raw.write('', () => done());
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    clearInterval(this.heartbeat);
    this.session?.close();
    done(error);
  }

  tell(message: ServerMessage): void {
    this.webSocket.send(JSON.stringify(message));
  }
}

export class SimpleTransport extends WsTransport {
  readonly #events: TransportEvents;
  readonly #maxFrameBytes: number;

  constructor(
    events: TransportEvents,
    maxFrameBytes: number,
    hasPart: ConstructorParameters<typeof WsTransport>[3],
  ) {
    super(events, protoWire, maxFrameBytes, hasPart);
    this.#events = events;
    this.#maxFrameBytes = maxFrameBytes;
  }

  override pack(frames: Downlink, owned: boolean): Buffer {
    return joinFrames(frames, owned);
  }

  override end(connection: Connection): void {
    outputOf(connection).end(() => super.end(connection));
  }

  override destroy(connection: Connection): void {
    cutSocket(outputOf(connection).raw);
  }

  override receive(connection: Connection, message: Buffer, isBinary: boolean): void {
    const events = this.#events;
    if (connection.partialBytes > 0) events.onWhole(connection);
    events.onBytes(message.length);
    if (connection.phase >= Phase.CLOSING) return;
    if (isBinary) events.onFault(connection, { code: 'JSON_INVALID', details: { what: 'it is binary' } }, 0);
    else if (message.length > this.#maxFrameBytes)
      events.onFault(connection, { code: 'FRAME_TOO_LARGE', details: { max: this.#maxFrameBytes } }, 0);
    else if (connection.phase > Phase.HELLO && connection.phase < Phase.LIVE) this.#keep(connection, message);
    else this.#take(connection, message.toString());
    events.mustWait(connection);
  }

  override gone(connection: Connection, status: number): void {
    const output = outputOf(connection);
    output.destroy();
    this.#events.onSocketGone(connection.origin);
    this.#events.onGone(connection, status === NO_CLOSE_FRAME && wasCutOff(output.raw));
  }

  /** A pong shows that the client lives: it knows no PING. */
  override ponged(connection: Connection, data: Buffer): void {
    super.ponged(connection, data);
    if (connection.phase === Phase.LIVE) this.#events.onFrame(connection, PING);
  }

  protected override output(webSocket: WebSocket, socket: Socket): Duplex {
    return new SimpleOutput(webSocket, socket);
  }

  protected override opened(connection: Connection): void {
    const output = outputOf(connection);
    output.session = new SimpleSession({
      forward: (frame) => this.#events.onFrame(connection, frame),
      tell: (message) => output.tell(message),
    });
    output.onWelcome = () => {
      output.heartbeat = setInterval(() => output.webSocket.ping(), connection.heartbeatMs);
      for (const text of output.early.splice(0)) this.#take(connection, text);
    };
  }

  #keep(connection: Connection, message: Buffer): void {
    const { early } = outputOf(connection);
    if (early.length < MAX_EARLY) early.push(message.toString());
    else this.#events.onFault(connection, { code: 'HELLO_EXPECTED' }, message.length);
  }

  #take(connection: Connection, text: string): void {
    const message = parseMessage(text);
    const fault =
      typeof message === 'string'
        ? ({ code: 'JSON_INVALID', details: { what: message } } as const)
        : outputOf(connection).session?.take(message);
    if (fault) this.#events.onFault(connection, fault, text.length);
  }
}

const PING = encodeFrame(FrameType.PING, 0, 0n);

function outputOf(connection: Connection): SimpleOutput {
  return connection.socket as SimpleOutput;
}
