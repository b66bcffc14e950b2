/** The tokens of a client: logs in at the API server, refreshes the access token, and logs out. */
import { ClientError } from './errors.ts';
import { apiServer, isObject, type Json, request, unreachable } from './http.ts';
import type { GochatClientOptions, ResolvedOptions, Token } from './options.ts';

/** A token this close to its expiry is replaced before use. */
const EXPIRY_MARGIN_MS = 30_000;
/** Refusals of a refresh token after which only logging in helps. */
const REFRESH_ENDED = new Set(['REFRESH_INVALID', 'REFRESH_REUSED']);

/** Keeps the access token and the refresh token, and gets new ones when needed. */
export class Credentials {
  readonly #options: GochatClientOptions;
  readonly #resolved: ResolvedOptions;
  #token: Token | undefined;
  #refreshToken: string | undefined;
  /** Whether a session is open: in the browser the refresh token is a cookie. */
  #hasSession: boolean;
  #renewing: Promise<Token> | undefined;

  constructor(options: GochatClientOptions, resolved: ResolvedOptions) {
    const { api, user, password, refreshToken, cookie = false, getToken } = options;
    const hasSession = cookie || refreshToken !== undefined;
    const hasLogin = hasSession || (user !== undefined && password !== undefined);
    if (getToken === undefined && (api === undefined || !hasLogin))
      throw ClientError.local('ARGUMENT_INVALID', {
        details: {
          what: 'A client without getToken, or api with user and password, refreshToken or cookie,',
        },
      });
    this.#options = options;
    this.#resolved = resolved;
    this.#refreshToken = refreshToken;
    this.#hasSession = hasSession;
  }

  /** Returns the current token or a new one. */
  async token(signal: AbortSignal): Promise<string> {
    const held = this.#token;
    if (held !== undefined && (held.expiresAtMs ?? Infinity) - Date.now() > EXPIRY_MARGIN_MS)
      return held.token;
    return this.renew(signal);
  }

  /** Returns a new token, though the held one may be valid still. */
  async renew(signal: AbortSignal): Promise<string> {
    const { getToken } = this.#options;
    this.#renewing ??= (getToken === undefined ? this.#refreshOrLogIn(signal) : getToken(signal)).finally(
      () => {
        this.#renewing = undefined;
      },
    );
    this.#token = await this.#renewing;
    return this.#token.token;
  }

  /** User id of the token; '' if unknown. */
  get user(): string {
    return this.#token?.user ?? '';
  }

  /** The current access token. */
  get held(): string | undefined {
    return this.#token?.token;
  }

  /** Drops the access token because the gateway refused it. */
  invalidate(): void {
    this.#token = undefined;
  }

  /** Ends the session, or all sessions of the user. Without one it does nothing. */
  async logOut(everywhere: boolean): Promise<void> {
    const token = this.held;
    if (token === undefined && !this.#hasSession) return;
    if (this.#options.api === undefined)
      throw ClientError.local('ARGUMENT_INVALID', {
        details: { what: 'A logout without the address of api' },
      });
    const server = { ...this.#server(this.#options.api), ...(token !== undefined && { token }) };
    const body = { everywhere, ...(token === undefined && this.#refreshBody()) };
    await request(this.#resolved, server, '/auth/logout', new AbortController().signal, body);
    this.invalidate();
    this.#keepRefreshToken(undefined);
    this.#hasSession = false;
  }

  async #refreshOrLogIn(signal: AbortSignal): Promise<Token> {
    const { user, password } = this.#options;
    if (this.#hasSession) {
      try {
        return await this.#ask('/auth/refresh', this.#refreshBody(), signal);
      } catch (error) {
        if (!REFRESH_ENDED.has(ClientError.from(error).code)) throw error;
        this.#hasSession = false;
        this.#keepRefreshToken(undefined);
        if (user === undefined || password === undefined) throw error;
      }
    }
    if (user === undefined || password === undefined)
      throw new ClientError('LOGGED_OUT', 'The session has ended. Log in again.', false);
    return this.#ask('/auth/login', { name: user, password, client: this.#resolved.client }, signal);
  }

  /** Makes a call whose answer has tokens, and keeps the refresh token. */
  async #ask(path: string, body: Json, signal: AbortSignal): Promise<Token> {
    const server = this.#server(this.#options.api ?? '');
    const answer = await request(this.#resolved, server, path, signal, body);
    if (typeof answer['token'] !== 'string') throw unreachable(server, 'it is not GoChat');
    if (typeof answer['refresh_token'] === 'string') this.#keepRefreshToken(answer['refresh_token']);
    // Servers before refresh tokens do not tell of a session.
    this.#hasSession = answer['session'] !== undefined;
    const expires = answer['expires_at_ms'];
    const expiresAtMs = typeof expires === 'string' ? Date.parse(expires) : Number(expires ?? Number.NaN);
    const user = isObject(answer['user']) ? answer['user']['id'] : undefined;
    return {
      token: answer['token'],
      expiresAtMs: Number.isFinite(expiresAtMs) ? expiresAtMs : undefined,
      user: typeof user === 'string' ? user : undefined,
    };
  }

  #refreshBody(): Json {
    return this.#refreshToken === undefined ? {} : { refresh_token: this.#refreshToken };
  }

  #keepRefreshToken(token: string | undefined): void {
    if (token === this.#refreshToken) return;
    this.#refreshToken = token;
    this.#options.onRefreshToken?.(token);
  }

  #server(base: string) {
    return apiServer(this.#resolved, base);
  }
}
