/** Tests of what the parts of GoChat load: each package costs every start of a process or thread, used or not. */
import { execFileSync } from 'node:child_process';
import { expect, test } from 'vitest';

/** Prints the packages that a module loads, as a JSON list. */
const PROGRAM = `
  import { registerHooks } from 'node:module';
  const packages = new Set();
  registerHooks({
    load(url, context, next) {
      const name = /.*\\/node_modules\\/((?:@[^/]+\\/)?[^/]+)/.exec(url)?.[1];
      if (name !== undefined) packages.add(name);
      return next(url, context);
    },
  });
  await import(process.argv[1]);
  process.stdout.write(JSON.stringify([...packages]), () => process.exit(0));`;

function packagesOf(path: string): string[] {
  const url = new URL(`../${path}`, import.meta.url).href;
  const output = execFileSync(process.execPath, ['--input-type=module', '-e', PROGRAM, url]);
  return JSON.parse(output.toString()) as string[];
}

const METRICS = '@opentelemetry/sdk-metrics';

test.each([
  [
    'a gateway worker',
    'gateway/supervisor/worker-node.ts',
    ['zod', 'yaml', METRICS, 'protobufjs', 'ioredis', 'pg'],
  ],
  ['the SQLite worker', 'state/store/sqlite/engine.ts', ['zod', 'pino', '@grpc/grpc-js', METRICS]],
  ['the client', 'cmd/client.ts', ['@grpc/grpc-js', 'fastify', 'ioredis', 'pg', METRICS]],
  ['gochat up', 'cmd/up.ts', ['ioredis', METRICS, '@opentelemetry/sdk-trace', '@grpc/reflection']],
])('%s: loads nothing that it does not need at start', (_, path, unneeded) => {
  const packages = packagesOf(path);
  expect(packages.filter((name) => unneeded.includes(name))).toEqual([]);
});
