/**
 * A process that watches and balances endpoints in etcd, built as the product is: node hold.js ETCD COUNT [PORT]; with a port
 * it has registered them all itself before.
 */
import { enableMetrics, silentLogger as logger } from '../../dist/common/mod.js';
import { EtcdRegistry, createClient } from '../../dist/crpc/mod.js';

const CALLS = 5000;
const REGISTER_AT_ONCE = 50;
const [, , etcd, count, port] = process.argv;
const identity = (bytes) => bytes;
/** The echo service, which belongs to the tests and so is not in dist/; no bytes are an empty message. */
const echo = {
  unary: {
    path: '/crpc.testing.Echo/Unary',
    requestStream: false,
    responseStream: false,
    requestSerialize: identity,
    requestDeserialize: identity,
    responseSerialize: identity,
    responseDeserialize: identity,
  },
};

const idle = process.memoryUsage.rss();
await enableMetrics('bench');
const registry = new EtcdRegistry({ hosts: [etcd], logger, ttlSeconds: 600 });
if (port !== undefined) {
  for (let from = 0; from < Number(count); from += REGISTER_AT_ONCE)
    await Promise.all(Array.from({ length: REGISTER_AT_ONCE }, (_, i) => register(from + i)));
}
const seen = await new Promise((resolve) => {
  registry.watch('bench', ({ endpoints }) => {
    if (endpoints.length === Number(count)) resolve(endpoints.length);
  });
});
const client = createClient(echo, 'etcd:///bench', { registry, timeoutMs: 60_000 });
let rss = 0;
for (let i = 0; i < CALLS; i++) {
  await client.unary(Buffer.alloc(0));
  if (i % 100 === 0) rss = Math.max(rss, process.memoryUsage.rss());
}
process.send({ rss: Math.max(rss, process.memoryUsage.rss()), idle, seen });

/** Tries until etcd, on a machine that is busy with the bench, answers in time. */
async function register(index) {
  const id = `node-${index}`;
  const address = `127.1.${Math.floor(index / 250)}.${(index % 250) + 1}:${port}`;
  for (;;) {
    try {
      return await registry.register('bench', {
        id,
        address,
        weight: 1,
        zone: '',
        version: '1',
        metadata: { name: id },
        load: {},
      });
    } catch (error) {
      if (!error.retryable) throw error;
    }
  }
}
