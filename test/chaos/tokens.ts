/** The access token of a user, shared by its devices while it is valid: logins are slow on purpose. */
import type { Token } from '../../client/mod.ts';
import type { SystemUrls } from '../harness/gochat.ts';

/** A token as close to its end as this is replaced, ms: more than the client's own margin. */
const MARGIN_MS = 31_000;
const LOGIN_TIMEOUT_MS = 10_000;

export interface DatedToken extends Token {
  /** Unix time of its creation, ms, which identifies the user's tokens. */
  readonly ms: number;
}

export class Tokens {
  readonly #urls: SystemUrls;
  readonly #user: string;
  #held: Promise<DatedToken> | undefined;

  constructor(urls: SystemUrls, user: string) {
    this.#urls = urls;
    this.#user = user;
  }

  /** Returns the current token or a new one. */
  async get(): Promise<DatedToken> {
    const held = this.#held;
    const known = await held?.catch(() => undefined);
    if (known !== undefined && (known.expiresAtMs ?? 0) - Date.now() > MARGIN_MS) return known;
    // Devices that ask at the same time get the same one.
    if (this.#held === undefined || this.#held === held) this.#held = logIn(this.#urls, this.#user);
    return await this.#held;
  }

  /** Drops an invalid token. */
  async drop(ms: number): Promise<void> {
    const held = this.#held;
    const known = await held?.catch(() => undefined);
    if (known?.ms === ms && this.#held === held) this.#held = undefined;
  }
}

async function logIn({ api }: SystemUrls, name: string): Promise<DatedToken> {
  const response = await fetch(`${api}/auth/login`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ name, password: `${name}-secret` }),
    signal: AbortSignal.timeout(LOGIN_TIMEOUT_MS),
  });
  if (!response.ok) throw new Error(`login of ${name}: ${response.status}`);
  const { token, expires_at_ms } = (await response.json()) as { token: string; expires_at_ms: number };
  return { token, expiresAtMs: expires_at_ms, ms: Date.now() };
}
