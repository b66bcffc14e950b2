/** What holds for every route that a token is needed for. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { GochatError } from '../../common/mod.ts';
import { CALLS, OLD_CALLS, type TestCall } from '../testing/calls.ts';
import { startApi, type TestApi } from '../testing/test-api.ts';

let api: TestApi;
beforeAll(async () => {
  api = await startApi({}, 12);
});
beforeEach(() => void api.state.asked.splice(0));
afterAll(() => api[Symbol.asyncDispose]());

const call = ({ method, path, body }: TestCall, headers?: Record<string, string>) =>
  api.call(method, path, body, headers);

describe.each([...CALLS, ...OLD_CALLS])('$method $path', (request) => {
  test('no token, or none that is well formed: 401 TOKEN_MISSING, state is not asked', async () => {
    for (const authorization of ['', 'Basic YTpi', 'Bearer', 'Bearer a b', 'Bearer a;b']) {
      const answer = await call(request, { authorization });
      expect([answer.status, answer.body.code]).toEqual([401, 'TOKEN_MISSING']);
    }
    expect(api.state.asked).toEqual([]);
  });

  test('a token that state refuses: 401 TOKEN_INVALID', async () => {
    const answer = await call(request, { authorization: 'Bearer forged' });
    expect([answer.status, answer.body.code]).toEqual([401, 'TOKEN_INVALID']);
  });

  test('safe to repeat, so it is tried again with the same input', async () => {
    // Earns what the retry takes from the budget that all calls share.
    for (let count = 0; count < 10; count++) await api.get('/api/v1/rooms?scope=public');
    api.state.asked.splice(0);
    api.state.failOnce(new GochatError('STORE_UNAVAILABLE'));
    expect((await call(request)).status).toBe(request.status);
    const [first, second] = api.state.asked;
    expect(first).toEqual(second);
    expect(api.state.asked).toHaveLength(2);
  });
});

test('state is not there: 503 STATE_UNAVAILABLE, everywhere', async () => {
  await api.state.stop();
  for (const request of [...CALLS, ...OLD_CALLS]) {
    const answer = await call(request);
    expect([request.path, answer.status, answer.body.code]).toEqual([request.path, 503, 'STATE_UNAVAILABLE']);
    expect(answer.headers.get('retry-after')).toBe('1');
  }
});
