import { describe, expect, test } from 'vitest';
import { CallGatherer } from './call-gatherer.ts';

/** Answers each key with its arguments. */
function gatherer(most: number) {
  const made: string[][] = [];
  const calls = new CallGatherer<string>(most, async (keys, args) => {
    made.push(keys);
    if (keys.includes('bad')) throw new Error('no');
    return keys.map((key, i) => `${key}=${args[i]}`);
  });
  return { calls, made };
}

describe('CallGatherer', () => {
  test('calls made together: become one, and each gets its own answer', async () => {
    const { calls, made } = gatherer(10);
    expect(await Promise.all([calls.call('a', 1), calls.call('b', 2)])).toEqual(['a=1', 'b=2']);
    expect(await calls.call('c', 3)).toBe('c=3');
    expect(made).toEqual([['a', 'b'], ['c']]);
  });

  test('more calls than one holds: become several', async () => {
    const { calls, made } = gatherer(2);
    const answers = await Promise.all(['a', 'b', 'c'].map((key) => calls.call(key, key)));
    expect(answers).toEqual(['a=a', 'b=b', 'c=c']);
    expect(made).toEqual([['a', 'b'], ['c']]);
  });

  test('a call that fails: rejects all that were part of it, and no others', async () => {
    const { calls } = gatherer(2);
    const results = await Promise.allSettled(['a', 'bad', 'c'].map((key) => calls.call(key, key)));
    expect(results.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'fulfilled']);
  });
});
