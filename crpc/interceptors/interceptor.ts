/** Interceptors: functions around calls, composed once per method when a server or client is made, not per call. */
import type { Metadata } from '@grpc/grpc-js';
import { isCoded } from '../errors.ts';
import type { CallContext } from '../client/call-context.ts';
import type { PickContext } from '../client/pick-context.ts';

/** Answers a call with one response; `input` is the request, or an async iterable of requests. */
export type UnaryHandler = (input: unknown, context: CallContext) => Promise<unknown>;
/** Answers a call with a stream of responses. */
export type StreamHandler = (input: unknown, context: CallContext) => AsyncIterable<unknown>;

/** Wraps the handlers of a server; omitted kinds pass through. */
export interface ServerInterceptor {
  readonly unary?: (next: UnaryHandler, method: string) => UnaryHandler;
  readonly stream?: (next: StreamHandler, method: string) => StreamHandler;
}

/** An outgoing call. Interceptors may change the fields that are not readonly. */
export interface OutgoingCall {
  /** Full method name: /package.Service/Method. */
  readonly method: string;
  /** The request, or an async iterable of requests. */
  readonly input: unknown;
  readonly metadata: Metadata;
  /** Communication with the balancer; `endpoint` is that of the call. */
  readonly pick: PickContext;
  /** Deadline on the clock of `performance.now()`; Infinity: none. */
  deadline: number;
  readonly signal: AbortSignal | undefined;
  /** Whether it is safe to repeat and may be retried. */
  readonly idempotent: boolean;
}

export type UnaryInvoke = (call: OutgoingCall) => Promise<unknown>;
export type StreamInvoke = (call: OutgoingCall) => AsyncIterable<unknown>;

/** Wraps the calls of a client; omitted kinds pass through. */
export interface ClientInterceptor {
  readonly unary?: (next: UnaryInvoke, method: string) => UnaryInvoke;
  readonly stream?: (next: StreamInvoke, method: string) => StreamInvoke;
}

/** Wraps `last` in the interceptors; the first one is the outermost. */
export function compose<I>(
  interceptors: readonly { unary?: (next: I, method: string) => I }[],
  kind: 'unary',
  last: I,
  method: string,
): I;
export function compose<I>(
  interceptors: readonly { stream?: (next: I, method: string) => I }[],
  kind: 'stream',
  last: I,
  method: string,
): I;
export function compose<I>(
  interceptors: readonly Partial<Record<'unary' | 'stream', (next: I, method: string) => I>>[],
  kind: 'unary' | 'stream',
  last: I,
  method: string,
): I {
  return interceptors.reduceRight((next, interceptor) => interceptor[kind]?.(next, method) ?? next, last);
}

/** /package.Service/Method → package.Service and Method. */
export function splitMethod(path: string): { service: string; method: string } {
  const at = path.lastIndexOf('/');
  return { service: path.slice(1, at), method: path.slice(at + 1) };
}

/** Returns the code under which an error is counted; an abort by the caller is CANCELLED. */
export function outcomeOf(error: unknown, isCancelled: boolean | undefined): string {
  if (isCoded(error)) return error.code;
  return isCancelled ? 'CANCELLED' : 'INTERNAL';
}
