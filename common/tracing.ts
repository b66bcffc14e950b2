/** Traces through OpenTelemetry, sent by OTLP (HTTP, protobuf); off unless an endpoint is configured. */
import { context, diag, DiagLogLevel, trace } from '@opentelemetry/api';
import type { TracerProvider } from '@opentelemetry/sdk-trace';
import type { Logger } from './logger.ts';

export interface TracingOptions {
  /** Names the server in each span. */
  readonly service: string;
  /** Names this process start. */
  readonly instance: string;
  /** URL that spans are posted to. */
  readonly url: string;
  /** Share of new traces that are recorded, 0 to 1; a trace that came in is recorded where its caller records it. */
  readonly ratio: number;
  /** Told when spans cannot be sent; they are dropped then. */
  readonly logger: Logger;
}

let provider: TracerProvider | undefined;

/**
 * Turns tracing on for this process; without it every span is a no-op, and trace contexts are only passed on.
 *
 * At most 2,048 spans wait to be sent, in batches every 5 s; what is beyond that is dropped.
 */
export async function enableTracing(options: TracingOptions): Promise<void> {
  if (provider) return;
  // Loaded on demand: most processes and all worker threads do without.
  const { AsyncLocalStorageContextManager } = await import('@opentelemetry/context-async-hooks');
  const { OTLPTraceExporter } = await import('@opentelemetry/exporter-trace-otlp-proto');
  const { resourceFromAttributes } = await import('@opentelemetry/resources');
  const sdk = await import('@opentelemetry/sdk-trace');
  const { service, instance, url, ratio, logger } = options;
  const warn = (text: string): void => logger.warn({ otlp: url }, text);
  diag.setLogger(
    { error: warn, warn, info: () => {}, debug: () => {}, verbose: () => {} },
    DiagLogLevel.WARN,
  );
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  provider = new sdk.TracerProvider({
    resource: resourceFromAttributes({ 'service.name': service, 'service.instance.id': instance }),
    sampler: new sdk.ParentBasedSampler({ root: new sdk.TraceIdRatioBasedSampler(ratio) }),
    spanProcessors: [new sdk.BatchSpanProcessor({ exporter: new OTLPTraceExporter({ url }) })],
  });
  trace.setGlobalTracerProvider(provider);
}

/** Sends the spans that wait; idempotent. */
export async function closeTracing(): Promise<void> {
  await provider?.shutdown();
}

/**
 * Returns where spans go: `endpoint` or $OTEL_EXPORTER_OTLP_ENDPOINT with /v1/traces behind it, or
 * $OTEL_EXPORTER_OTLP_TRACES_ENDPOINT as it is; undefined: nowhere.
 * https://opentelemetry.io/docs/specs/otel/protocol/exporter/
 */
export function otlpUrl(
  endpoint: string | undefined,
  env: Readonly<Record<string, string | undefined>>,
): string | undefined {
  const exact = env['OTEL_EXPORTER_OTLP_TRACES_ENDPOINT'];
  if (endpoint === undefined && exact) return exact;
  const base = endpoint ?? (env['OTEL_EXPORTER_OTLP_ENDPOINT'] || undefined);
  return base === undefined ? undefined : `${base.replace(/\/+$/, '')}/v1/traces`;
}
