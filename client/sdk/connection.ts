/** One connection to one gateway: handshake, frames in and out, heartbeat, and exactly one end. */
import {
  Close,
  decodeHeader,
  encodeFrame,
  FrameParser,
  framePayload,
  FrameType,
  Hello,
  Welcome,
} from '../../proto/client.ts';
import { ClientError } from './errors.ts';
import type { Gateway, Transport, TransportFactory } from './transport.ts';

/** Share of the heartbeat interval without outgoing frames after which PING is sent. */
const PING_AFTER = 0.75;
/** Share of the interval after PING without any incoming frame after which the connection counts as dead. */
const DEAD_AFTER = 0.5;
/** Checks per heartbeat interval. */
const TICKS_PER_INTERVAL = 8;
/** Deadline of the goodbye before the transport is destroyed. */
const GOODBYE_MS = 1_000;

export interface ConnectionHandlers {
  onWelcome(connection: Connection, welcome: Welcome): void;
  /**
   * Called for each frame after WELCOME but PONG and CLOSE. The payload is valid during the call. Throwing ends the
   * connection.
   */
  onFrame(type: number, ref: number, key: bigint, payload: Uint8Array): void;
  /** Called once, last, when the connection has ended. The server may have named a redirect. */
  onEnd(error: ClientError, welcomed: boolean, redirect: Gateway | undefined): void;
}

export interface ConnectionOptions {
  readonly gateway: Gateway;
  readonly transport: TransportFactory;
  readonly hello: Hello;
  readonly handshakeMs: number;
  readonly maxFrameBytes: number;
  readonly handlers: ConnectionHandlers;
}

/** A connection that starts connecting when it is made. */
export class Connection {
  readonly #options: ConnectionOptions;
  readonly #transport: Transport;
  readonly #parser: FrameParser;
  #handshakeTimer: ReturnType<typeof setTimeout> | undefined;
  #heartbeat: ReturnType<typeof setInterval> | undefined;
  #welcomed = false;
  #over = false;
  #paused = false;
  /** The server's CLOSE or the client's own error, before the stream ended. */
  #error: ClientError | undefined;
  #redirect: Gateway | undefined;
  #lastSentMs = 0;
  #lastReceivedMs = 0;
  #pingedMs: number | undefined;
  #saidGoodbye = false;
  readonly #gone = Promise.withResolvers<void>();

  constructor(options: ConnectionOptions) {
    this.#options = options;
    this.#parser = new FrameParser(options.maxFrameBytes);
    this.#transport = options.transport.open(options.gateway, {
      onOpen: () => this.send(FrameType.HELLO, 0, 0n, Hello.encode(options.hello).finish()),
      onData: (chunk) => this.#onData(chunk),
      onClose: (reason) => this.#end(reason),
    });
    this.#handshakeTimer = setTimeout(
      () => this.fail(this.#unreachable('no answer in time')),
      options.handshakeMs,
    );
  }

  /** Sends a frame; no effect once the connection has ended. */
  send(type: FrameType, ref: number, key: bigint, payload?: Uint8Array): void {
    if (this.#over) return;
    this.#lastSentMs = performance.now();
    this.#transport.send(encodeFrame(type, ref, key, payload));
  }

  /** Ends the connection because of an error. */
  fail(error: ClientError): void {
    this.#error ??= error;
    this.#transport.destroy();
    this.#end('given up');
  }

  /** Sends CLOSE and resolves when the stream has ended. */
  goodbye(): Promise<void> {
    if (this.#over || this.#saidGoodbye) return this.#gone.promise;
    this.#saidGoodbye = true;
    this.send(FrameType.CLOSE, 0, 0n, Close.encode(Close.fromPartial({ code: 'CLIENT_GOODBYE' })).finish());
    this.resume();
    this.#transport.close();
    const timer = setTimeout(() => this.fail(ClientError.local('CLIENT_CLOSED')), GOODBYE_MS);
    return this.#gone.promise.finally(() => clearTimeout(timer));
  }

  /**
   * Stops reading, where the transport can. The gateway then queues, and finally closes the connection as a slow
   * consumer.
   */
  pause(): void {
    this.#paused = true;
    this.#transport.pause?.();
  }

  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#pingedMs = undefined;
    this.#lastReceivedMs = performance.now();
    this.#transport.resume?.();
  }

  #onData(chunk: Uint8Array): void {
    if (this.#over) return;
    this.#lastReceivedMs = performance.now();
    this.#pingedMs = undefined;
    const fault = this.#parser.push(chunk, (frame) => {
      const { type, ref, key } = decodeHeader(frame);
      try {
        this.#onFrame(type, ref, key, framePayload(frame));
      } catch (error) {
        this.fail(ClientError.local('FRAME_INVALID', { cause: error, retryable: true }));
      }
      return !this.#over;
    });
    if (fault !== undefined) {
      this.fail(ClientError.local(fault, { details: { max: this.#options.maxFrameBytes }, retryable: true }));
    }
  }

  #onFrame(type: number, ref: number, key: bigint, payload: Uint8Array): void {
    if (type === FrameType.CLOSE) {
      const close = Close.decode(payload);
      this.#redirect = close.elsewhere;
      this.fail(new ClientError(close.code, close.reason, close.retryable, close.retryAfterMs));
    } else if (this.#welcomed) {
      if (type !== FrameType.PONG) this.#options.handlers.onFrame(type, ref, key, payload);
    } else if (type === FrameType.WELCOME) {
      const welcome = Welcome.decode(payload);
      this.#welcomed = true;
      clearTimeout(this.#handshakeTimer);
      this.#startHeartbeat(welcome.heartbeatIntervalMs);
      this.#options.handlers.onWelcome(this, welcome);
    } else {
      throw new Error(`frame type ${type} before WELCOME`);
    }
  }

  #startHeartbeat(intervalMs: number): void {
    if (intervalMs === 0) return;
    this.#heartbeat = setInterval(
      () => {
        const now = performance.now();
        if (this.#pingedMs !== undefined && !this.#paused && now - this.#pingedMs > intervalMs * DEAD_AFTER) {
          const silence = Math.round(now - this.#lastReceivedMs);
          this.fail(ClientError.local('HEARTBEAT_TIMEOUT', { details: { ms: silence } }));
          return;
        }
        const quiet = intervalMs * PING_AFTER;
        const sentLately = now - this.#lastSentMs < quiet;
        const heardLately =
          now - this.#lastReceivedMs < quiet || this.#paused || this.#pingedMs !== undefined;
        if (sentLately && heardLately) return;
        this.#pingedMs ??= now;
        this.send(FrameType.PING, 0, 0n);
      },
      Math.max(1, intervalMs / TICKS_PER_INTERVAL),
    );
  }

  #unreachable(reason: string): ClientError {
    const { gateway, transport } = this.#options;
    return ClientError.local('SERVER_UNREACHABLE', {
      details: {
        what: gateway.tls ? `the gateway (${reason})` : 'the gateway',
        url: transport.address(gateway),
        flag: '--ipconf',
      },
      cause: new Error(reason),
    });
  }

  #end(reason: string): void {
    if (this.#over) return;
    this.#over = true;
    clearTimeout(this.#handshakeTimer);
    clearInterval(this.#heartbeat);
    const error =
      this.#error ??
      (this.#welcomed
        ? ClientError.local('CONNECTION_LOST', { cause: new Error(reason) })
        : this.#unreachable(reason));
    this.#options.handlers.onEnd(error, this.#welcomed, this.#redirect);
    this.#gone.resolve();
  }
}
