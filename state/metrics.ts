/** The metrics of a state node; counted per batch or answer, never per delivery. */
import type { Counter, Histogram } from '@opentelemetry/api';
import { gauge, meter } from '../common/mod.ts';
import { LINK_PROTOCOL } from '../proto/mod.ts';

export interface StateMetrics {
  readonly sends: Counter;
  readonly appendSeconds: Histogram;
  readonly appendBatchRows: Histogram;
  readonly deliveries: Counter;
  readonly syncs: Counter;
  readonly nacks: Counter;
  readonly resyncs: Counter;
}

/** Sources of the gauges. */
export interface StateGauges {
  sessions(): number;
  queueRows(): number;
  /** Returns the number of gateway workers that speak this version of the link. */
  links(version: number): number;
}

/** Makes the instruments. Metrics must be enabled before, else they are no-ops. */
export function stateMetrics(read: StateGauges): StateMetrics {
  const state = meter('state');
  gauge(
    state,
    'gochat_state_sessions',
    'Connections to all gateways, as this state node knows them. Every node counts all of them: do not add nodes up.',
    () => read.sessions(),
  );
  gauge(state, 'gochat_state_queue_rows', 'Messages that wait for the commit.', () => read.queueRows());
  for (let version: number = LINK_PROTOCOL.oldest; version <= LINK_PROTOCOL.newest; version++)
    gauge(
      state,
      'gochat_state_links',
      'Links to gateway workers, by link version. Labels: version.',
      () => read.links(version),
      { version },
    );
  return {
    sends: state.createCounter('gochat_state_sends_total', {
      description: 'Messages by result: committed, duplicate, or refused with a code. Labels: result.',
    }),
    appendSeconds: state.createHistogram('gochat_state_append_seconds', {
      description: 'Duration of a commit.',
      advice: {
        explicitBucketBoundaries: [0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5],
      },
    }),
    appendBatchRows: state.createHistogram('gochat_state_append_batch_rows', {
      description: 'Messages per commit.',
      advice: { explicitBucketBoundaries: [1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2000] },
    }),
    deliveries: state.createCounter('gochat_state_deliveries_total', {
      description: 'Messages pushed, counted once per connection.',
    }),
    syncs: state.createCounter('gochat_state_sync_total', { description: 'Sync pages served.' }),
    nacks: state.createCounter('gochat_state_nacks_total', { description: 'Frames refused. Labels: code.' }),
    resyncs: state.createCounter('gochat_state_resyncs_total', {
      description: 'Connections told to resynchronise.',
    }),
  };
}
