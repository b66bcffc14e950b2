/** The caller of a request, identified by its access token. */
import type { FastifyRequest } from 'fastify';
import { bearerToken, GochatError } from '../common/mod.ts';

/** gRPC metadata with the caller's token, which state verifies. */
export type Caller = { readonly authorization: string };

/** @throws GochatError TOKEN_MISSING */
export function caller(request: FastifyRequest): Caller {
  const token = bearerToken(request.headers.authorization);
  // Only a well-formed token may enter gRPC metadata.
  if (token === undefined) throw new GochatError('TOKEN_MISSING');
  return { authorization: `Bearer ${token}` };
}
