/** The reconnector: token, list of gateways, attempts in turn, backoff, and giving up. */
import type { Hello, Welcome } from '../../proto/client.ts';
import { PROTOCOL_VERSION } from '../../proto/client.ts';
import { Backoff, delay } from './backoff.ts';
import { Connection } from './connection.ts';
import { randomU64 } from './convert.ts';
import type { Credentials } from './credentials.ts';
import type { Listing } from './directory.ts';
import { listGateways } from './directory.ts';
import { ClientError } from './errors.ts';
import type { ResolvedOptions } from './options.ts';
import { type Gateway, offers } from './transport.ts';

/** Codes after which this client must not reconnect, whatever `retryable` says. */
const TERMINAL_CODES = new Set(['SESSION_REPLACED', 'VERSION_UNSUPPORTED']);
const TOKEN_CODES = new Set(['TOKEN_EXPIRED', 'TOKEN_INVALID']);

export interface ReconnectorHooks {
  onWelcome(welcome: Welcome): void;
  onFrame(type: number, ref: number, key: bigint, payload: Uint8Array): void;
  /** The connection is gone. */
  onDown(): void;
  /** The connection, or an attempt to restore it, failed; the next follows in `retryInMs`. */
  onRetry(error: ClientError, retryInMs: number): void;
  /** No further attempt will be made. */
  onGivenUp(error: ClientError, everWelcomed: boolean): void;
}

interface End {
  readonly error: ClientError;
  readonly welcomed: boolean;
}

/** Runs until its signal is aborted or reconnecting is pointless. */
export class Reconnector {
  readonly #options: ResolvedOptions;
  readonly #credentials: Credentials;
  readonly #signal: AbortSignal;
  readonly #hooks: ReconnectorHooks;
  readonly #backoff: Backoff;
  /** The last server's redirect; tried once, first, where no ticket is needed. */
  #redirect: Gateway | undefined;
  #listing: Listing = { gateways: [], ticket: '', backoff: {} };
  #user = '';
  #session = 0n;
  readonly #run = randomU64();
  #attempts = 0;
  #connecting: Connection | undefined;
  #connection: Connection | undefined;
  #everWelcomed = false;
  #tokenRefused = false;
  /** Ends the wait before the next attempt. */
  #wake = new AbortController();

  constructor(
    options: ResolvedOptions,
    credentials: Credentials,
    signal: AbortSignal,
    hooks: ReconnectorHooks,
  ) {
    this.#options = options;
    this.#credentials = credentials;
    this.#signal = signal;
    this.#hooks = hooks;
    this.#backoff = new Backoff(options.backoff, options.random);
    signal.addEventListener('abort', () => this.#connecting?.fail(ClientError.local('CLIENT_CLOSED')));
  }

  /** The current connection, after its WELCOME. */
  get connection(): Connection | undefined {
    return this.#connection;
  }

  /** Makes the next attempt now. */
  wake(): void {
    this.#wake.abort();
  }

  /** Whether a failure is told and followed by another attempt. */
  get #isPersistent(): boolean {
    return this.#everWelcomed || this.#options.firstConnectMs === Infinity;
  }

  async run(): Promise<void> {
    const deadline = performance.now() + this.#options.firstConnectMs;
    while (!this.#signal.aborted) {
      const end = await this.#round();
      if (this.#signal.aborted) return;
      const error = this.#judge(end);
      const retryInMs = this.#backoff.next(error.retryAfterMs);
      const tooLate = !this.#everWelcomed && performance.now() + retryInMs > deadline;
      if (!error.retryable || tooLate) {
        this.#hooks.onGivenUp(error, this.#everWelcomed);
        return;
      }
      this.#wake = new AbortController();
      if (this.#isPersistent) this.#hooks.onRetry(error, retryInMs);
      await delay(retryInMs, AbortSignal.any([this.#signal, this.#wake.signal]));
    }
  }

  /** Classifies the end of a connection; the result's `retryable` says whether to go on. */
  #judge({ error, welcomed }: End): ClientError {
    if (welcomed) this.#backoff.reset();
    if (TERMINAL_CODES.has(error.code)) return error.with({ retryable: false });
    if (!TOKEN_CODES.has(error.code)) return error;
    // A refused token is replaced once; if a fresh one is refused too, retrying does not help.
    if (this.#tokenRefused) return error.with({ retryable: false });
    this.#tokenRefused = true;
    this.#credentials.invalidate();
    return error.with({ retryable: true });
  }

  async #round(): Promise<End> {
    try {
      return await this.#converse();
    } catch (thrown) {
      // The directory failed: fatal for the first attempt, unless the client is to persist.
      const error = ClientError.from(thrown);
      return { error: this.#isPersistent ? error : error.with({ retryable: false }), welcomed: false };
    }
  }

  /** Connects to the first gateway that accepts the client. Resolves when that connection has ended. */
  async #converse(): Promise<End> {
    const token = await this.#credentials.token(this.#signal);
    const redirect = this.#redirect;
    this.#redirect = undefined;
    // A ticket is valid only at the gateways that ipconf has listed.
    const { transport, gateways } = this.#options;
    const isOpen = redirect !== undefined && gateways.length === 0 && offers(redirect, transport.kind);
    if (isOpen && this.#listing.ticket === '') {
      const end = await this.#connectTo(redirect, token);
      if (end.welcomed || !end.error.retryable || this.#signal.aborted) return end;
    }
    try {
      this.#listing = await listGateways(this.#options, this.#credentials.user || this.#user, this.#signal);
      this.#backoff.suggest(this.#listing.backoff);
    } catch (error) {
      // Old addresses are better than none while ipconf is away.
      if (this.#listing.gateways.length === 0) throw error;
    }
    let end: End = { error: ClientError.local('CLIENT_CLOSED'), welcomed: false };
    for (const gateway of this.#listing.gateways) {
      if (this.#signal.aborted) break;
      end = await this.#connectTo(gateway, token);
      if (end.welcomed || !end.error.retryable) break;
    }
    return end;
  }

  #connectTo(gateway: Gateway, token: string): Promise<End> {
    const { promise, resolve } = Promise.withResolvers<End>();
    this.#connecting = new Connection({
      gateway,
      transport: this.#options.transport,
      handshakeMs: this.#options.connectTimeoutMs,
      maxFrameBytes: this.#options.maxFrameBytes,
      hello: this.#hello(token),
      handlers: {
        onWelcome: (connection, welcome) => {
          this.#connecting = undefined;
          this.#connection = connection;
          this.#everWelcomed = true;
          this.#tokenRefused = false;
          this.#session = welcome.session;
          this.#user = welcome.user.toString();
          this.#hooks.onWelcome(welcome);
        },
        onFrame: (type, ref, key, payload) => this.#hooks.onFrame(type, ref, key, payload),
        onEnd: (error, welcomed, redirect) => {
          this.#connecting = undefined;
          this.#connection = undefined;
          this.#redirect = redirect;
          this.#hooks.onDown();
          resolve({ error, welcomed });
        },
      },
    });
    return promise;
  }

  #hello(token: string): Hello {
    return {
      versionMin: PROTOCOL_VERSION,
      versionMax: PROTOCOL_VERSION,
      token,
      device: this.#options.device,
      session: this.#session,
      client: this.#options.client,
      room: '',
      heartbeatIntervalMs: this.#options.heartbeatIntervalMs,
      ticket: this.#listing.ticket,
      run: this.#run,
      attempt: ++this.#attempts,
    };
  }
}
