/** Who makes a request, by the access token that it carries. */
import type { FastifyRequest } from 'fastify';
import { GochatError } from '../common/mod.ts';
import type { Caller } from './state-client.ts';

/** RFC 6750; nothing else can be a token, and nothing else may enter gRPC metadata. */
const BEARER = /^Bearer +[A-Za-z0-9._~+/-]+=*$/i;

/** @throws GochatError TOKEN_MISSING */
export function caller(request: FastifyRequest): Caller {
  const { authorization } = request.headers;
  if (authorization === undefined || !BEARER.test(authorization)) throw new GochatError('TOKEN_MISSING');
  return { authorization };
}
