/** Making an account, before there is a client. */
import { apiServer, request } from './http.ts';
import type { FetchLike } from './options.ts';

export interface SignUp {
  /** Base URL of the API server. */
  readonly api: string;
  /** The handle: unique, does not change. */
  readonly name: string;
  readonly password: string;
  /** @default the global fetch */
  readonly fetch?: FetchLike;
}

/** Most time that it may take, ms: password hashes are slow on purpose. */
const TIMEOUT_MS = 15_000;

/** Makes an account. Rejects with a ClientError, such as NAME_TAKEN. */
export async function signUp({ api, name, password, fetch = globalThis.fetch }: SignUp): Promise<void> {
  const server = apiServer({ callTimeoutMs: TIMEOUT_MS }, api);
  const options = { fetch: (url: string, init: RequestInit) => fetch(url, init) };
  await request(options, server, '/auth/signup', new AbortController().signal, { name, password });
}
