/**
 * What bench/ipconf.ts measures, each in a process of its own:
 *
 *     ipconf REGISTRY        ipconf on this registry
 *     gateways REGISTRY N    N gateways in it that report every second, with counts that change
 *     bare ANSWER            node:http that gives this answer, JSON of its headers and its body
 */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { silentLogger } from '../../common/mod.ts';
import { openRegistry, type Registration } from '../../crpc/mod.ts';
import { IpconfServer } from '../../ipconf/mod.ts';

const MAX_CONNECTIONS = 20_000;
const REPORT_MS = 1000;
const ZONES = 3;
const AT_ONCE = 25;

const [mode = '', what = '', count = '1000'] = process.argv.slice(2);

async function ipconf(): Promise<void> {
  const server = new IpconfServer({
    port: 0,
    registry: openRegistry(what, { logger: silentLogger }),
    logger: silentLogger,
    ratePerSecond: 0,
  });
  await server.start();
  console.log(JSON.stringify({ port: Number(server.address.split(':')[1]) }));
}

async function gateways(): Promise<void> {
  const registry = openRegistry(what, { logger: silentLogger });
  const all: Registration[] = [];
  const load = (tick: number) => {
    const connections = Math.floor(MAX_CONNECTIONS * (0.4 + 0.01 * Math.random()));
    return {
      tick,
      connections,
      max_connections: MAX_CONNECTIONS,
      accepted: connections + tick * 10,
      frames_in_per_s: 1234,
      frames_per_s: 23_456,
      bytes_out_per_s: 3_456_789,
      loop_delay_ms: 1.2,
      cpu: 0.345,
      memory_bytes: 456_789_012,
      max_memory_bytes: 8_589_934_592,
      draining: 0,
    };
  };
  const register = async (i: number) => {
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
      load: load(0),
    });
  };
  const total = Number(count);
  for (let i = 0; i < total; i += AT_ONCE)
    await Promise.all(Array.from({ length: Math.min(AT_ONCE, total - i) }, (_, k) => register(i + k)));
  let writes = 0;
  let writeMs = 0;
  let tick = 0;
  for (const [i, registration] of all.entries()) {
    setTimeout(
      () =>
        setInterval(() => {
          const began = performance.now();
          void registration.update({ load: load(++tick) }).then(() => {
            writes++;
            writeMs += performance.now() - began;
          });
        }, REPORT_MS),
      (REPORT_MS * i) / all.length,
    );
  }
  const bytes = JSON.stringify(all[0]?.endpoint).length;
  createServer((_, response) => response.end(JSON.stringify({ writes, writeMs, bytes }))).listen(
    0,
    '127.0.0.1',
    function (this: { address(): unknown }) {
      console.log(JSON.stringify({ port: (this.address() as AddressInfo).port }));
    },
  );
}

function bare(): void {
  const { headers, body } = JSON.parse(what) as { headers: string[]; body: string };
  const server = createServer((_, response) => {
    response.writeHead(200, headers);
    response.end(body, 'latin1');
  });
  server.listen(0, '127.0.0.1', () =>
    console.log(JSON.stringify({ port: (server.address() as AddressInfo).port })),
  );
}

const modes: Readonly<Record<string, () => Promise<void> | void>> = { ipconf, gateways, bare };
const start = modes[mode];
if (start === undefined) throw new Error(`there is no mode ${mode}`);
await start();
