/** A server process that answers calls or forwards them to the next one; ends on its parent's message. */
import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeTracing, enableTracing, silentLogger as logger } from '../../common/mod.ts';
import { createClient } from '../client/client.ts';
import { CrpcServer } from '../server/server.ts';
import { EchoService } from './gen/echo.ts';

export class Relay implements AsyncDisposable {
  readonly address: string;
  readonly #process: ChildProcess;

  private constructor(process: ChildProcess, address: string) {
    this.#process = process;
    this.address = address;
  }

  /** @param url URL for its spans; empty: no tracing @param next address that it forwards to; empty: it answers */
  static async start(service: string, url = '', next = ''): Promise<Relay> {
    const child = fork(import.meta.filename, [service, url, next]);
    const [address] = (await once(child, 'message')) as [string];
    return new Relay(child, address);
  }

  /** Stops it in order: its spans are sent. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#process.send('end');
    if (this.#process.exitCode === null) await once(this.#process, 'exit');
  }
}

async function run(service: string, url: string, next: string): Promise<void> {
  if (url !== '') await enableTracing({ service, instance: service, url, ratio: 1, logger });
  const client = next === '' ? undefined : createClient(EchoService, next);
  const server = new CrpcServer({ logger });
  server.addService(EchoService, {
    unary: async (request, context) =>
      (await client?.unary(request)) ?? { text: context.header('traceparent') ?? '', server: service },
    serverStream: async function* (request) {
      if (client === undefined) yield { text: request.text, server: service };
      else yield* client.serverStream(request);
    },
    clientStream: async () => ({ text: '', server: service }),
    async *bidi() {},
  });
  await server.start();
  process.send?.(server.address);
  await once(process, 'message');
  await server.stop();
  client?.[Symbol.dispose]();
  await closeTracing();
  process.disconnect();
}

if (process.argv[1] === import.meta.filename) {
  const [, , service = '', url = '', next = ''] = process.argv;
  await run(service, url, next);
}
