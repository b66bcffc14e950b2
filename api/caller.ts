/** Who makes a request, by the access token that it carries. */
import type { FastifyRequest } from 'fastify';
import { bearerToken, GochatError } from '../common/mod.ts';

/** The metadata that name the caller to state, which verifies the token. */
export type Caller = { readonly authorization: string };

/** @throws GochatError TOKEN_MISSING */
export function caller(request: FastifyRequest): Caller {
  const token = bearerToken(request.headers.authorization);
  // Nothing of another form may enter gRPC metadata.
  if (token === undefined) throw new GochatError('TOKEN_MISSING');
  return { authorization: `Bearer ${token}` };
}
