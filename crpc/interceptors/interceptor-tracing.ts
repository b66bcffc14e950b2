/** W3C trace context, both sides: one span per call, joined across processes by `traceparent`. Batch streams have none. */
import type { Span, SpanOptions } from '@opentelemetry/api';
import {
  ROOT_CONTEXT,
  SpanKind,
  SpanStatusCode,
  context,
  isSpanContextValid,
  trace,
} from '@opentelemetry/api';
import { W3CTraceContextPropagator } from '@opentelemetry/core';
import type { Metadata } from '@grpc/grpc-js';
import { currentCall } from '../client/call-context.ts';
import type { CallContext } from '../client/call-context.ts';
import { splitMethod } from './interceptor.ts';
import type { OutgoingCall } from './interceptor.ts';
import { OK } from '../client/observer.ts';
import type { ObserveEnd, Observer } from '../client/observer.ts';

const propagator = new W3CTraceContextPropagator();
const tracer = trace.getTracer('gochat.crpc');

const NOTHING: ObserveEnd = () => {};

const GETTER = {
  keys: (): string[] => [],
  get: (metadata: Metadata, key: string): string | undefined => {
    const [value] = metadata.get(key);
    return typeof value === 'string' ? value : undefined;
  },
};
const SETTER = { set: (metadata: Metadata, key: string, value: string): void => metadata.set(key, value) };

/**
 * Continues the caller's trace or starts one. Without a tracer provider (`enableTracing`) nothing is recorded, and the
 * caller's trace context is passed on to the handler's calls.
 */
export function serverTracing(): Observer<CallContext> {
  return (method) => {
    const kind = describe(method, SpanKind.SERVER);
    return (call) => ending(accept(kind, method, call));
  };
}

/** Sends the trace context of the call being answered, or of the active span; a traced call gets its own span. */
export function clientTracing(): Observer<OutgoingCall> {
  return (method) => {
    const kind = describe(method, SpanKind.CLIENT);
    return (call) => ending(send(kind, method, call));
  };
}

/** Attributes of https://opentelemetry.io/docs/specs/semconv/rpc/. */
function describe(path: string, kind: SpanKind): SpanOptions {
  const { service, method } = splitMethod(path);
  return { kind, attributes: { 'rpc.system': 'grpc', 'rpc.service': service, 'rpc.method': method } };
}

/** Starts the span of an incoming call; no effect if the call has no trace. */
function accept(options: SpanOptions, method: string, call: CallContext): Span {
  const parent = propagator.extract(ROOT_CONTEXT, call.metadata, GETTER);
  const span = tracer.startSpan(method.slice(1), options, parent);
  const about = span.spanContext();
  if (isSpanContextValid(about)) {
    call.traceId = about.traceId;
    call.trace = trace.setSpan(parent, span);
  }
  return span;
}

/** Starts the span of an outgoing call and adds its trace context to the call, if there is one. */
function send(options: SpanOptions, method: string, call: OutgoingCall): Span {
  const active = context.active();
  const parent = trace.getSpan(active) === undefined ? (currentCall()?.trace ?? active) : active;
  const span = tracer.startSpan(method.slice(1), options, parent);
  if (isSpanContextValid(span.spanContext()))
    propagator.inject(trace.setSpan(parent, span), call.metadata, SETTER);
  return span;
}

function ending(span: Span): ObserveEnd {
  if (!span.isRecording()) return NOTHING;
  return (code) => {
    if (code !== OK) {
      span.setAttribute('error.type', code);
      span.setStatus({ code: SpanStatusCode.ERROR, message: code });
    }
    span.end();
  };
}
