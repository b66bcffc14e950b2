/** A study: a measurement other than a load on a peer, with its own cluster. */
import { NO_RATE_LIMITS, profileFlags } from './gochat.ts';
import type { AbuseKind } from './abuse-load.ts';
import type { LoadGenerator } from './load.ts';
import type { PeerName } from './scenarios.ts';
import type { Services } from './services.ts';

export interface StudyContext {
  readonly load: LoadGenerator;
  readonly services: Services;
  readonly signal: AbortSignal;
  /** A folder for its files; it exists already, and is removed at the end. */
  readonly folder: string;
  /** Whether a short measurement is enough. */
  readonly quick: boolean;
  /** The peers to measure, of those that the study knows. */
  readonly peers: readonly PeerName[];
  readonly attacks: readonly AbuseKind[];
  /** Folder of the processes' CPU profiles; undefined: none. */
  readonly profiles: string | undefined;
  /** Reports a goal that is missed, so that the bench fails. */
  readonly notMet: (what: string) => void;
}

/** Result of a study: names with units, and figures, some of them grouped. */
export type Findings = Readonly<Record<string, Figure | Readonly<Record<string, Figure>>>>;
export type Figure = number | string;

export interface Study {
  readonly name: string;
  readonly title: string;
  run(context: StudyContext): Promise<Findings>;
}

/** The settings of a cluster of its own. @param profiles as in StudyContext */
export function environment(services: Services, profiles?: string): Readonly<Record<string, string>> {
  return {
    ...NO_RATE_LIMITS,
    ...(profiles !== undefined && { NODE_OPTIONS: profileFlags(profiles) }),
    // A separate one: the fleet's gateways and this state node must not see each other.
    GOCHAT_REGISTRY: `${services.registry.replace(/(:\/\/[^/]+).*$/, '$1')}/study-${Date.now().toString(36)}`,
    GOCHAT_HOT: services.hot,
    GOCHAT_STORE: services.store,
    GOCHAT_LOG_LEVEL: 'info',
  };
}
