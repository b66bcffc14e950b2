/** The server process of bench/crpc.ts: the same services bare, hand-batched and by crpc. */
import { Server, ServerCredentials } from '@grpc/grpc-js';
import type { ServerDuplexStream, ServerUnaryCall, sendUnaryData } from '@grpc/grpc-js';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { enableMetrics, silentLogger as logger } from '../../common/mod.ts';
import { CrpcServer } from '../../crpc/mod.ts';
import { EchoService } from '../../crpc/testing/gen/echo.ts';
import type { EchoRequest, EchoResponse } from '../../crpc/testing/gen/echo.ts';
import { link } from '../../proto/mod.ts';
import type { CpuClock } from './compete.ts';
import { handBatched, splitByHand } from './hand-batched.ts';

export interface Addresses {
  readonly bare: string;
  readonly crpc: string;
  /** Port under which the crpc server answers on every loopback address. */
  readonly port: number;
}

export interface BenchServer extends AsyncDisposable {
  readonly addresses: Addresses;
  /** CPU time of this process and the server's. */
  readonly cpu: CpuClock;
}

/** Starts the process. @param profile Folder for its CPU profile. */
export async function startServer(profile?: string): Promise<BenchServer> {
  const execArgv = profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profile}`];
  const child = fork(import.meta.filename, { serialization: 'advanced', execArgv });
  const [addresses] = (await once(child, 'message')) as [Addresses];
  return {
    addresses,
    cpu: async () => {
      child.send('cpu');
      const [seconds] = (await once(child, 'message')) as [number];
      return seconds + cpuSeconds();
    },
    [Symbol.asyncDispose]: async () => {
      child.disconnect();
      if (child.exitCode === null) await once(child, 'exit');
    },
  };
}

function cpuSeconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

async function serve(): Promise<void> {
  await enableMetrics('bench');
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
      call.on('data', (batch: Buffer) => {
        const answer = Buffer.allocUnsafe(4);
        answer.writeUInt32BE(splitByHand(batch).length);
        call.write(answer);
      });
      call.on('end', () => call.end());
    },
  });
  const port = await new Promise<number>((resolve, reject) =>
    bare.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    ),
  );
  const crpc = new CrpcServer({ logger, host: '0.0.0.0' });
  crpc.addService(EchoService, {
    unary: async ({ text }) => ({ text, server: '' }),
    clientStream: async () => ({ text: '', server: '' }),
    async *serverStream() {},
    async *bidi() {},
  });
  crpc.addBatchService(link.LinkServiceService, (stream) => ({
    onRecords: (records) => {
      const answer = Buffer.allocUnsafe(4);
      answer.writeUInt32BE(records.length);
      stream.send(answer);
    },
    onEnd: () => {},
  }));
  await crpc.start();
  process.send?.({
    bare: `127.0.0.1:${port}`,
    crpc: `127.0.0.1:${crpc.port}`,
    port: crpc.port,
  } satisfies Addresses);
  process.on('message', () => process.send?.(cpuSeconds()));
  process.once('disconnect', () => {
    bare.forceShutdown();
    void crpc.stop();
  });
}

if (process.argv[1] === import.meta.filename) await serve();
