/** `/ip/list` for pages: passes the question on to an ipconf, whose answer it is. */
import { GochatError, type Logger } from '../common/mod.ts';
import type { Registry, Unwatch } from '../crpc/mod.ts';

/** Registry service of ipconf. */
const IPCONF_SERVICE = 'ipconf';
/** How long an ipconf may take, ms. */
const ANSWER_MS = 3_000;

export class GatewayList {
  readonly #logger: Logger;
  readonly #unwatch: Unwatch;
  #addresses: readonly string[] = [];

  constructor({ registry, logger }: { readonly registry: Registry; readonly logger: Logger }) {
    this.#logger = logger;
    this.#unwatch = registry.watch(IPCONF_SERVICE, ({ endpoints }) => {
      this.#addresses = endpoints.map(({ address }) => address);
    });
  }

  /**
   * Returns the answer to a query: its status and JSON.
   *
   * @param search with its question mark; may be empty
   * @throws GochatError NO_GATEWAY if no ipconf answers
   */
  async ask(search: string): Promise<{ readonly status: number; readonly body: string }> {
    // The next one if one has just died.
    for (const address of this.#addresses.toSorted(() => Math.random() - 0.5)) {
      try {
        const signal = AbortSignal.timeout(ANSWER_MS);
        const answer = await fetch(`http://${address}/ip/list${search}`, { signal });
        return { status: answer.status, body: await answer.text() };
      } catch (error) {
        this.#logger.warn({ err: error, address }, 'an ipconf cannot be reached for /ip/list');
      }
    }
    throw new GochatError('NO_GATEWAY', { retryAfterMs: 1_000 });
  }

  close(): void {
    this.#unwatch();
  }
}
