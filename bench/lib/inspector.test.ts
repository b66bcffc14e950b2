import { expect, test } from 'vitest';
import { ANY_INSPECTOR_PORT, Child } from './child.ts';

/** Prints what was collected, in the main thread and in a worker. */
const PROGRAM = `
  const { isMainThread, parentPort, Worker } = require('node:worker_threads');
  const name = isMainThread ? 'main' : 'worker';
  const registry = new FinalizationRegistry(() => console.log(name + ' collected'));
  (() => registry.register({}, 0))();
  if (isMainThread) new Worker(process.env.PROGRAM, { eval: true }).on('message', console.log);
  else parentPort.postMessage('up');
  setInterval(() => undefined, 1000);
`;

test('garbage collection: reaches the main thread and the workers, and can be repeated', async () => {
  await using child = new Child('program', process.execPath, [ANY_INSPECTOR_PORT, '-e', PROGRAM], {
    env: { PROGRAM },
  });
  await child.until((output) => output.includes('up') || undefined);
  await child.collect();
  await child.until((output) => output.includes('main collected') || undefined);
  await child.until((output) => output.includes('worker collected') || undefined);
  await child.collect();
  expect(child.exited).toBe(false);
});
