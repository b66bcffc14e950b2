/** A service in a registry: `node crpc/example/server.ts etcd://127.0.0.1:2379 NAME`; TERM takes it out without a failed call. */
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createLogger } from '../../common/mod.ts';
import { CrpcServer, openRegistry } from '../mod.ts';
import { EchoService } from '../testing/echo.ts';

const [url = 'etcd://127.0.0.1:2379', name = 'echo-1'] = process.argv.slice(2);
const logger = createLogger({ name, level: 'warn' });
const registry = openRegistry(url, { logger });
const server = new CrpcServer({ logger });
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
const registration = await registry.register('echo', {
  id: randomUUID(),
  address: server.address,
  weight: 1,
  zone: '',
  version: '1',
  metadata: { name },
  load: {},
});
console.log(`${name} serves on ${server.address}`);

await once(process, 'SIGTERM');
await registration.deregister(); // Callers choose others,
await server.drain(10_000); // the calls that run are finished,
await registry.close(); // and nothing keeps the process any longer.
console.log(`${name} has gone`);
