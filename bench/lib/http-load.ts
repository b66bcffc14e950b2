/** Load on one HTTP path over keep-alive connections, as plain sockets: no client library's time is measured. */
import { connect, type Socket } from 'node:net';

export interface HttpLoadOptions {
  readonly port: number;
  readonly path: string;
  readonly connections: number;
  readonly seconds: number;
  /** Requests per second of all connections together, sent whether or not answers come; undefined: one at a time. */
  readonly rate?: number;
}

export interface HttpLoadResult {
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

const PACE_MS = 2;

/** Runs it; latency counts from the moment at which a request was due. */
export async function httpLoad(options: HttpLoadOptions): Promise<HttpLoadResult> {
  const { port, path, connections, seconds, rate } = options;
  const clients = await Promise.all(Array.from({ length: connections }, () => HttpClient.open(port, path)));
  const latencies: number[] = [];
  const began = performance.now();
  const end = began + seconds * 1000;
  const onAnswer = (client: HttpClient, latencyMs: number): void => {
    latencies.push(latencyMs);
    if (rate === undefined && performance.now() < end) client.ask(performance.now());
  };
  const lost: Error[] = [];
  for (const client of clients) {
    client.onAnswer = onAnswer;
    client.onLost = (error) => lost.push(error);
    if (rate === undefined) client.ask(began);
  }
  if (rate !== undefined) await pace(clients, rate, began, end);
  while (lost.length === 0 && (performance.now() < end || clients.some(({ isWaiting }) => isWaiting)))
    await new Promise((resolve) => setTimeout(resolve, 5));
  const elapsed = (performance.now() - began) / 1000;
  for (const client of clients) client.close();
  if (lost[0] !== undefined) throw lost[0];
  const sorted = Float64Array.from(latencies).sort();
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? NaN;
  return { perSecond: latencies.length / elapsed, p50Ms: at(0.5), p99Ms: at(0.99) };
}

function pace(clients: readonly HttpClient[], rate: number, began: number, end: number): Promise<void> {
  return new Promise((resolve) => {
    let sent = 0;
    const timer = setInterval(() => {
      const now = performance.now();
      for (; sent < ((Math.min(now, end) - began) / 1000) * rate; sent++)
        (clients[sent % clients.length] as HttpClient).ask(began + (sent / rate) * 1000);
      if (now < end) return;
      clearInterval(timer);
      resolve();
    }, PACE_MS);
  });
}

class HttpClient {
  readonly #socket: Socket;
  readonly #request: Buffer;
  readonly #dueMs: number[] = [];
  #received = '';
  onAnswer: (client: HttpClient, latencyMs: number) => void = () => {};
  /** The connection ended with requests that have no answer. */
  onLost: (error: Error) => void = () => {};

  private constructor(socket: Socket, path: string) {
    this.#socket = socket;
    this.#request = Buffer.from(`GET ${path} HTTP/1.1\r\nhost: bench\r\n\r\n`);
    socket.setNoDelay(true);
    socket.on('data', (chunk) => this.#take(chunk.toString('latin1')));
    socket.on('close', () => {
      if (this.isWaiting)
        this.onLost(new Error(`the server of ${path} ended a connection that it was to keep`));
    });
  }

  static open(port: number, path: string): Promise<HttpClient> {
    return new Promise((resolve, reject) => {
      const socket = connect(port, '127.0.0.1', () => resolve(new HttpClient(socket, path)));
      socket.on('error', reject);
    });
  }

  get isWaiting(): boolean {
    return this.#dueMs.length > 0;
  }

  ask(dueMs: number): void {
    this.#dueMs.push(dueMs);
    this.#socket.write(this.#request);
  }

  close(): void {
    this.#socket.destroy();
  }

  #take(chunk: string): void {
    this.#received += chunk;
    for (;;) {
      const head = this.#received.indexOf('\r\n\r\n');
      if (head < 0) return;
      if (!this.#received.startsWith('HTTP/1.1 200')) throw new Error(this.#received.slice(0, 200));
      const length = /content-length: (\d+)/i.exec(this.#received)?.[1];
      const total = head + 4 + Number(length);
      if (this.#received.length < total) return;
      this.#received = this.#received.slice(total);
      this.onAnswer(this, performance.now() - (this.#dueMs.shift() as number));
    }
  }
}
