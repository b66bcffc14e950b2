/** A service in a registry: `node crpc/example/server.ts etcd://127.0.0.1:2379 NAME`; TERM takes it out without a failed call. */
import { once } from 'node:events';
import { CrpcServer, openRegistry } from '../mod.ts';
import { EchoService } from '../testing/gen/echo.ts';

const [url = 'etcd://127.0.0.1:2379', name = 'echo-1'] = process.argv.slice(2);
const registry = openRegistry(url, { logger: console });
const server = new CrpcServer({
  logger: console,
  announce: { registry, service: 'echo', metadata: { name } },
});
server.addService(EchoService, {
  unary: async ({ text }) => ({ text, server: name }),
  serverStream: async function* ({ text, count }) {
    for (let i = 0; i < count; i++) yield { text, server: name };
  },
  clientStream: async (requests) => {
    let count = 0;
    for await (const { text } of requests) count += text.length;
    return { text: `${count} characters`, server: name };
  },
  bidi: async function* (requests) {
    for await (const { text } of requests) yield { text, server: name };
  },
});
await server.start();
console.log(`${name} serves on ${server.address}`);

await once(process, 'SIGTERM');
await server.drain(10_000); // Leaves the registry, then accepts no more calls, then finishes running ones.
await registry.close();
console.log(`${name} has gone`);
