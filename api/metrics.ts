/** Metrics of the api server: requests and their duration, by route and status. */
import { meter } from '../common/mod.ts';

/** Upper bounds of the duration histogram: from a cached answer to the deadline. Seconds. */
const DURATION_BOUNDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

export class ApiMetrics {
  readonly #requests;
  readonly #seconds;

  constructor() {
    const part = meter('api');
    this.#requests = part.createCounter('gochat_api_requests_total', {
      description: 'Requests answered. Labels: route, status.',
    });
    this.#seconds = part.createHistogram('gochat_api_request_duration_seconds', {
      description: 'Time from a request to its answer. Labels: route, status.',
      unit: 's',
      advice: { explicitBucketBoundaries: DURATION_BOUNDS },
    });
  }

  /** @param route the pattern, never the path: few values */
  answered(route: string, status: number, elapsedMs: number): void {
    const attributes = { route, status };
    this.#requests.add(1, attributes);
    this.#seconds.record(elapsedMs / 1000, attributes);
  }
}
