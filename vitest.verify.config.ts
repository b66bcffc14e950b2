/** What takes too long for `make test`: the files that `make verify` runs. */
import { defineConfig } from 'vitest/config';
import everyTime from './vitest.config.ts';

export default defineConfig({
  ...everyTime,
  test: { ...everyTime.test, include: ['**/*.verify.ts'] },
});
