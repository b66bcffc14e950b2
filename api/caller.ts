/** The caller of a request: the access token, and the key that makes repetitions of the request one. */
import { createHash } from 'node:crypto';
import type { FastifyRequest } from 'fastify';
import { bearerToken, GochatError } from '../common/mod.ts';
import type { state } from '../proto/mod.ts';

export interface Caller {
  /** gRPC metadata with the caller's token, which state verifies. */
  readonly metadata: { readonly authorization: string };
  /** Of a request with an Idempotency-Key. */
  readonly once: state.Once | undefined;
}

/** @throws GochatError TOKEN_MISSING */
export function caller(request: FastifyRequest): Caller {
  const token = bearerToken(request.headers.authorization);
  // Only a well-formed token may enter gRPC metadata.
  if (token === undefined) throw new GochatError('TOKEN_MISSING');
  return { metadata: { authorization: `Bearer ${token}` }, once: onceOf(request) };
}

/** Returns the caller without the key: a hash of the request, which has a password, would be kept with it. */
export function withoutKey({ metadata }: Caller): Caller {
  return { metadata, once: undefined };
}

/** Returns the client_msg_id that all repetitions of a request have, and no other request; undefined without a key. */
export function messageIdOf({ once }: Caller): string | undefined {
  return once && hash(once.key, once.request);
}

function onceOf({ method, url, headers, body }: FastifyRequest): state.Once | undefined {
  const key = headers['idempotency-key'];
  if (typeof key !== 'string' || method === 'GET') return undefined;
  return { key, request: hash(method, url, JSON.stringify(body ?? null)) };
}

function hash(...parts: readonly string[]): string {
  // Lengths keep the parts apart.
  const text = parts.map((part) => `${part.length}:${part}`).join('');
  return createHash('sha256').update(text).digest('base64url');
}
