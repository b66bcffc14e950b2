/** One side of a batch stream in its own process, which tests can stop and kill. */
import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { silentLogger as logger } from '../../common/mod.ts';
import { link } from '../../proto/mod.ts';
import { openBatchStream } from '../batch/batch-client.ts';
import { CrpcServer } from '../server/server.ts';

const service = link.LinkServiceService;

export class BatchPeer implements AsyncDisposable {
  readonly address: string;
  readonly #process: ChildProcess;

  private constructor(process: ChildProcess, address: string) {
    this.#process = process;
    this.address = address;
  }

  /** Starts a server that sends every record back. */
  static async serve(): Promise<BatchPeer> {
    const child = fork(import.meta.filename, ['serve']);
    const [address] = (await once(child, 'message')) as [string];
    return new BatchPeer(child, address);
  }

  /** Starts a client that opens a stream and sends "hello". */
  static connect(address: string): BatchPeer {
    return new BatchPeer(fork(import.meta.filename, ['connect', address]), address);
  }

  freeze(): void {
    this.#process.kill('SIGSTOP');
  }

  thaw(): void {
    this.#process.kill('SIGCONT');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#process.kill('SIGKILL');
    if (this.#process.exitCode === null && this.#process.signalCode === null)
      await once(this.#process, 'exit');
  }
}

async function serve(): Promise<void> {
  const server = new CrpcServer({ logger });
  server.addBatchService(service, (stream) => ({
    onRecords: (records) => {
      for (const record of records) stream.send(record);
    },
    onEnd: () => {},
  }));
  await server.start();
  process.send?.(server.address);
}

function connect(address: string): void {
  openBatchStream({
    address,
    service,
    handler: {
      onOpen: (stream) => void stream.send(Buffer.from('hello')),
      onRecords: () => {},
      onEnd: () => {},
    },
  });
}

if (process.argv[1] === import.meta.filename) {
  const [, , what, address = ''] = process.argv;
  if (what === 'serve') await serve();
  else connect(address);
}
