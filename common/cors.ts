/** CORS headers for web pages of other origins, https://fetch.spec.whatwg.org/#http-cors-protocol. */

/** Further headers of a preflight's answer: the request headers allowed, and how long it may be cached, s. */
const PREFLIGHT = [
  'access-control-allow-headers',
  'authorization, content-type',
  'access-control-max-age',
  '86400',
] as const;

/** Chooses the CORS headers of an answer by the Origin of the request. */
export class Cors {
  readonly #origins: ReadonlySet<string>;

  /** @param text comma-separated origins, or `*`; empty: none @throws RangeError naming the entry that is not an origin */
  constructor(text: string) {
    const entries = text
      .split(',')
      .map((entry) => entry.trim())
      .filter((entry) => entry !== '');
    for (const entry of entries) if (!isOrigin(entry)) throw new RangeError(`${entry} is not an origin`);
    this.#origins = new Set(entries);
  }

  /** Returns whether the origin is listed by name. */
  lists(origin: string): boolean {
    return origin !== '*' && this.#origins.has(origin);
  }

  /**
   * Returns the headers of an answer: name, value, name, value…
   *
   * @param origin the request's header @param allow for OPTIONS: the methods of the path, comma-separated
   */
  headers(origin: string | undefined, allow?: string): string[] {
    if (this.#origins.size === 0) return [];
    const isAny = this.#origins.has('*');
    const headers = isAny ? [] : ['vary', 'origin'];
    if (!isAny && (origin === undefined || !this.#origins.has(origin))) return headers;
    headers.push('access-control-allow-origin', isAny ? '*' : (origin as string));
    // For the cookie with the refresh token; browsers refuse it together with *.
    if (!isAny) headers.push('access-control-allow-credentials', 'true');
    if (allow === undefined) headers.push('access-control-expose-headers', 'retry-after');
    else headers.push('access-control-allow-methods', allow, ...PREFLIGHT);
    return headers;
  }
}

function isOrigin(text: string): boolean {
  return text === '*' || (/^https?:/.test(text) && URL.canParse(text) && new URL(text).origin === text);
}
