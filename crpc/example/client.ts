/** Calls without a pause: `node crpc/example/client.ts etcd://127.0.0.1:2379`; prints who answers when that changes, and at TERM the totals. */
import { createClient, openRegistry } from '../mod.ts';
import { EchoService } from '../testing/gen/echo.ts';

const CONCURRENCY = 8;
/** Number of answers after which the servers that gave them are compared with those before. */
const WINDOW = 200;

const [url = 'etcd://127.0.0.1:2379'] = process.argv.slice(2);
const registry = openRegistry(url, { logger: console });
const client = createClient(EchoService, 'etcd:///echo', {
  registry,
  logger: console,
  balancer: 'least-loaded',
});

const counts = { calls: 0, failed: 0 };
let window: string[] = [];
let shown = '';
const stop = new AbortController();
process.once('SIGTERM', () => stop.abort());

async function callOnAndOn(): Promise<void> {
  while (!stop.signal.aborted) {
    counts.calls++;
    try {
      const { server } = await client.unary({ text: 'hello', count: 1 }, { idempotent: true });
      seen(server);
    } catch (error) {
      counts.failed++;
      console.log(`failed: ${String(error)}`);
    }
  }
}

function seen(server: string): void {
  window.push(server);
  if (window.length < WINDOW) return;
  const now = [...new Set(window)].toSorted().join(' ');
  window = [];
  if (now !== shown) console.log(`answering: ${now}`);
  shown = now;
}

await Promise.all(Array.from({ length: CONCURRENCY }, callOnAndOn));
client[Symbol.dispose]();
await registry.close();
console.log(`${counts.calls} calls, ${counts.failed} failed`);
