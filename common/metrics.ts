/** Metrics through OpenTelemetry, read as Prometheus text by the admin port. */
import { type Attributes, type Meter, metrics } from '@opentelemetry/api';
import type { PrometheusExporter } from '@opentelemetry/exporter-prometheus';
import type { IncomingMessage, ServerResponse } from 'node:http';

let exporter: PrometheusExporter | undefined;

/** Turns metrics on for this process under a service name; without it every instrument is a no-op. */
export async function enableMetrics(service: string): Promise<void> {
  if (exporter) return;
  // Loaded on demand: clients and worker threads do not need it.
  const [{ PrometheusExporter }, { resourceFromAttributes }, { MeterProvider }] = await Promise.all([
    import('@opentelemetry/exporter-prometheus'),
    import('@opentelemetry/resources'),
    import('@opentelemetry/sdk-metrics'),
  ]);
  exporter = new PrometheusExporter({ preventServerStart: true });
  metrics.setGlobalMeterProvider(
    new MeterProvider({
      readers: [exporter],
      resource: resourceFromAttributes({ 'service.name': service }),
    }),
  );
}

/** Answers a request with all metrics in Prometheus' text format. */
export function handleMetrics(request: IncomingMessage, response: ServerResponse): void {
  if (!exporter) {
    response.writeHead(404).end();
    return;
  }
  exporter.getMetricsRequestHandler(request, response);
}

/** Returns the meter of a part of GoChat; instruments are named gochat_PART_… with base units. */
export function meter(part: string): Meter {
  return metrics.getMeter(`gochat.${part}`);
}

/** Registers a gauge whose value is read at each scrape. */
export function gauge(
  part: Meter,
  name: string,
  description: string,
  read: () => number,
  attributes?: Attributes,
): void {
  part
    .createObservableGauge(name, { description })
    .addCallback((result) => result.observe(read(), attributes));
}
