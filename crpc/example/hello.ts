/** A service and its caller: `node crpc/example/hello.ts [etcd://127.0.0.1:2379]`. */
import { CrpcServer, createClient, openRegistry } from '../mod.ts';
import { EchoService } from '../testing/gen/echo.ts'; // Made by ts-proto from echo.proto.

const registry = openRegistry(process.argv[2] ?? 'memory://', { logger: console });

// The server: async functions, and async generators where responses stream.
const server = new CrpcServer({ logger: console, announce: { registry, service: 'echo' } });
server.addService(EchoService, {
  unary: async ({ text }) => ({ text: `hello, ${text}`, server: 'one' }),
  async *serverStream({ text, count }, { signal }) {
    for (let i = 1; i <= count && !signal.aborted; i++) yield { text: `${text} ${i}`, server: 'one' };
  },
  clientStream: async (requests) => {
    let last = '';
    for await (const { text } of requests) last = text;
    return { text: last, server: 'one' };
  },
  async *bidi(requests) {
    for await (const { text } of requests) yield { text, server: 'one' };
  },
});
await server.start();

// The caller: promises and async iterables. Calls go to the servers that are registered as 'echo' at that moment.
using client = createClient(EchoService, 'etcd:///echo', { registry, logger: console });
const { text } = await client.unary({ text: 'world', count: 0 }, { timeoutMs: 5000, idempotent: true });
console.log(text);
for await (const { text } of client.serverStream({ text: 'answer', count: 2 })) console.log(text);

await server.drain(5000); // Leaves the registry, finishes running calls, closes.
await registry.close();
