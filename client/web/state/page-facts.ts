/** What the page must know of its server. */

export interface PageFacts {
  /** Accounts that anybody may use. */
  readonly demo: { readonly users: readonly string[]; readonly password: string } | null;
  /** Whether it connects to gateways that ipconf names, rather than to `/ws` of its own server. */
  readonly gateways: boolean;
  /** Whether one may sign in by an OpenID Connect provider. */
  readonly openId: boolean;
}

const facts = fetch('/page.json')
  .then((response) => response.json() as Promise<PageFacts>)
  // Without a server nothing else works, and the client says so.
  .catch((): PageFacts => ({ demo: null, gateways: false, openId: false }));

export function pageFacts(): Promise<PageFacts> {
  return facts;
}
