import type { FastifyReply } from 'fastify';
import { expect, test } from 'vitest';
import { TestClock } from '../test/harness/test-clock.ts';
import { RefusalDelay } from './refusal-delay.ts';

/** A reply, as a list of the headers that it was given. */
function replyOf(headers: string[]): FastifyReply {
  return {
    header: (name: string, value: string) => headers.push(`${name}: ${value}`),
  } as unknown as FastifyReply;
}

test('as many as may wait: one more passes at once and ends its connection, until the others have passed', async () => {
  using clock = new TestClock({ goesOn: false });
  const delay = new RefusalDelay(2);
  const headers: string[] = [];
  const waiting = Promise.all([delay.pass(replyOf(headers)), delay.pass(replyOf(headers))]);
  await delay.pass(replyOf(headers));
  expect(headers).toEqual(['connection: close']);
  await clock.until(waiting);
  await clock.until(delay.pass(replyOf(headers)));
  expect(headers).toHaveLength(1);
});
