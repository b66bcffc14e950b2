/** A test's own OTLP collector: accepts spans over HTTP and keeps them. */
import { BinaryReader, WireType } from '@bufbuild/protobuf/wire';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Inbox } from './support.ts';

export interface CollectedSpan {
  readonly service: string;
  readonly name: string;
  readonly traceId: string;
  readonly spanId: string;
  /** Empty: a root. */
  readonly parentSpanId: string;
  /** 2: server, 3: client. */
  readonly kind: number;
}

/** Fields of one message by number: bytes, or numbers of varints. */
type Fields = Map<number, (Uint8Array | number)[]>;

export class OtlpCollector implements AsyncDisposable {
  readonly spans = new Inbox<CollectedSpan>();
  readonly #http = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const isKnown = request.url === '/v1/traces';
      if (isKnown) for (const span of decode(Buffer.concat(chunks))) this.spans.push(span);
      response.writeHead(isKnown ? 200 : 404).end();
    });
  });

  static async start(): Promise<OtlpCollector> {
    const collector = new OtlpCollector();
    collector.#http.listen(0, '127.0.0.1');
    await once(collector.#http, 'listening');
    return collector;
  }

  /** For --otlp-endpoint. */
  get endpoint(): string {
    return `http://127.0.0.1:${(this.#http.address() as AddressInfo).port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#http.closeAllConnections();
    this.#http.close();
    await once(this.#http, 'close');
  }
}

/** Reads ExportTraceServiceRequest of opentelemetry/proto/collector/trace/v1. */
function decode(request: Uint8Array): CollectedSpan[] {
  return all(fields(request), 1).flatMap((resourceSpans) => {
    const [resource] = all(resourceSpans, 1);
    const attribute = resource && all(resource, 1).find((each) => text(each, 1) === 'service.name');
    const [value] = attribute === undefined ? [] : all(attribute, 2);
    const service = value === undefined ? '' : text(value, 1);
    return all(resourceSpans, 2)
      .flatMap((scopeSpans) => all(scopeSpans, 2))
      .map((span) => ({
        service,
        traceId: hex(span, 1),
        spanId: hex(span, 2),
        parentSpanId: hex(span, 4),
        name: text(span, 5),
        kind: Number(span.get(6)?.[0] ?? 0),
      }));
  });
}

function fields(message: Uint8Array): Fields {
  const found: Fields = new Map();
  const reader = new BinaryReader(message);
  while (reader.pos < reader.len) {
    const [number, wireType] = reader.tag();
    const values = found.get(number) ?? [];
    found.set(number, values);
    if (wireType === WireType.LengthDelimited) values.push(reader.bytes());
    else if (wireType === WireType.Varint) values.push(Number(reader.uint64()));
    else reader.skip(wireType, number);
  }
  return found;
}

function all(message: Fields, number: number): Fields[] {
  return (message.get(number) ?? []).map((value) => fields(value as Uint8Array));
}

function text(message: Fields, number: number): string {
  const [value] = message.get(number) ?? [];
  return value instanceof Uint8Array ? Buffer.from(value).toString() : '';
}

function hex(message: Fields, number: number): string {
  const [value] = message.get(number) ?? [];
  return value instanceof Uint8Array ? Buffer.from(value).toString('hex') : '';
}
