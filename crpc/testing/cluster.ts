/** Echo servers in the test's process, and helpers of tests of calls. */
import { silentLogger as logger } from '../../common/mod.ts';
import type { ChannelOptions } from '../client/channel.ts';
import { createClient } from '../client/client.ts';
import type { CrpcClient } from '../client/client.ts';
import type { Handlers } from '../client/definition.ts';
import { CrpcServer } from '../server/server.ts';
import type { CrpcServerOptions } from '../server/server.ts';
import { EchoService } from './gen/echo.ts';
import type { EchoRequest } from './gen/echo.ts';

export type EchoClient = CrpcClient<typeof EchoService>;
export type EchoHandlers = Partial<Handlers<typeof EchoService>>;

export const hello: EchoRequest = { text: 'hello', count: 3 };

/** Resources that end with it, the last first. */
export class EchoCluster implements AsyncDisposable {
  readonly #cleanups: (() => unknown)[] = [];

  /** Starts a server that answers with its name. */
  async serve(
    name: string,
    more: EchoHandlers = {},
    options: Partial<CrpcServerOptions> = {},
  ): Promise<CrpcServer> {
    const server = new CrpcServer({ logger, ...options });
    server.addService(EchoService, {
      unary: async ({ text }) => ({ text, server: name }),
      serverStream: async function* ({ text, count }) {
        for (let i = 0; i < count; i++) yield { text: `${text} ${i}`, server: name };
      },
      clientStream: async (requests) => {
        const texts: string[] = [];
        for await (const { text } of requests) texts.push(text);
        return { text: texts.join(), server: name };
      },
      bidi: async function* (requests) {
        for await (const { text } of requests) yield { text, server: name };
      },
      ...more,
    });
    await server.start();
    this.#cleanups.push(() => server.stop());
    return server;
  }

  client(target: string, options: ChannelOptions = {}): EchoClient {
    const client = createClient(EchoService, target, { timeoutMs: 60_000, ...options });
    this.#cleanups.push(() => client[Symbol.dispose]());
    return client;
  }

  /** Adds something that ends with the cluster. */
  own<T extends AsyncDisposable>(thing: T): T {
    this.#cleanups.push(() => thing[Symbol.asyncDispose]());
    return thing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const cleanup of this.#cleanups.splice(0).reverse()) await cleanup();
  }
}

/** Makes calls in turn and counts the answering servers; failures count under 'failed'. */
export async function whoAnswers(
  client: EchoClient,
  calls: number,
  options: Parameters<EchoClient['unary']>[1] = {},
): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (let i = 0; i < calls; i++) {
    const name = await client.unary(hello, options).then(
      ({ server }) => server,
      () => 'failed',
    );
    counts[name] = (counts[name] ?? 0) + 1;
  }
  return counts;
}
