/** crpc: services over gRPC, found in a registry, balanced, and with batch streams for what is hot. */
export type { AnnounceOptions } from './announcement.ts';
export type { BalancerName, BalancerOptions } from './balancer-config.ts';
export { BatchLink, openBatchStream } from './batch-client.ts';
export type { BatchLinkOptions, ClientBatchHandler, OpenBatchStreamOptions } from './batch-client.ts';
export type { AcceptStream } from './batch-server.ts';
export { SendResult } from './batch-stream.ts';
export type { BatchStream, BatchStreamHandler, BatchStreamOptions, StreamEnd } from './batch-stream.ts';
export { CallContext, currentCall } from './call-context.ts';
export { Channel } from './channel.ts';
export type { ChannelOptions } from './channel.ts';
export { createClient } from './client.ts';
export type { CallOptions, ClientMethod, CrpcClient, Result } from './client.ts';
export type { SecurityOptions, TlsOptions } from './credentials.ts';
export type { Definition, Handler, Handlers, RequestOf, ResponseOf } from './definition.ts';
export { withIdempotency } from './definition.ts';
export type { GenericDefinition } from './definition.ts';
export { circuitBreaker } from './interceptor-breaker.ts';
export type { BreakerOptions } from './interceptor-breaker.ts';
export { clientConcurrency, serverConcurrency } from './interceptor-concurrency.ts';
export type { ConcurrencyOptions } from './interceptor-concurrency.ts';
export { clientDeadline, serverDeadline } from './interceptor-deadline.ts';
export { callMetrics } from './interceptor-metrics.ts';
export { clientRateLimit, serverRateLimit } from './interceptor-rate-limit.ts';
export type { RateLimitOptions } from './interceptor-rate-limit.ts';
export { recovery } from './interceptor-recovery.ts';
export { clientSlowCalls, serverSlowCalls } from './interceptor-slow-call.ts';
export { clientTracing, serverTracing } from './interceptor-tracing.ts';
export { retry } from './interceptor-retry.ts';
export type { RetryOptions } from './interceptor-retry.ts';
export type {
  ClientInterceptor,
  OutgoingCall,
  ServerInterceptor,
  StreamHandler,
  StreamInvoke,
  UnaryHandler,
  UnaryInvoke,
} from './interceptor.ts';
export { clientObservers, serverObservers } from './observer.ts';
export type { ObserveBegin, ObserveEnd, Observer } from './observer.ts';
export { EtcdRegistry } from './registry-etcd.ts';
export type { EtcdRegistryOptions } from './registry-etcd.ts';
export { MemoryRegistry } from './registry-memory.ts';
export { openRegistry } from './registry-url.ts';
export type { OpenRegistryOptions } from './registry-url.ts';
export type {
  Endpoint,
  LeasedId,
  Registration,
  Registry,
  Snapshot,
  Unwatch,
} from './registry.ts';
export type { OutlierOptions } from './outlier.ts';
export { Rendezvous, hashKey } from './rendezvous.ts';
export { CrpcServer } from './server.ts';
export type { CrpcServerOptions } from './server.ts';
