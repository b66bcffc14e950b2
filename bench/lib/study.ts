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
  /** For whatever it makes; there already, and away in the end. */
  readonly folder: string;
  /** A short look will do. */
  readonly quick: boolean;
  /** Of those that the study knows, which are wanted. */
  readonly peers: readonly PeerName[];
  readonly attacks: readonly AbuseKind[];
  /** Folder of the processes' CPU profiles; undefined: none. */
  readonly profiles: string | undefined;
  /** Says that something is not as it should be, so that the bench fails. */
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
    // Of its own: the fleet's gateways must not see this state node, nor it them.
    GOCHAT_REGISTRY: `${services.registry.replace(/(:\/\/[^/]+).*$/, '$1')}/study-${Date.now().toString(36)}`,
    GOCHAT_HOT: services.hot,
    GOCHAT_STORE: services.store,
    GOCHAT_LOG_LEVEL: 'info',
  };
}
