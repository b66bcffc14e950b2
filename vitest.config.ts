import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

// Node.js keeps what it has compiled, for the next process and thread: a third of the CPU time of all tests.
process.env['NODE_COMPILE_CACHE'] ??= fileURLToPath(new URL('node_modules/.cache/node', import.meta.url));

export default defineConfig({
  test: {
    include: ['**/*.test.ts'],
    exclude: ['node_modules/**', 'dist/**', 'out/**', 'data/**'],
    pool: 'forks',
    // Most tests wait for other processes, timers and sockets more than they compute.
    maxWorkers: 2 * availableParallelism(),
    globalSetup: ['test/harness/global-setup.ts'],
    // Far beyond what a busy machine needs: no verdict is one on speed.
    expect: { poll: { timeout: 60_000, interval: 20 } },
    testTimeout: 120_000,
    hookTimeout: 120_000,
    coverage: {
      provider: 'v8',
      include: ['{api,client,cmd,common,crpc,gateway,ipconf,proto,state}/**/*.ts'],
      exclude: ['**/gen/**'],
    },
  },
});
