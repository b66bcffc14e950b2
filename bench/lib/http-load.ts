/** Load on an HTTP server over keep-alive connections, as plain sockets: no client library's time is measured. */
import { connect, type Socket } from 'node:net';

export interface HttpLoadOptions {
  readonly port: number;
  /** Asked for in turn. */
  readonly paths: readonly string[];
  readonly connections: number;
  readonly seconds: number;
  /** Requests per second of all connections together, sent whether or not answers come; undefined: one at a time. */
  readonly rate?: number;
}

export interface HttpLoadResult {
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** How late this generator itself was, at a `rate`: part of the latencies, and not the server's. */
  readonly lateP99Ms: number;
}

/** Requests at a rate are due together, once in this time: finer than that no timer is. */
const BURST_MS = 1;
/** A server that owes answers for so long has failed. */
const PATIENCE_MS = 10_000;

/** Runs it; latency counts from the moment at which a request was due. @throws Error when answers stay away */
export async function httpLoad(options: HttpLoadOptions): Promise<HttpLoadResult> {
  const { port, paths, connections, seconds, rate } = options;
  const requests = paths.map((path) => Buffer.from(`GET ${path} HTTP/1.1\r\nhost: bench\r\n\r\n`));
  let next = 0;
  const request = () => requests[next++ % requests.length] as Buffer;
  const clients = await Promise.all(
    Array.from({ length: connections }, () => HttpClient.open(port, request)),
  );
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
  const late = rate === undefined ? [] : await pace(clients, rate, began, end);
  while (lost.length === 0 && (performance.now() < end || clients.some(({ isWaiting }) => isWaiting))) {
    if (performance.now() > end + PATIENCE_MS) lost.push(new Error('the server owes answers'));
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  const elapsed = (performance.now() - began) / 1000;
  for (const client of clients) client.close();
  if (lost[0] !== undefined) throw lost[0];
  return {
    perSecond: latencies.length / elapsed,
    p50Ms: percentile(latencies, 0.5),
    p99Ms: percentile(latencies, 0.99),
    lateP99Ms: percentile(late, 0.99),
  };
}

/** Sends the requests; resolves with how late each burst was, ms. */
function pace(
  clients: readonly HttpClient[],
  rate: number,
  began: number,
  end: number,
): Promise<readonly number[]> {
  const late: number[] = [];
  return new Promise((resolve) => {
    let [sent, due] = [0, began];
    const send = (): void => {
      const now = performance.now();
      for (; due <= now && due < end; due += BURST_MS) {
        late.push(now - due);
        for (; sent < ((due + BURST_MS - began) / 1000) * rate; sent++)
          (clients[sent % clients.length] as HttpClient).ask(due);
      }
      if (due < end) setTimeout(send, due - now);
      else resolve(late);
    };
    send();
  });
}

function percentile(values: readonly number[], share: number): number {
  const sorted = Float64Array.from(values).sort();
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

class HttpClient {
  readonly #socket: Socket;
  readonly #request: () => Buffer;
  readonly #dueMs: number[] = [];
  #received = '';
  #isClosed = false;
  onAnswer: (client: HttpClient, latencyMs: number) => void = () => {};
  /** The connection ended with requests that have no answer, or the answer is not a good one. */
  onLost: (error: Error) => void = () => {};

  private constructor(socket: Socket, request: () => Buffer) {
    this.#socket = socket;
    this.#request = request;
    socket.setNoDelay(true);
    socket.on('data', (chunk) => this.#take(chunk.toString('latin1')));
    socket.on('close', () => {
      this.#isClosed = true;
      if (this.isWaiting) this.#lose();
    });
  }

  static open(port: number, request: () => Buffer): Promise<HttpClient> {
    return new Promise((resolve, reject) => {
      const socket = connect(port, '127.0.0.1', () => resolve(new HttpClient(socket, request)));
      socket.on('error', reject);
    });
  }

  get isWaiting(): boolean {
    return this.#dueMs.length > 0;
  }

  ask(dueMs: number): void {
    this.#dueMs.push(dueMs);
    if (this.#isClosed) this.#lose();
    else this.#socket.write(this.#request());
  }

  close(): void {
    this.#socket.destroy();
  }

  #lose(): void {
    this.onLost(new Error('the server ended a connection that it was to keep'));
  }

  #take(chunk: string): void {
    this.#received += chunk;
    for (;;) {
      const head = this.#received.indexOf('\r\n\r\n');
      if (head < 0) return;
      if (!this.#received.startsWith('HTTP/1.1 200')) {
        this.onLost(new Error(`the server answered: ${this.#received.slice(0, 200)}`));
        return;
      }
      const length = /content-length: (\d+)/i.exec(this.#received)?.[1];
      const total = head + 4 + Number(length);
      if (this.#received.length < total) return;
      this.#received = this.#received.slice(total);
      this.onAnswer(this, performance.now() - (this.#dueMs.shift() as number));
    }
  }
}
