/** An api server for tests, on a fake state, with a client that reads JSON. */
import { silentLogger } from '../../common/mod.ts';
import { type ApiOptions, ApiServer } from '../server.ts';
import { startState, type TestState, TOKEN } from './test-state.ts';

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  // oxlint-disable-next-line typescript/no-explicit-any -- tests look into JSON of many shapes.
  readonly body: any;
}

export interface TestApi extends AsyncDisposable {
  readonly state: TestState;
  readonly server: ApiServer;
  readonly url: string;
  get(path: string, headers?: Record<string, string>): Promise<Answer>;
  post(path: string, body?: unknown, headers?: Record<string, string>): Promise<Answer>;
  put(path: string, body: unknown, headers?: Record<string, string>): Promise<Answer>;
  call(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<Answer>;
  delete(path: string, headers?: Record<string, string>): Promise<Answer>;
  request(path: string, init: RequestInit): Promise<Answer>;
}

/** Starts it. Requests carry the token that the fake state accepts, unless `headers` say otherwise. */
export async function startApi(options: Partial<ApiOptions> = {}, messages = 0): Promise<TestApi> {
  const state = await startState(messages);
  const server = new ApiServer({ port: 0, registry: state.registry, logger: silentLogger, ...options });
  await server.start();
  const url = `http://${server.address}`;
  const request = async (path: string, init: RequestInit): Promise<Answer> => {
    const response = await fetch(url + path, init);
    const text = await response.text();
    const isJson = response.headers.get('content-type')?.includes('json') === true;
    return {
      status: response.status,
      headers: response.headers,
      text,
      body: isJson && text !== '' ? JSON.parse(text) : undefined,
    };
  };
  const authorization = `Bearer ${TOKEN}`;
  const send = (method: string, path: string, body: unknown, headers: Record<string, string> = {}) =>
    request(path, {
      method,
      headers: {
        authorization,
        ...(method !== 'GET' && { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
  return {
    state,
    server,
    url,
    request,
    call: send,
    get: (path, headers = {}) => request(path, { headers: { authorization, ...headers } }),
    post: (path, body, headers) => send('POST', path, body, headers),
    put: (path, body, headers) => send('PUT', path, body, headers),
    delete: (path, headers = {}) =>
      request(path, { method: 'DELETE', headers: { authorization, ...headers } }),
    [Symbol.asyncDispose]: async () => {
      await server.stop();
      await state[Symbol.asyncDispose]();
    },
  };
}
