/** A worker's counters. They are posted every second to the supervisor, which turns them into metrics and load. */
import type { ErrorCode } from '../../common/mod.ts';

/** Label of a connection that ended without a CLOSE from either side. */
export const PEER_GONE = 'PEER_GONE';
/** Label of a connection that was reset or became unreachable. */
export const PEER_RESET = 'PEER_RESET';
/** Label of a TLS handshake that failed or took too long. */
export const TLS_FAILED = 'TLS_FAILED';
export type DisconnectCode = ErrorCode | typeof PEER_GONE | typeof PEER_RESET | typeof TLS_FAILED;

/** The limit that a client has exceeded. */
export type Refusal =
  | 'address_connections'
  | 'address_connects'
  | 'address_logins'
  | 'account_rate'
  | 'partial_bytes';

/** Counters start at 0 with the worker; gauges are current values. */
export interface WorkerStats {
  accepts: number;
  acceptErrors: number;
  framesIn: number;
  framesOut: number;
  bytesIn: number;
  bytesOut: number;
  /** Connections closed because the client did not read. */
  slowClosed: number;
  /** Times that a connection missed frames because the client did not read. */
  slowEpisodes: number;
  /** Ephemeral frames dropped, counted per connection. */
  ephemeralDropped: number;
  /** Clients and frames refused by a limit, by limit. */
  refusals: Partial<Record<Refusal, number>>;
  disconnects: Partial<Record<DisconnectCode, number>>;
  /** Gauge: slow connections and the bytes queued for them. */
  slow: { connections: number; bytes: number };
  /** Gauge: unfinished frames and their memory, bytes. */
  partial: { frames: number; bytes: number };
  /** Gauge: open sockets. */
  connections: { tcp: number; ws: number };
  /** Gauge: state nodes that are ready. */
  readyLinks: number;
  /** Gauge: event-loop delay since the last post, ms. */
  loopDelayMs: number;
}

export function newWorkerStats(): WorkerStats {
  return {
    accepts: 0,
    acceptErrors: 0,
    framesIn: 0,
    framesOut: 0,
    bytesIn: 0,
    bytesOut: 0,
    slowClosed: 0,
    slowEpisodes: 0,
    ephemeralDropped: 0,
    refusals: {},
    disconnects: {},
    slow: { connections: 0, bytes: 0 },
    partial: { frames: 0, bytes: 0 },
    connections: { tcp: 0, ws: 0 },
    readyLinks: 0,
    loopDelayMs: 0,
  };
}
