/** The metrics of crpc. Calls are counted per call, batch streams per batch, never per record. */
import { metrics } from '@opentelemetry/api';
import type { Counter, Histogram } from '@opentelemetry/api';
import { splitMethod } from './interceptors/interceptor.ts';

const SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
const RECORDS = [1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 10_000];
const BYTES = [64, 256, 1024, 4096, 16_384, 65_536, 262_144, 1_048_576, 8_388_608];

export type Side = 'client' | 'server';

/** Calls in flight of a method. */
export interface InFlight {
  calls: number;
}

export interface CrpcMetrics {
  /** By service, method and code; its count is the number of calls. */
  readonly callSeconds: Readonly<Record<Side, Histogram>>;
  /** By direction. */
  readonly batchRecords: Histogram;
  readonly batchBytes: Histogram;
  /** By service. */
  readonly massLosses: Counter;
  /** By endpoint. */
  readonly ejections: Counter;
  /** By service and method. */
  readonly retries: Counter;
  /** By what refused them: breaker, concurrency, rate. */
  readonly refusals: Counter;
}

const inFlight: Record<Side, Map<string, InFlight>> = { client: new Map(), server: new Map() };
let made: CrpcMetrics | undefined;

/** Returns the instruments of the process. Metrics must be enabled before the first use, else they are no-ops. */
export function crpcMetrics(): CrpcMetrics {
  if (made !== undefined) return made;
  const part = metrics.getMeter('gochat.crpc');
  const callSeconds = (side: Side): Histogram =>
    part.createHistogram(`gochat_crpc_${side}_call_seconds`, {
      description: `Duration of a call as the ${side} sees it. Labels: service, method, code.`,
      advice: { explicitBucketBoundaries: SECONDS },
    });
  for (const side of ['client', 'server'] as const) {
    part
      .createObservableGauge(`gochat_crpc_${side}_calls_in_flight`, {
        description: `Calls that run now, on the ${side} side. Labels: service, method.`,
      })
      .addCallback((result) => {
        for (const [path, { calls }] of inFlight[side]) result.observe(calls, splitMethod(path));
      });
  }
  made = {
    callSeconds: { client: callSeconds('client'), server: callSeconds('server') },
    batchRecords: part.createHistogram('gochat_crpc_batch_records', {
      description: 'Records per batch of a batch stream, sent or received. Labels: direction.',
      advice: { explicitBucketBoundaries: RECORDS },
    }),
    batchBytes: part.createHistogram('gochat_crpc_batch_bytes', {
      description: 'Bytes per batch of a batch stream, sent or received. Labels: direction.',
      advice: { explicitBucketBoundaries: BYTES },
    }),
    massLosses: part.createCounter('gochat_crpc_mass_losses_total', {
      description:
        'Number of times that most endpoints of a service vanished at once; they are kept for a while. Labels: service.',
    }),
    ejections: part.createCounter('gochat_crpc_ejections_total', {
      description:
        'Number of times that a balancer stopped using an endpoint for a while because it failed or was slow. Labels: endpoint.',
    }),
    retries: part.createCounter('gochat_crpc_retries_total', {
      description: 'Retries of idempotent calls. Labels: service, method.',
    }),
    refusals: part.createCounter('gochat_crpc_refusals_total', {
      description: 'Calls refused locally, by cause: breaker, concurrency, rate. Labels: by.',
    }),
  };
  return made;
}

/** Returns the counter of a method's running calls, one per side and process. */
export function inFlightOf(side: Side, path: string): InFlight {
  let found = inFlight[side].get(path);
  if (found === undefined) {
    found = { calls: 0 };
    inFlight[side].set(path, found);
  }
  return found;
}
