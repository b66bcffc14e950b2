/** The gateway's metrics: the workers' counters, summed in the supervisor. */
import type { ObservableResult } from '@opentelemetry/api';
import { meter } from '../common/mod.ts';
import {
  type DisconnectCode,
  newWorkerStats,
  type Refusal,
  type WorkerStats,
} from './supervisor/worker-stats.ts';

/** The part of a worker that the gauges read. */
export interface MeasuredWorker {
  readonly index: number;
  readonly stats: WorkerStats;
}

const NOTHING: WorkerStats = Object.freeze(newWorkerStats());

export class GatewayMetrics {
  readonly #workers: () => readonly MeasuredWorker[];
  readonly #known = new Set<number>();
  /** Last recorded counters of each running worker. */
  readonly #counted = new Map<number, WorkerStats>();
  readonly #accepts;
  readonly #acceptErrors;
  readonly #disconnects;
  readonly #refusals;
  readonly #frames;
  readonly #bytes;
  readonly #slowClosed;
  readonly #slowEpisodes;
  readonly #ephemeral;
  readonly #restarts;
  readonly #connections;
  readonly #delay;
  readonly #slowConnections;
  readonly #slowBytes;
  readonly #partialFrames;
  readonly #partialBytes;
  readonly #exhausted;
  readonly #isExhausted: () => boolean;

