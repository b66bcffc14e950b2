/** Configuration of `make verify`: the test files that take too long for `make test`. */
import { defineConfig } from 'vitest/config';
import everyTime from './vitest.config.ts';

export default defineConfig({
  ...everyTime,
  test: { ...everyTime.test, include: ['**/*.verify.ts'], maxWorkers: '100%' },
});
