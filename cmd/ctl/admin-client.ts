/** Client of a server's admin port. */
import { GochatError, isErrorCode } from '../../common/mod.ts';

const TIMEOUT_MS = 10_000;

export type Json = Readonly<Record<string, unknown>>;

export class AdminClient {
  /** Base URL of the admin port. */
  readonly url: string;
  readonly #token: string | undefined;

  constructor(url: string, token: string | undefined) {
    this.url = url.replace(/\/+$/, '');
    this.#token = token;
  }

  /**
   * Resolves with the body of the answer.
   *
   * @param path path and query: `/session?user=1`
   * @throws GochatError SERVER_UNREACHABLE, or with the code of the answer
   */
  async call(method: 'GET' | 'POST', path: string): Promise<Json> {
    let response: Response;
    let body: Json | undefined;
    try {
      response = await fetch(`${this.url}${path}`, {
        method,
        headers: this.#token === undefined ? {} : { authorization: `Bearer ${this.#token}` },
        signal: AbortSignal.timeout(TIMEOUT_MS),
      });
      body = (await response.json()) as Json;
    } catch (cause) {
      throw new GochatError('SERVER_UNREACHABLE', {
        details: { what: 'the admin port', url: this.url, flag: '--admin' },
        cause,
      });
    }
    if (response.ok) return body;
    const { code, message } = body;
    throw GochatError.received(typeof code === 'string' && isErrorCode(code) ? code : 'INTERNAL', {
      details: { name: `${this.url}${path}`, method },
      cause: new Error(typeof message === 'string' ? message : `HTTP ${response.status}`),
    });
  }
}
