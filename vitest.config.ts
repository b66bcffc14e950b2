import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['**/*.test.ts'],
    exclude: ['node_modules/**', 'dist/**', 'data/**'],
    pool: 'forks',
    // Many tests wait for other processes more than they compute.
    maxWorkers: '100%',
    globalSetup: ['test/harness/global-setup.ts'],
    testTimeout: 60_000,
    hookTimeout: 120_000,
    coverage: {
      provider: 'v8',
      include: ['{api,client,cmd,common,crpc,gateway,ipconf,proto,state}/**/*.ts'],
      exclude: ['**/gen/**'],
    },
  },
});
