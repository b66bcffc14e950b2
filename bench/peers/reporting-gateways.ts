/**
 * Gateways as the registry knows them: `reporting-gateways.ts REGISTRY N`. N of them report every second, evenly
 * spread, with counts that change. Over HTTP it says how many reports etcd has acknowledged.
 */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { silentLogger } from '../../common/mod.ts';
import { openRegistry, type Registration } from '../../crpc/mod.ts';

const MAX_CONNECTIONS = 20_000;
const REPORT_MS = 1000;
const ZONES = 3;
const AT_ONCE = 25;

const [url = '', count = '1000'] = process.argv.slice(2);
const registry = openRegistry(url, { logger: silentLogger });
const total = Number(count);
const all: Registration[] = [];
for (let i = 0; i < total; i += AT_ONCE)
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, total - i) }, (_, k) => register(i + k)));
let writes = 0;
let writeMs = 0;
let tick = 0;
for (const [i, registration] of all.entries())
  setTimeout(() => setInterval(() => void report(registration), REPORT_MS), (REPORT_MS * i) / total);
const bytes = JSON.stringify(all[0]?.endpoint).length;
const server = createServer((_, response) => response.end(JSON.stringify({ writes, writeMs, bytes })));
server.listen(0, '127.0.0.1', () =>
  console.log(JSON.stringify({ port: (server.address() as AddressInfo).port })),
);

async function register(i: number): Promise<void> {
  all[i] = await registry.register('gateway', {
    id: crypto.randomUUID(),
    address: `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}:8900`,
    weight: 1,
    zone: `zone-${i % ZONES}`,
    version: '0.1.0',
    metadata: {
      name: `gateway-host-${i}-4711`,
      ws_port: '8901',
      number: String(i),
      epoch: String(Date.now()),
    },
    load: figures(0),
  });
}

async function report(registration: Registration): Promise<void> {
  const began = performance.now();
  await registration.update({ load: figures(++tick) });
  writes++;
  writeMs += performance.now() - began;
}

function figures(number: number): Record<string, number> {
  const connections = Math.floor(MAX_CONNECTIONS * (0.4 + 0.01 * Math.random()));
  return {
    tick: number,
    connections,
    max_connections: MAX_CONNECTIONS,
    // Every client that ipconf places has arrived by the next report.
    accepted: connections + number * 10,
    frames_in_per_s: 1234,
    frames_per_s: 23_456,
    bytes_out_per_s: 3_456_789,
    loop_delay_ms: 1.2,
    cpu: 0.345,
    memory_bytes: 456_789_012,
    max_memory_bytes: 8_589_934_592,
    draining: 0,
  };
}
