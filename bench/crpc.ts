/**
 * What crpc costs: ratios to bare grpc-js, measured side by side in the same run (medians of 5, interleaved).
 *
 *     node bench/crpc.ts           everything
 *     node bench/crpc.ts unary batch endpoints memory     some of it
 *
 * The server is a process of its own; everything shares the machine, so only the ratios mean something.
 */
import { Client, Server, ServerCredentials, credentials } from '@grpc/grpc-js';
import type { ServerDuplexStream, ServerUnaryCall, sendUnaryData } from '@grpc/grpc-js';
import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { CrpcServer, SendResult, createClient, openBatchStream } from '../crpc/mod.ts';
import type { BatchStream } from '../crpc/mod.ts';
import { EchoService } from '../crpc/testing/echo.ts';
import type { EchoRequest, EchoResponse } from '../crpc/testing/echo.ts';
import { silentLogger as logger } from '../common/mod.ts';
import { link } from '../proto/mod.ts';

const ROUNDS = 5;
const UNARY_CALLS = 10_000;
const UNARY_CONCURRENCY = 64;
const MESSAGE_BYTES = 64;
const MESSAGES = 1_000_000;
const MESSAGES_PER_TICK = 200;

interface Addresses {
  readonly bare: string;
  readonly crpc: string;
}

const request: EchoRequest = { text: 'x'.repeat(MESSAGE_BYTES), count: 1 };
const handBatched = {
  batch: {
    path: '/bench.Hand/Batch',
    requestStream: true,
    responseStream: true,
    requestSerialize: identity,
    requestDeserialize: identity,
    responseSerialize: identity,
    responseDeserialize: identity,
  },
} as const;

function identity(bytes: Buffer): Buffer {
  return bytes;
}

/** Splits a hand-made batch of length-prefixed messages, as one would. */
function splitByHand(batch: Buffer): Buffer[] {
  const messages: Buffer[] = [];
  let at = 0;
  while (at < batch.length) {
    const end = at + 4 + batch.readUInt32BE(at);
    messages.push(batch.subarray(at + 4, end));
    at = end;
  }
  return messages;
}

function joinByHand(messages: readonly Uint8Array[]): Buffer {
  let length = 0;
  for (const message of messages) length += 4 + message.length;
  const batch = Buffer.allocUnsafe(length);
  let at = 0;
  for (const message of messages) {
    at = batch.writeUInt32BE(message.length, at);
    batch.set(message, at);
    at += message.length;
  }
  return batch;
}

/** The server process: the same services, bare and by crpc. */
async function serve(): Promise<void> {
  const bare = new Server();
  bare.addService(EchoService, {
    unary: (call: ServerUnaryCall<EchoRequest, EchoResponse>, respond: sendUnaryData<EchoResponse>) =>
      respond(null, { text: call.request.text, server: '' }),
    serverStream: () => {},
    clientStream: () => {},
    bidi: () => {},
  });
  bare.addService(handBatched, {
    batch: (call: ServerDuplexStream<Buffer, Buffer>) => {
      call.on('data', (batch: Buffer) => call.write(joinByHand(splitByHand(batch))));
      call.on('end', () => call.end());
    },
  });
  const port = await new Promise<number>((resolve, reject) =>
    bare.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    ),
  );
  const crpc = new CrpcServer({ logger });
  crpc.addService(EchoService, {
    unary: async ({ text }) => ({ text, server: '' }),
    clientStream: async () => ({ text: '', server: '' }),
    async *serverStream() {},
    async *bidi() {},
  });
  crpc.addBatchService(link.LinkServiceService, (stream) => ({
    onRecords: (records) => {
      for (const record of records) stream.send(record);
    },
    onEnd: () => {},
  }));
  await crpc.start();
  process.send?.({ bare: `127.0.0.1:${port}`, crpc: crpc.address } satisfies Addresses);
}

async function startServer(): Promise<{ child: ChildProcess; addresses: Addresses }> {
  const child = fork(import.meta.filename, ['serve'], { serialization: 'advanced' });
  const [addresses] = (await once(child, 'message')) as [Addresses];
  return { child, addresses };
}

/** Runs contenders in turns and returns the median of each. */
async function compete(
  contenders: Readonly<Record<string, () => Promise<number>>>,
  rounds = ROUNDS,
): Promise<Record<string, number>> {
  const results: Record<string, number[]> = {};
  for (const run of Object.values(contenders)) await run();
  for (let round = 0; round < rounds; round++)
    for (const [name, run] of Object.entries(contenders)) (results[name] ??= []).push(await run());
  return Object.fromEntries(Object.entries(results).map(([name, values]) => [name, median(values)]));
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] as number;
}

/** Calls per second with a fixed number in flight. */
async function unaryRate(call: () => Promise<unknown>): Promise<number> {
  let left = UNARY_CALLS;
  const begin = performance.now();
  await Promise.all(
    Array.from({ length: UNARY_CONCURRENCY }, async () => {
      while (left-- > 0) await call();
    }),
  );
  return (UNARY_CALLS / (performance.now() - begin)) * 1000;
}

