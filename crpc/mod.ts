/** crpc: gRPC services with discovery, load balancing, and batch streams for hot paths. */
export type { AnnounceOptions } from './registry/announcement.ts';
export type { BalancerName, BalancerOptions } from './balance/balancer-config.ts';
export { BatchLink, openBatchStream } from './batch/batch-client.ts';
export type { BatchLinkOptions, ClientBatchHandler, OpenBatchStreamOptions } from './batch/batch-client.ts';
export type { AgreedProtocol, BatchProtocol } from './batch/batch-protocol.ts';
export type { AcceptStream } from './batch/batch-server.ts';
export { SendResult } from './batch/batch-stream.ts';
export type { BatchStream, BatchStreamHandler, BatchStreamOptions, StreamEnd } from './batch/batch-stream.ts';
export { CallContext, currentCall } from './client/call-context.ts';
export { Channel } from './client/channel.ts';
export type { ChannelOptions } from './client/channel.ts';
export { createClient } from './client/client.ts';
export type { CallOptions, ClientMethod, CrpcClient, Result } from './client/client.ts';
export type { SecurityOptions, TlsOptions } from './client/credentials.ts';
export type { Definition, Handler, Handlers, RequestOf, ResponseOf } from './client/definition.ts';
export { withIdempotency } from './client/definition.ts';
export type { GenericDefinition } from './client/definition.ts';
export { CrpcError, GrpcStatus, isCoded } from './errors.ts';
export type { CodedError, CrpcErrorCode, CrpcErrorOptions, ErrorDetails, OwnErrorOptions } from './errors.ts';
export type { Logger } from './logger.ts';
export { circuitBreaker } from './interceptors/interceptor-breaker.ts';
export type { BreakerOptions } from './interceptors/interceptor-breaker.ts';
export { clientConcurrency, serverConcurrency } from './interceptors/interceptor-concurrency.ts';
export type { ConcurrencyOptions } from './interceptors/interceptor-concurrency.ts';
export { clientDeadline, serverDeadline } from './interceptors/interceptor-deadline.ts';
export { callMetrics } from './interceptors/interceptor-metrics.ts';
export { clientRateLimit, serverRateLimit } from './interceptors/interceptor-rate-limit.ts';
export type { RateLimitOptions } from './interceptors/interceptor-rate-limit.ts';
export { recovery } from './interceptors/interceptor-recovery.ts';
export { clientSlowCalls, serverSlowCalls } from './interceptors/interceptor-slow-call.ts';
export { clientTracing, serverTracing } from './interceptors/interceptor-tracing.ts';
export { retry } from './interceptors/interceptor-retry.ts';
export type { RetryOptions } from './interceptors/interceptor-retry.ts';
export type {
  ClientInterceptor,
  OutgoingCall,
  ServerInterceptor,
  StreamHandler,
  StreamInvoke,
  UnaryHandler,
  UnaryInvoke,
} from './interceptors/interceptor.ts';
export { clientObservers, serverObservers } from './client/observer.ts';
export type { ObserveBegin, ObserveEnd, Observer } from './client/observer.ts';
export { EtcdRegistry } from './registry/registry-etcd.ts';
export type { EtcdRegistryOptions } from './registry/registry-etcd.ts';
export { MemoryRegistry } from './registry/registry-memory.ts';
export { openRegistry } from './registry/registry-url.ts';
export type { OpenRegistryOptions } from './registry/registry-url.ts';
export type {
  Endpoint,
  LeasedId,
  Registration,
  Registry,
  Snapshot,
  Unwatch,
} from './registry/registry.ts';
export type { OutlierOptions } from './balance/outlier.ts';
export { Rendezvous, hashKey } from './balance/rendezvous.ts';
export { CrpcServer } from './server/server.ts';
export type { CrpcServerOptions } from './server/server.ts';
