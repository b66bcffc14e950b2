/** What ipconf counts. */
import { meter } from '../common/mod.ts';
import type { Fleet } from './fleet.ts';

export class IpconfMetrics {
  readonly #requests;
  readonly #candidates;
  readonly #observe;

  constructor(fleet: Fleet) {
    const part = meter('ipconf');
    this.#requests = part.createCounter('gochat_ipconf_requests_total', {
      description: 'Requests answered, by code',
    });
    this.#candidates = part.createObservableGauge('gochat_ipconf_candidates', {
      description: 'Gateways that take clients',
    });
    this.#observe = (result: { observe(value: number): void }) => result.observe(fleet.ranked.length);
    this.#candidates.addCallback(this.#observe);
  }

  /** @param code the answer's, from the catalogue or OK: few values */
  requested(code: string): void {
    this.#requests.add(1, { code });
  }

  close(): void {
    this.#candidates.removeCallback(this.#observe);
  }
}