function bareUnary(client: Client): () => Promise<unknown> {
  const { path, requestSerialize, responseDeserialize } = EchoService.unary;
  return () =>
    new Promise((resolve, reject) => {
      const deadline = Date.now() + 10_000;
      client.makeUnaryRequest(
        path,
        requestSerialize,
        responseDeserialize,
        request,
        { deadline },
        (error, answer) => (error ? reject(error) : resolve(answer)),
      );
    });
}

async function benchUnary({ bare, crpc }: Addresses): Promise<number> {
  const bareClient = new Client(bare, credentials.createInsecure());
  using client = createClient(EchoService, crpc);
  const rates = await compete({
    bare: () => unaryRate(bareUnary(bareClient)),
    crpc: () => unaryRate(() => client.unary(request)),
  });
  bareClient.close();
  report('unary, bare grpc-js', rates['bare'], 'calls/s');
  report('unary, crpc with default interceptors', rates['crpc'], 'calls/s');
  ratio('unary crpc / bare', rates['crpc'], rates['bare'], 0.9);
  return rates['bare'] ?? 0;
}

/** Messages per second there and back, a tick's messages at a time, obeying backpressure. */
async function batchRate(stream: BatchStream, inbox: { got: number; wake: () => void }): Promise<number> {
  const message = Buffer.alloc(MESSAGE_BYTES, 1);
  inbox.got = 0;
  let sent = 0;
  const begin = performance.now();
  const done = new Promise<void>((resolve) => {
    inbox.wake = resolve;
  });
  const tick = (): void => {
    for (let i = 0; i < MESSAGES_PER_TICK && sent < MESSAGES; i++) {
      if (stream.send(message) === SendResult.CLOSED) break;
      sent++;
    }
    // A window of its own keeps both contenders from measuring their queues.
    if (sent < MESSAGES) setImmediate(sent - inbox.got > 100_000 ? idle : tick);
  };
  const idle = (): void => {
    setImmediate(sent - inbox.got > 50_000 ? idle : tick);
  };
  tick();
  await done;
  return (MESSAGES / (performance.now() - begin)) * 1000;
}

async function handRate(client: Client): Promise<number> {
  const { path } = handBatched.batch;
  const call = client.makeBidiStreamRequest<Buffer, Buffer>(path, identity, identity);
  call.on('error', () => {});
  const message = Buffer.alloc(MESSAGE_BYTES, 1);
  let sent = 0;
  let got = 0;
  let canWrite = true;
  call.on('drain', () => {
    canWrite = true;
  });
  const begin = performance.now();
  const done = new Promise<void>((resolve) => {
    call.on('data', (batch: Buffer) => {
      got += splitByHand(batch).length;
      if (got === MESSAGES) resolve();
    });
  });
  const tick = (): void => {
    if (canWrite && sent - got <= 100_000) {
      const messages: Buffer[] = [];
      for (let i = 0; i < MESSAGES_PER_TICK && sent < MESSAGES; i++, sent++) messages.push(message);
      canWrite = call.write(joinByHand(messages));
    }
    if (sent < MESSAGES) setImmediate(tick);
  };
  tick();
  await done;
  const rate = (MESSAGES / (performance.now() - begin)) * 1000;
  call.end();
  return rate;
}

async function benchBatch({ bare, crpc }: Addresses, bareUnaryRate: number): Promise<void> {
  const inbox = { got: 0, wake: (): void => {} };
  const stream = await new Promise<BatchStream>((resolve) => {
    openBatchStream({
      address: crpc,
      service: link.LinkServiceService,
      handler: {
        onOpen: resolve,
        onRecords: (records) => {
          inbox.got += records.length;
          if (inbox.got === MESSAGES) inbox.wake();
        },
        onEnd: () => {},
      },
    });
  });
  const bareClient = new Client(bare, credentials.createInsecure());
  const rates = await compete({
    hand: () => handRate(bareClient),
    batch: () => batchRate(stream, inbox),
  });
  stream.close();
  bareClient.close();
  report('64 B echoed, hand-batched bidi stream', rates['hand'], 'messages/s');
  report('64 B echoed, BatchStream', rates['batch'], 'messages/s');
  ratio('BatchStream / hand-batched', rates['batch'], rates['hand'], 0.8);
  if (bareUnaryRate > 0) ratio('BatchStream / bare unary', rates['batch'], bareUnaryRate, 100);
}

function report(what: string, value: number | undefined, unit: string): void {
  console.log(
    `${what.padEnd(52)} ${Math.round(value ?? 0)
      .toLocaleString('en')
      .padStart(12)} ${unit}`,
  );
}

function ratio(what: string, of: number | undefined, to: number | undefined, wanted: number): void {
  const value = (of ?? 0) / (to ?? 1);
  console.log(
    `${what.padEnd(52)} ${value.toFixed(2).padStart(12)}   wanted ≥ ${wanted}: ${value >= wanted ? 'yes' : 'NO'}`,
  );
}

async function main(chosen: readonly string[]): Promise<void> {
  const wants = (name: string): boolean => chosen.length === 0 || chosen.includes(name);
  const { child, addresses } = await startServer();
  let bareUnaryRate = 0;
  if (wants('unary')) bareUnaryRate = await benchUnary(addresses);
  if (wants('batch')) await benchBatch(addresses, bareUnaryRate);
  child.kill();
}

const args = process.argv.slice(2);
await (args[0] === 'serve' ? serve() : main(args));
