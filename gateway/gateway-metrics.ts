/** The gateway's metrics: what the workers count, summed in the supervisor. */
import type { ObservableResult } from '@opentelemetry/api';
import { meter } from '../common/mod.ts';
import {
  type DisconnectCode,
  newWorkerStats,
  type Refusal,
  type WorkerStats,
} from './supervisor/worker-stats.ts';

/** A worker as the gauges see it. */
export interface MeasuredWorker {
  readonly index: number;
  readonly stats: WorkerStats;
}

const NOTHING: WorkerStats = Object.freeze(newWorkerStats());

export class GatewayMetrics {
  readonly #workers: () => readonly MeasuredWorker[];
  readonly #known = new Set<number>();
  /** What has been counted of the worker that runs now. */
  readonly #counted = new Map<number, WorkerStats>();
  readonly #accepts;
  readonly #acceptErrors;
  readonly #disconnects;
  readonly #refusals;
  readonly #frames;
  readonly #bytes;
  readonly #slow;
  readonly #slowReaders;
  readonly #ephemeral;
  readonly #restarts;
  readonly #connections;
  readonly #delay;
  readonly #behind;
  readonly #behindBytes;
  readonly #partialFrames;
  readonly #partialBytes;
  readonly #exhausted;
  readonly #isExhausted: () => boolean;

  constructor(workers: () => readonly MeasuredWorker[], isExhausted: () => boolean) {
    this.#workers = workers;
    this.#isExhausted = isExhausted;
    const part = meter('gateway');
    const counter = (name: string, description: string) =>
      part.createCounter(`gochat_gateway_${name}`, { description });
    this.#accepts = counter('accepts_total', 'Connections accepted, by worker');
    this.#acceptErrors = counter('accept_errors_total', 'Connections that could not be accepted');
    this.#disconnects = counter('disconnects_total', 'Connections ended, by code');
    this.#refusals = counter('refusals_total', 'Clients and frames that met a limit, by limit');
    this.#frames = counter('frames_total', 'Frames of clients, by direction');
    this.#bytes = counter('bytes_total', 'Bytes of clients, by direction');
    this.#slow = counter('slow_consumers_total', 'Connections closed because the client did not read');
    this.#slowReaders = counter(
      'slow_readers_total',
      'Connections that missed frames because the client did not read',
    );
    this.#ephemeral = counter('ephemeral_dropped_total', 'Ephemeral frames left out of slow connections');
    this.#restarts = counter('worker_restarts_total', 'Workers replaced');
    this.#connections = part.createObservableGauge('gochat_gateway_connections', {
      description: 'Open connections, by transport and worker',
    });
    this.#delay = part.createObservableGauge('gochat_gateway_event_loop_delay_seconds', {
      description: 'Mean event-loop delay of the last second, by worker',
    });
    this.#behind = part.createObservableGauge('gochat_gateway_slow_connections', {
      description: 'Connections that are behind now, by worker',
    });
    this.#behindBytes = part.createObservableGauge('gochat_gateway_slow_bytes', {
      description: 'Bytes that wait for connections that are behind, by worker',
    });
    this.#partialFrames = part.createObservableGauge('gochat_gateway_partial_frames', {
      description: 'Frames that have begun and not ended, by worker',
    });
    this.#partialBytes = part.createObservableGauge('gochat_gateway_partial_bytes', {
      description: 'Memory that frames hold which have begun and not ended, by worker',
    });
    this.#exhausted = part.createObservableGauge('gochat_gateway_descriptors_exhausted', {
      description: '1 while the process can open no more files and accepts no clients',
    });
    this.#exhausted.addCallback(this.#observeExhausted);
    this.#connections.addCallback(this.#observeConnections);
    this.#delay.addCallback(this.#observeDelay);
    this.#behind.addCallback(this.#observeBehind);
    this.#behindBytes.addCallback(this.#observeBehindBytes);
    this.#partialFrames.addCallback(this.#observePartialFrames);
    this.#partialBytes.addCallback(this.#observePartialBytes);
  }

  /** Adds what a worker has counted since it was asked last. */
  record(worker: number, stats: WorkerStats): void {
    const before = this.#counted.get(worker) ?? newWorkerStats();
    this.#counted.set(worker, stats);
    this.#accepts.add(stats.accepts - before.accepts, { worker });
    this.#acceptErrors.add(stats.acceptErrors - before.acceptErrors);
    this.#slow.add(stats.slowConsumers - before.slowConsumers);
    this.#slowReaders.add(stats.slowReaders - before.slowReaders);
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

  /** The worker is one too many: what it has counted stays. */
  forget(worker: number): void {
    this.#counted.delete(worker);
  }

  /** Another worker has taken this one's place: it counts from 0. */
  restarted(worker: number): void {
    this.#counted.delete(worker);
    this.#restarts.add(1);
  }

  close(): void {
    this.#exhausted.removeCallback(this.#observeExhausted);
    this.#connections.removeCallback(this.#observeConnections);
    this.#delay.removeCallback(this.#observeDelay);
    this.#behind.removeCallback(this.#observeBehind);
    this.#behindBytes.removeCallback(this.#observeBehindBytes);
    this.#partialFrames.removeCallback(this.#observePartialFrames);
    this.#partialBytes.removeCallback(this.#observePartialBytes);
  }

  /** Every worker there was: a gauge goes on showing the last value of one that is not observed any more. */
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

  readonly #observeBehind = (result: ObservableResult): void => {
    for (const { index, stats } of this.#measured())
      result.observe(stats.behind.connections, { worker: index });
  };

  readonly #observeBehindBytes = (result: ObservableResult): void => {
    for (const { index, stats } of this.#measured()) result.observe(stats.behind.bytes, { worker: index });
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
