/** What a study is: a measurement that is no load on a peer, on a cluster of its own. */
import { NO_RATE_LIMITS } from './gochat.ts';
import type { LoadGenerator } from './load.ts';
import type { Services } from './services.ts';

export interface StudyContext {
  readonly load: LoadGenerator;
  readonly services: Services;
  readonly signal: AbortSignal;
}

/** What a study found: names with their units, and figures. */
export type Findings = Readonly<Record<string, number | string>>;

export interface Study {
  readonly name: string;
  readonly title: string;
  run(context: StudyContext): Promise<Findings>;
}

/** The settings of a cluster of its own. */
export function environment(services: Services): Readonly<Record<string, string>> {
  return {
    ...NO_RATE_LIMITS,
    // Of its own: the fleet's gateways must not see this state node, nor it them.
    GOCHAT_REGISTRY: `${services.registry.replace(/(:\/\/[^/]+).*$/, '$1')}/study-${Date.now().toString(36)}`,
    GOCHAT_HOT: services.hot,
    GOCHAT_STORE: services.store,
    GOCHAT_LOG_LEVEL: 'info',
  };
}
