/** crpc: services over gRPC, found in a registry, balanced, and with batch streams for what is hot. */
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
export type { CallOptions, ClientMethod, CrpcClient } from './client.ts';
export type { SecurityOptions, TlsOptions } from './credentials.ts';
export type { Definition, Handler, Handlers, RequestOf, ResponseOf } from './definition.ts';
export { clientDeadline, serverDeadline } from './interceptor-deadline.ts';
export { clientMetrics, serverMetrics } from './interceptor-metrics.ts';
export { recovery } from './interceptor-recovery.ts';
export { clientSlowCalls, serverSlowCalls } from './interceptor-slow-call.ts';
export { clientTracing, serverTracing } from './interceptor-tracing.ts';
export type {
  ClientInterceptor,
  OutgoingCall,
  ServerInterceptor,
  StreamHandler,
  StreamInvoke,
  UnaryHandler,
  UnaryInvoke,
} from './interceptor.ts';
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
