/** Messages between the supervisor and its workers; all can be cloned between threads. */
import type { LogLevel } from '../../common/mod.ts';
import type { TlsOptions } from '../../crpc/mod.ts';
import type { TlsMaterial } from '../accept/tls-material.ts';
import type { AlternateGateway } from '../connections/redirect.ts';
import type { GatewayLimits } from '../limits.ts';
import type { StateNode } from '../route/state-link.ts';
import type { WorkerStats } from './worker-stats.ts';

/** Start options of a worker. */
export interface WorkerData {
  readonly gateway: number;
  readonly gatewayName: string;
  readonly worker: number;
  readonly host: string;
  readonly reusePort: boolean;
  /** The worker's share; see shareOf. */
  readonly limits: GatewayLimits;
  readonly requireTicket: boolean;
  readonly clusterToken: string | undefined;
  /** To state; PEM as text, because a Buffer does not survive cloning. */
  readonly tls?: TlsOptions | undefined;
  /** To clients. */
  readonly clientTls: TlsMaterial | undefined;
  readonly logLevel: LogLevel;
}

/** A port number; 0 takes a free one. */
export type Port = number | 'off';

/** Ports of a worker. */
export interface Ports {
  readonly port: Port;
  readonly wsPort: Port;
}

export type ToWorker =
  | { readonly kind: 'nodes'; readonly nodes: readonly StateNode[] }
  | { readonly kind: 'keys'; readonly jwks: string }
  | { readonly kind: 'ticket-keys'; readonly jwks: string }
  | { readonly kind: 'gateway'; readonly gateway: number | undefined }
  | { readonly kind: 'tls'; readonly tls: TlsMaterial }
  | { readonly kind: 'drain'; readonly deadlineMs: number; readonly redirects: readonly AlternateGateway[] }
  /** The worker's share, as in WorkerData. */
  | { readonly kind: 'limits'; readonly limits: GatewayLimits }
  /** Accept clients; sent once the worker is ready. */
  | ({ readonly kind: 'listen' } & Ports)
  /** Stop accepting until `listen`: the process has no descriptors left. */
  | { readonly kind: 'pause' }
  | { readonly kind: 'stop' };

export type FromWorker =
  /** The worker can serve clients, or its start deadline has passed. */
  | { readonly kind: 'ready' }
  | ({ readonly kind: 'listening' } & Ports)
  | { readonly kind: 'refused'; readonly on: keyof Ports; readonly reason: string }
  | { readonly kind: 'stats'; readonly stats: WorkerStats }
  | { readonly kind: 'drained' }
  | { readonly kind: 'stopped' }
  /** An unexpected error: the worker has closed its connections and must be replaced. */
  | { readonly kind: 'failed'; readonly error: Error };
