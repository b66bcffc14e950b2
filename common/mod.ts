/** Leaf helpers that every server uses. */
export * from './address.ts';
export * from './admin.ts';
export * from './backoff.ts';
export * from './cors.ts';
export * from './errors.ts';
export * from './heap-trim.ts';
export * from './http.ts';
export * from './ids.ts';
export * from './jwt.ts';
export * from './lifecycle.ts';
export * from './logger.ts';
export * from './metrics.ts';
export * from './reset-socket.ts';
export * from './task-queue.ts';
export * from './ticket.ts';
export * from './tracing.ts';
export * from './trusted-proxies.ts';
