/**
 * An echo server in its own process: `echo-server.ts REGISTRY NAME`. Reports its address to its parent once it serves,
 * becomes slow on request, and drains on TERM like every server.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { silentLogger as logger } from '../../common/mod.ts';
import { openRegistry } from '../registry/registry-url.ts';
import { CrpcServer } from '../server/server.ts';
import { EchoService } from './gen/echo.ts';

/** Messages from the parent. */
export interface EchoServerOrder {
  /** Sets the duration of further calls. */
  readonly slowMs: number;
}

const DRAIN_MS = 20_000;
const [url = '', name = ''] = process.argv.slice(2);

let slowMs = 0;
const registry = openRegistry(url, { logger });
const server = new CrpcServer({ logger, announce: { registry, service: 'echo', metadata: { name } } });
server.addService(EchoService, {
  unary: async ({ text }) => {
    if (slowMs > 0) await sleep(slowMs);
    return { text, server: name };
  },
  serverStream: async function* ({ text, count }) {
    for (let i = 0; i < count; i++) yield { text, server: name };
  },
  clientStream: async () => ({ text: '', server: name }),
  bidi: async function* (requests) {
    for await (const { text } of requests) yield { text, server: name };
  },
});
process.on('message', (order: EchoServerOrder) => {
  slowMs = order.slowMs;
});
process.once('SIGTERM', () => {
  void server
    .drain(DRAIN_MS)
    .then(() => registry.close())
    // The channel to the parent is the last thing that keeps the process alive.
    .then(() => process.disconnect());
});
// Ends with its parent.
process.once('disconnect', () => {
  void server.stop().then(() => registry.close());
});
await server.start();
process.send?.(server.address);
