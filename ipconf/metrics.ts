/** Metrics of ipconf. */
import type { ObservableResult } from '@opentelemetry/api';
import { meter } from '../common/mod.ts';
import type { Fleet } from './fleet.ts';
import type { Placement } from './placement.ts';

export class IpconfMetrics {
  /** Requests by code. Counted here and read at each scrape: an instrument would cost as much as a placement. */
  readonly #requests = new Map<string, number>();
  readonly #ends: (() => void)[] = [];

  constructor(fleet: Fleet, placement: Placement) {
    const part = meter('ipconf');
    const requests = part.createObservableCounter('gochat_ipconf_requests_total', {
      description: 'Requests answered, by error code or OK. Labels: code.',
    });
    const observe = (result: ObservableResult) => {
      for (const [code, count] of this.#requests) result.observe(count, { code });
    };
    requests.addCallback(observe);
    this.#ends.push(() => requests.removeCallback(observe));
    const gauge = (name: string, description: string, read: () => number): void => {
      const instrument = part.createObservableGauge(name, { description });
      const observe = (result: ObservableResult) => result.observe(read());
      instrument.addCallback(observe);
      this.#ends.push(() => instrument.removeCallback(observe));
    };
    gauge('gochat_ipconf_candidates', 'Gateways that accept clients.', () => fleet.candidates.length);
    gauge(
      'gochat_ipconf_headroom',
      'Free capacity of the fleet, 0 (full) to 1 (empty).',
      () => fleet.meanHeadroom,
    );
    gauge(
      'gochat_ipconf_stale_seconds',
      'How long ipconf has been working with an outdated view of the fleet.',
      () => fleet.staleFor / 1000,
    );
    const placements = part.createObservableCounter('gochat_ipconf_placements_total', {
      description: 'Clients placed.',
    });
    const observePlacements = (result: ObservableResult) => result.observe(placement.placed);
    placements.addCallback(observePlacements);
    this.#ends.push(() => placements.removeCallback(observePlacements));
  }

  /** @param code code of the answer, from the catalogue or OK: few values */
  requested(code: string): void {
    this.#requests.set(code, (this.#requests.get(code) ?? 0) + 1);
  }

  close(): void {
    for (const end of this.#ends) end();
  }
}
