import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

const LONGEST = '/test/chaos/chaos.test.ts';

/** Starts the file that takes longest before all others, so that nothing waits for it in the end. */
class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification) => Number(!moduleId.endsWith(LONGEST));
    return (await super.sort(files)).toSorted((a, b) => rank(a) - rank(b));
  }
}

export default defineConfig({
  test: {
    include: ['**/*.test.ts'],
    exclude: ['node_modules/**', 'dist/**', 'data/**'],
    pool: 'forks',
    // Many tests wait for other processes more than they compute.
    maxWorkers: '100%',
    sequence: { sequencer: LongestFirst },
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
