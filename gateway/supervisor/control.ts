/** What the supervisor and its workers tell each other; all of it can be cloned between threads. */
import type { LogLevel } from '../../common/mod.ts';
import type { TlsOptions } from '../../crpc/mod.ts';
import type { TlsMaterial } from '../accept/tls-material.ts';
import type { AlternateGateway } from '../connections/redirect.ts';
import type { GatewayLimits } from '../limits.ts';
import type { StateNode } from '../route/state-link.ts';
import type { WorkerStats } from './worker-stats.ts';

/** What a worker is started with. */
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
  /** To state; PEM as text, as a Buffer would not stay one between threads. */
  readonly tls?: TlsOptions | undefined;
  /** To clients. */
  readonly clientTls: TlsMaterial | undefined;
  readonly logLevel: LogLevel;
}

/** 0 asks for a free one. */
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
  /** Accept clients; told once the worker is ready. */
  | ({ readonly kind: 'listen' } & Ports)
  /** Accept none until told to listen again: the process has no descriptors left. */
  | { readonly kind: 'pause' }
  | { readonly kind: 'stop' };

export type FromWorker =
  /** It can serve clients, or has waited long enough for that. */
  | { readonly kind: 'ready' }
  | ({ readonly kind: 'listening' } & Ports)
  | { readonly kind: 'refused'; readonly on: keyof Ports; readonly reason: string }
  | { readonly kind: 'stats'; readonly stats: WorkerStats }
  | { readonly kind: 'drained' }
  | { readonly kind: 'stopped' }
  /** An unexpected error: the worker has closed its connections and is to be replaced. */
  | { readonly kind: 'failed'; readonly error: Error };
