/** A process that watches and balances endpoints in etcd, built as the product is: node hold.js ETCD COUNT. */
import { enableMetrics, silentLogger as logger } from '../../dist/common/mod.js';
import { EtcdRegistry, createClient } from '../../dist/crpc/mod.js';

const CALLS = 5000;
const [, , etcd, count] = process.argv;
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
enableMetrics('bench');
const registry = new EtcdRegistry({ hosts: [etcd], logger });
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
