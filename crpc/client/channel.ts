/** A channel: connections to the endpoints of one target, shared by clients of several services. */
import { Client } from '@grpc/grpc-js';
import { CrpcError } from '../errors.ts';
import type { Logger } from '../logger.ts';
import { serviceConfigOf } from '../balance/balancer-config.ts';
import type { BalancerName, BalancerOptions } from '../balance/balancer-config.ts';
import { setupBalancers } from '../balance/balancer.ts';
import { DEFAULT_MAX_MESSAGE_BYTES } from '../batch/batch-pipe.ts';
import { channelCredentials, transportOptions } from './credentials.ts';
import type { SecurityOptions } from './credentials.ts';
import { circuitBreaker } from '../interceptors/interceptor-breaker.ts';
import type { BreakerOptions } from '../interceptors/interceptor-breaker.ts';
import { clientDeadline } from '../interceptors/interceptor-deadline.ts';
import { callMetrics } from '../interceptors/interceptor-metrics.ts';
import { retry } from '../interceptors/interceptor-retry.ts';
import type { RetryOptions } from '../interceptors/interceptor-retry.ts';
import { clientSlowCalls } from '../interceptors/interceptor-slow-call.ts';
import { clientTracing } from '../interceptors/interceptor-tracing.ts';
import type { ClientInterceptor } from '../interceptors/interceptor.ts';
import { clientObservers } from './observer.ts';
import type { Registry } from '../registry/registry.ts';
import { REGISTRY_OPTION, setupResolvers } from './resolver.ts';

const DEFAULT_KEEPALIVE_INTERVAL_MS = 5000;
const DEFAULT_KEEPALIVE_TIMEOUT_MS = 3000;
const INITIAL_RECONNECT_MS = 200;
const MAX_RECONNECT_MS = 5000;

export interface ChannelOptions extends SecurityOptions {
  /** Registry of etcd:/// and memory:/// targets; closed by the caller. */
  readonly registry?: Registry;
  /** Balancing policy. @default round-robin */
  readonly balancer?: BalancerName | BalancerOptions;
  /** Default timeout of a unary call, ms. @default 10_000 */
  readonly timeoutMs?: number;
  /** Error if no endpoint can be reached. @default SERVER_UNREACHABLE */
  readonly unavailable?: string;
  /** gRPC's limit for one message. @default 8 MiB */
  readonly maxMessageBytes?: number;
  /** Silence after which a connection is probed. @default 5000 ms */
  readonly keepaliveIntervalMs?: number;
  /** An unanswered probe ends the connection. @default 3000 ms */
  readonly keepaliveTimeoutMs?: number;
  /** Logs slow calls. */
  readonly logger?: Logger;
  /** Duration from which calls are logged, if there is a logger, ms; Infinity: none. @default 1000 */
  readonly slowCallMs?: number;
  /** Retries of idempotent calls; false: none. */
  readonly retry?: RetryOptions | false;
  /** Circuit breakers, one per endpoint. @default none */
  readonly breaker?: BreakerOptions;
  /**
   * Run inside tracing, metrics and slow-call log, and outside deadline, retry and breaker; the first is the outermost.
   */
  readonly interceptors?: readonly ClientInterceptor[];
}

/** Connections to `etcd:///service`, `memory:///service`, `static:///host:port,…` or `host:port`. */
export class Channel implements Disposable {
  readonly target: string;
  readonly options: ChannelOptions;
  readonly interceptors: readonly ClientInterceptor[];
  readonly grpc: Client;

  constructor(target: string, options: ChannelOptions = {}) {
    setupResolvers();
    setupBalancers();
    const uri = target.includes('://') ? target : `static:///${target}`;
    const scheme = uri.slice(0, uri.indexOf(':'));
    if (!['etcd', 'memory', 'static'].includes(scheme)) throw invalid(`${target} is not a target of crpc.`);
    if (scheme !== 'static' && options.registry === undefined)
      throw invalid(`${target} needs a registry to be looked up in.`);
    this.target = target;
    this.options = options;
    const { logger, slowCallMs } = options;
    this.interceptors = [
      clientObservers([
        clientTracing(),
        callMetrics('client'),
        ...(logger === undefined ? [] : [clientSlowCalls({ logger, slowCallMs, target })]),
      ]),
      ...(options.interceptors ?? []),
      clientDeadline({ timeoutMs: options.timeoutMs }),
      ...(options.retry === false ? [] : [retry(options.retry)]),
      ...(options.breaker === undefined ? [] : [circuitBreaker(options.breaker)]),
    ];
    const keepalive = {
      intervalMs: options.keepaliveIntervalMs ?? DEFAULT_KEEPALIVE_INTERVAL_MS,
      timeoutMs: options.keepaliveTimeoutMs ?? DEFAULT_KEEPALIVE_TIMEOUT_MS,
    };
    this.grpc = new Client(uri, channelCredentials(options), {
      ...transportOptions(options, keepalive, options.maxMessageBytes ?? DEFAULT_MAX_MESSAGE_BYTES),
      ...(options.registry === undefined ? {} : { [REGISTRY_OPTION]: options.registry }),
      'grpc.service_config': serviceConfigOf(options.balancer ?? 'round-robin'),
      'grpc.service_config_disable_resolution': 1,
      // gRPC itself retries only calls that no handler has seen, such as one that crossed a GOAWAY; other retries are
      // ours.
      'grpc.enable_retries': 1,
      'grpc.initial_reconnect_backoff_ms': INITIAL_RECONNECT_MS,
      'grpc.max_reconnect_backoff_ms': MAX_RECONNECT_MS,
    });
  }

  /** Closes the connections; calls in flight fail. */
  close(): void {
    this.grpc.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

function invalid(what: string): CrpcError {
  return new CrpcError('CONFIG_INVALID', { details: { what } });
}
