/** Traces by OpenTelemetry, sent with OTLP (HTTP, protobuf); off unless an endpoint is configured. */
import { context, diag, DiagLogLevel, trace } from '@opentelemetry/api';
import type { TracerProvider } from '@opentelemetry/sdk-trace';
import type { Logger } from './logger.ts';

export interface TracingOptions {
  /** Name of the server, in each span. */
  readonly service: string;
  /** Id of this run of the process. */
  readonly instance: string;
  /** URL that spans are posted to. */
  readonly url: string;
  /** Share of new traces that are recorded, 0 to 1. For an incoming trace the caller has decided. */
  readonly ratio: number;
  /** Logs spans that cannot be sent and are dropped. */
  readonly logger: Logger;
}

let provider: TracerProvider | undefined;

/**
 * Turns tracing on for this process. Without it every span is a no-op, and trace contexts are only passed on.
 *
 * At most 2,048 spans are queued and sent in batches every 5 s; more are dropped.
 */
export async function enableTracing(options: TracingOptions): Promise<void> {
  if (provider) return;
  // Loaded on demand: most processes and all worker threads do not need it.
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

/** Sends the queued spans. Idempotent. */
export async function closeTracing(): Promise<void> {
  await provider?.shutdown();
}

/**
 * Returns the URL that spans are sent to: `endpoint` or $OTEL_EXPORTER_OTLP_ENDPOINT followed by /v1/traces, or
 * $OTEL_EXPORTER_OTLP_TRACES_ENDPOINT as it is; undefined if none is set.
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
