/** Unary calls and batch streams beside bare grpc-js. */
import { Client, credentials } from '@grpc/grpc-js';
import { silentLogger as logger } from '../../common/mod.ts';
import { BatchLink, SendResult, createClient } from '../../crpc/mod.ts';
import type { BatchStream } from '../../crpc/mod.ts';
import { EchoService } from '../../crpc/testing/gen/echo.ts';
import type { EchoRequest } from '../../crpc/testing/gen/echo.ts';
import { link } from '../../proto/mod.ts';
import { callRate, compete, median, ratioRows } from './compete.ts';
import type { Timing } from './compete.ts';
import { handBatched, identity, joinByHand } from './hand-batched.ts';
import type { Row } from './report.ts';
import type { BenchServer } from './server.ts';

const MESSAGE_BYTES = 64;
const MESSAGES_PER_TICK = 200;
/** Messages in flight: more would measure the queues. */
const WINDOW = 100_000;
const request: EchoRequest = { text: 'x'.repeat(MESSAGE_BYTES), count: 1 };

/** Unary calls: bare grpc-js, and crpc with everything that is on by default, metrics included. */
export async function measureCalls({ addresses, cpu }: BenchServer, timing: Timing): Promise<Row[]> {
  const { bare, crpc } = addresses;
  const bareClient = new Client(bare, credentials.createInsecure());
  using client = createClient(EchoService, crpc, { logger });
  const rates = await compete(
    {
      bare: (ms) => callRate(bareUnary(bareClient), ms),
      crpc: (ms) => callRate(() => client.unary(request), ms),
    },
    timing,
    cpu,
  );
  bareClient.close();
  return [
    { what: 'unary, bare grpc-js', value: median(rates.bare.perSecond), unit: 'calls/s' },
    { what: 'unary, crpc with default interceptors', value: median(rates.crpc.perSecond), unit: 'calls/s' },
    ...ratioRows('unary, crpc ÷ bare', rates.crpc, rates.bare, { atLeast: 0.9 }),
  ];
}

/** 64-byte messages, acknowledged by the receiver: one call each, a stream batched by hand, a batch stream. */
export async function measureBatches({ addresses, cpu }: BenchServer, timing: Timing): Promise<Row[]> {
  const { bare, crpc } = addresses;
  const bareClient = new Client(bare, credentials.createInsecure());
  const pump = new Pump();
  const opened = Promise.withResolvers<BatchStream>();
  const batchLink = new BatchLink({
    address: crpc,
    service: link.LinkServiceService,
    logger,
    handler: {
      onOpen: opened.resolve,
      onRecords: (records) => {
        for (const record of records) pump.acknowledge(Buffer.from(record).readUInt32BE());
      },
      onEnd: () => {},
    },
  });
  const stream = await opened.promise;
  const message = Buffer.alloc(MESSAGE_BYTES, 1);
  const rates = await compete(
    {
      unary: (ms) => callRate(bareUnary(bareClient), ms),
      hand: (ms) => handRate(bareClient, message, ms),
      batch: (ms) =>
        pump.run(ms, (count) => {
          for (let i = 0; i < count; i++) if (stream.send(message) === SendResult.CLOSED) return i;
          return count;
        }),
    },
    timing,
    cpu,
  );
  batchLink.close();
  bareClient.close();
  return [
    { what: '64 B messages, bare unary', value: median(rates.unary.perSecond), unit: 'messages/s' },
    {
      what: '64 B messages, bidi stream batched by hand',
      value: median(rates.hand.perSecond),
      unit: 'messages/s',
    },
    { what: '64 B messages, BatchStream', value: median(rates.batch.perSecond), unit: 'messages/s' },
    ...ratioRows('BatchStream ÷ bare unary', rates.batch, rates.unary, { atLeast: 100 }),
    ...ratioRows('BatchStream ÷ batched by hand', rates.batch, rates.hand, { atLeast: 0.8 }),
  ];
}

/** Sends the messages of one tick at a time, within a window, and waits until all are acknowledged. */
class Pump {
  #sent = 0;
  #acknowledged = 0;
  #wake: (() => void) | undefined;

  acknowledge(count: number): void {
    this.#acknowledged += count;
    if (this.#acknowledged >= this.#sent) this.#wake?.();
  }

  /** @param send Sends up to this many messages and returns how many it did. */
  async run(ms: number, send: (count: number) => number): Promise<number> {
    this.#sent = 0;
    this.#acknowledged = 0;
    const begin = performance.now();
    await new Promise<void>((resolve) => {
      const tick = (): void => {
        if (this.#sent - this.#acknowledged < WINDOW) this.#sent += send(MESSAGES_PER_TICK);
        if (performance.now() - begin < ms) setImmediate(tick);
        else {
          this.#wake = resolve;
          this.acknowledge(0);
        }
      };
      tick();
    });
    this.#wake = undefined;
    return (this.#acknowledged / (performance.now() - begin)) * 1000;
  }
}

async function handRate(client: Client, message: Buffer, ms: number): Promise<number> {
  const call = client.makeBidiStreamRequest<Buffer, Buffer>(handBatched.batch.path, identity, identity);
  const pump = new Pump();
  let canWrite = true;
  call.on('drain', () => {
    canWrite = true;
  });
  call.on('data', (answer: Buffer) => pump.acknowledge(answer.readUInt32BE()));
  const rate = await pump.run(ms, (count) => {
    if (!canWrite) return 0;
    canWrite = call.write(joinByHand(Array<Buffer>(count).fill(message)));
    return count;
  });
  call.end();
  return rate;
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
