/** Unary calls by one version's crpc: `unary.ts ROOT`, forked. Each message, a time in ms, is answered with the rates. */
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { enableMetrics, silentLogger } from '../../common/mod.ts';
import type { createClient } from '../../crpc/mod.ts';
import type { EchoService } from '../../crpc/testing/gen/echo.ts';
import { callRate } from './compete.ts';
import type { startServer } from './server.ts';

/** An answer. */
export interface UnaryRound {
  readonly perSecond: number;
  /** By the CPU time of client and server. */
  readonly perCpuSecond: number;
}

const root = process.argv[2] as string;
const load = async (file: string): Promise<unknown> => import(pathToFileURL(join(root, file)).href);
const common = (await load('common/mod.ts')) as {
  enableMetrics: typeof enableMetrics;
  silentLogger: typeof silentLogger;
};
const crpc = (await load('crpc/mod.ts')) as { createClient: typeof createClient };
const echo = (await load('crpc/testing/gen/echo.ts')) as { EchoService: typeof EchoService };
const bench = (await load('bench/crpc/server.ts')) as { startServer: typeof startServer };

// As in a server: traces are not recorded.
await common.enableMetrics('bench');
const server = await bench.startServer();
const client = crpc.createClient(echo.EchoService, server.addresses.crpc, { logger: common.silentLogger });
const request = { text: 'x'.repeat(64), count: 1 };

async function round(ms: number): Promise<UnaryRound> {
  const [begun, cpuBefore] = [performance.now(), await server.cpu()];
  const perSecond = await callRate(() => client.unary(request), ms);
  const [seconds, cpuSeconds] = [(performance.now() - begun) / 1000, (await server.cpu()) - cpuBefore];
  return { perSecond, perCpuSecond: (perSecond * seconds) / cpuSeconds };
}

process.on('message', (ms: number) => void round(ms).then((answer) => process.send?.(answer)));
process.once('disconnect', () => {
  client[Symbol.dispose]();
  void server[Symbol.asyncDispose]();
});