  constructor(workers: () => readonly MeasuredWorker[], isExhausted: () => boolean) {
    this.#workers = workers;
    this.#isExhausted = isExhausted;
    const part = meter('gateway');
    const counter = (name: string, description: string) => part.createCounter(name, { description });
    this.#accepts = counter('gochat_gateway_accepts_total', 'Connections accepted. Labels: worker.');
    this.#acceptErrors = counter(
      'gochat_gateway_accept_errors_total',
      'Connections that could not be accepted.',
    );
    this.#disconnects = counter(
      'gochat_gateway_disconnects_total',
      'Connections that ended, by error code; besides the codes: PEER_GONE (the client ended the connection without CLOSE), PEER_RESET (the connection broke), TLS_FAILED (the TLS handshake failed). Labels: code.',
    );
    this.#refusals = counter(
      'gochat_gateway_refusals_total',
      'Number of times a limit was reached: address_connections and address_connects (refused), address_logins (refused: logins from the address fail too often, and too many of them wait), partial_bytes (disconnected: unfinished frames held too much memory), account_rate (reading from the account pauses). Labels: limit.',
    );
    this.#frames = counter(
      'gochat_gateway_frames_total',
      'Frames from clients (in) and to clients (out). Labels: direction.',
    );
    this.#bytes = counter(
      'gochat_gateway_bytes_total',
      'Bytes from clients (in) and to clients (out). Labels: direction.',
    );
    this.#slowClosed = counter(
      'gochat_gateway_slow_consumers_total',
      'Connections closed because the client did not read.',
    );
    this.#slowEpisodes = counter(
      'gochat_gateway_slow_episodes_total',
      'Number of times a connection missed frames because the client did not read; it then resynchronises.',
    );
    this.#ephemeral = counter(
      'gochat_gateway_ephemeral_dropped_total',
      'TYPING frames left out because the connection was slow.',
    );
    this.#restarts = counter('gochat_gateway_worker_restarts_total', 'Workers replaced after a crash.');
    this.#connections = part.createObservableGauge('gochat_gateway_connections', {
      description: 'Open connections. Labels: transport, worker.',
    });
    this.#delay = part.createObservableGauge('gochat_gateway_event_loop_delay_seconds', {
      description: 'Mean event-loop delay of the last second. Labels: worker.',
    });
    this.#slowConnections = part.createObservableGauge('gochat_gateway_slow_connections', {
      description: 'Connections whose client has not read all that it was sent. Labels: worker.',
    });
    this.#slowBytes = part.createObservableGauge('gochat_gateway_slow_bytes', {
      description:
        'Bytes that wait for slow connections: at most max_outbound_bytes and one frame each. Labels: worker.',
    });
    this.#partialFrames = part.createObservableGauge('gochat_gateway_partial_frames', {
      description: 'Frames of which a part has arrived. Labels: worker.',
    });
    this.#partialBytes = part.createObservableGauge('gochat_gateway_partial_bytes', {
      description: 'Memory that partial frames hold, at most 32 MiB per worker. Labels: worker.',
    });
    this.#exhausted = part.createObservableGauge('gochat_gateway_descriptors_exhausted', {
      description: '1 while the process has no file descriptors left and accepts nobody. Raise ulimit -n.',
    });
    this.#exhausted.addCallback(this.#observeExhausted);
    this.#connections.addCallback(this.#observeConnections);
    this.#delay.addCallback(this.#observeDelay);
    this.#slowConnections.addCallback(this.#observeSlowConnections);
    this.#slowBytes.addCallback(this.#observeSlowBytes);
    this.#partialFrames.addCallback(this.#observePartialFrames);
    this.#partialBytes.addCallback(this.#observePartialBytes);
  }

  /** Adds a worker's counts since its last record. */
  record(worker: number, stats: WorkerStats): void {
    const before = this.#counted.get(worker) ?? newWorkerStats();
    this.#counted.set(worker, stats);
    this.#accepts.add(stats.accepts - before.accepts, { worker });
    this.#acceptErrors.add(stats.acceptErrors - before.acceptErrors);
    this.#slowClosed.add(stats.slowClosed - before.slowClosed);
    this.#slowEpisodes.add(stats.slowEpisodes - before.slowEpisodes);
    this.#ephemeral.add(stats.ephemeralDropped - before.ephemeralDropped);
    this.#frames.add(stats.framesIn - before.framesIn, { direction: 'in' });
    this.#frames.add(stats.framesOut - before.framesOut, { direction: 'out' });
    this.#bytes.add(stats.bytesIn - before.bytesIn, { direction: 'in' });
    this.#bytes.add(stats.bytesOut - before.bytesOut, { direction: 'out' });
    for (const [code, count] of Object.entries(stats.disconnects))
      this.#disconnects.add(count - (before.disconnects[code as DisconnectCode] ?? 0), { code });
    for (const [limit, count] of Object.entries(stats.refusals))
      this.#refusals.add(count - (before.refusals[limit as Refusal] ?? 0), { limit });
  }

  /** Forgets a retired worker; its counts stay in the sums. */
  forget(worker: number): void {
    this.#counted.delete(worker);
  }

  /** The worker was replaced; its successor counts from 0. */
  restarted(worker: number): void {
    this.#counted.delete(worker);
    this.#restarts.add(1);
  }

  close(): void {
    this.#exhausted.removeCallback(this.#observeExhausted);
    this.#connections.removeCallback(this.#observeConnections);
    this.#delay.removeCallback(this.#observeDelay);
    this.#slowConnections.removeCallback(this.#observeSlowConnections);
    this.#slowBytes.removeCallback(this.#observeSlowBytes);
    this.#partialFrames.removeCallback(this.#observePartialFrames);
    this.#partialBytes.removeCallback(this.#observePartialBytes);
  }

  /** Returns all workers, past ones included: a gauge keeps the last value of a worker that is no longer observed. */
  #measured(): MeasuredWorker[] {
    const running = new Map(this.#workers().map((worker) => [worker.index, worker.stats]));
    for (const index of running.keys()) this.#known.add(index);
    return [...this.#known].map((index) => ({ index, stats: running.get(index) ?? NOTHING }));
  }

  readonly #observeConnections = (result: ObservableResult): void => {
    for (const { index, stats } of this.#measured())
      for (const transport of ['tcp', 'ws'] as const)
        result.observe(stats.connections[transport], { transport, worker: index });
  };

  readonly #observeExhausted = (result: ObservableResult): void => {
    result.observe(this.#isExhausted() ? 1 : 0);
  };

  readonly #observeSlowConnections = (result: ObservableResult): void => {
    for (const { index, stats } of this.#measured())
      result.observe(stats.slow.connections, { worker: index });
  };

  readonly #observeSlowBytes = (result: ObservableResult): void => {
    for (const { index, stats } of this.#measured()) result.observe(stats.slow.bytes, { worker: index });
  };

  readonly #observePartialFrames = (result: ObservableResult): void => {
    for (const { index, stats } of this.#measured()) result.observe(stats.partial.frames, { worker: index });
  };

  readonly #observePartialBytes = (result: ObservableResult): void => {
    for (const { index, stats } of this.#measured()) result.observe(stats.partial.bytes, { worker: index });
  };

  readonly #observeDelay = (result: ObservableResult): void => {
    for (const { index, stats } of this.#measured())
      result.observe(stats.loopDelayMs / 1000, { worker: index });
  };
}
