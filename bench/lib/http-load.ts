/** Load on an HTTP server over keep-alive connections, as plain sockets: no client library's time is measured. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

export interface HttpLoadOptions {
  readonly port: number;
  /** Asked for in turn. */
  readonly paths: readonly string[];
  readonly connections: number;
  readonly seconds: number;
  /** Requests per second of all connections together, due whether or not answers come; undefined: as many as can be. */
  readonly rate?: number;
}

export interface HttpLoadResult {
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** How late this generator itself was, at a `rate`: part of the latencies, and not the server's. */
  readonly lateP99Ms: number;
  /** Connections that the server ended although it was to keep them, and that were made anew. */
  readonly reconnects: number;
}

/** Requests at a rate are due together, once in this time: finer than that no timer is. */
const BURST_MS = 1;
/** A server that owes answers for so long has failed. */
const PATIENCE_MS = 10_000;

/**
 * Runs it; latency counts from the moment at which a request was due. A connection carries one request at a time, as
 * clients do; what is due while all are taken waits its turn here.
 *
 * @throws Error when answers stay away
 */
export async function httpLoad(options: HttpLoadOptions): Promise<HttpLoadResult> {
  const { port, paths, connections, seconds, rate } = options;
  const requests = paths.map((path) => Buffer.from(`GET ${path} HTTP/1.1\r\nhost: bench\r\n\r\n`));
  const clients = await Promise.all(Array.from({ length: connections }, () => HttpClient.open(port)));
  const latencies: number[] = [];
  const free = new Queue<HttpClient>();
  const due = new Queue<number>();
  let next = 0;
  const ask = (client: HttpClient, dueMs: number): void =>
    client.ask(requests[next++ % requests.length] as Buffer, dueMs);
  const began = performance.now();
  const end = began + seconds * 1000;
  const lost: Error[] = [];
  for (const client of clients) {
    client.onLost = (error) => lost.push(error);
    client.onAnswer = (latencyMs) => {
      latencies.push(latencyMs);
      const now = performance.now();
      if (rate === undefined && now < end) ask(client, now);
      else if (due.size > 0) ask(client, due.shift());
      else free.push(client);
    };
  }
  let late: readonly number[] = [];
  if (rate === undefined) {
    for (const client of clients) ask(client, began);
  } else {
    for (const client of clients) free.push(client);
    late = await pace(rate, began, end, (dueMs) => {
      if (free.size > 0) ask(free.shift(), dueMs);
      else due.push(dueMs);
    });
  }
  while (lost.length === 0 && (performance.now() < end || free.size < connections)) {
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
    reconnects: clients.reduce((sum, client) => sum + client.reconnects, 0),
  };
}

/** Asks at the rate; resolves with how late each burst was, ms. */
function pace(
  rate: number,
  began: number,
  end: number,
  ask: (dueMs: number) => void,
): Promise<readonly number[]> {
  const late: number[] = [];
  return new Promise((resolve) => {
    let [sent, due] = [0, began];
    const send = (): void => {
      const now = performance.now();
      for (; due <= now && due < end; due += BURST_MS) {
        late.push(now - due);
        for (; sent < ((due + BURST_MS - began) / 1000) * rate; sent++) ask(due);
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

/** First in, first out; it forgets what has gone out whenever it is empty. */
class Queue<T> {
  #values: T[] = [];
  #head = 0;

  get size(): number {
    return this.#values.length - this.#head;
  }

  push(value: T): void {
    this.#values.push(value);
  }

  /** It must not be empty. */
  shift(): T {
    const value = this.#values[this.#head++] as T;
    if (this.size === 0) [this.#values, this.#head] = [[], 0];
    return value;
  }
}

/**
 * One connection, one request at a time. When the server ends it, as it does with one that has been idle for long, the
 * next is made and the request sent once more, as browsers do.
 */
class HttpClient {
  readonly #port: number;
  #socket: Socket | undefined;
  #received = '';
  #request: Buffer | undefined;
  #dueMs = 0;
  #isRepeated = false;
  #isClosed = false;
  reconnects = 0;
  onAnswer: (latencyMs: number) => void = () => {};
  /** A request gets no answer, or not a good one. */
  onLost: (error: Error) => void = () => {};

  private constructor(port: number) {
    this.#port = port;
  }

  static async open(port: number): Promise<HttpClient> {
    const client = new HttpClient(port);
    await client.#connect();
    return client;
  }

  ask(request: Buffer, dueMs: number): void {
    this.#request = request;
    this.#dueMs = dueMs;
    this.#isRepeated = false;
    if (this.#socket) this.#socket.write(request);
    else void this.#repeat();
  }

  close(): void {
    this.#isClosed = true;
    this.#socket?.destroy();
  }

  async #connect(): Promise<void> {
    const socket = connect({ port: this.#port, host: '127.0.0.1', noDelay: true });
    await once(socket, 'connect');
    this.#socket = socket;
    this.#received = '';
    socket.on('data', (chunk) => this.#take(chunk.toString('latin1')));
    socket.on('error', () => {
      // The close that follows tells.
    });
    socket.on('close', () => {
      this.#socket = undefined;
      if (this.#request && !this.#isClosed) void this.#repeat();
    });
  }

  async #repeat(): Promise<void> {
    try {
      if (this.#isRepeated) throw new Error('the server ends connections instead of answering');
      this.#isRepeated = true;
      this.reconnects++;
      await this.#connect();
      this.#socket?.write(this.#request as Buffer);
    } catch (error) {
      this.onLost(error as Error);
    }
  }

  #take(chunk: string): void {
    this.#received += chunk;
    const head = this.#received.indexOf('\r\n\r\n');
    if (head < 0) return;
    if (!this.#received.startsWith('HTTP/1.1 200')) {
      this.onLost(new Error(`the server answered: ${this.#received.slice(0, 200)}`));
      return;
    }
    const length = /content-length: (\d+)/i.exec(this.#received)?.[1];
    if (this.#received.length < head + 4 + Number(length)) return;
    this.#received = '';
    this.#request = undefined;
    this.onAnswer(performance.now() - this.#dueMs);
  }
}
