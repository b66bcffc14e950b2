/** Server interceptor: refuses calls without the cluster's shared token. */
import { CrpcError } from '../errors.ts';
import { tokenCheck } from '../client/credentials.ts';
import type { SecurityOptions } from '../client/credentials.ts';
import type { ServerInterceptor } from './interceptor.ts';

/** Checks the token added by `attachToken`; passes everything if no token is set. */
export function authentication(security: SecurityOptions): ServerInterceptor {
  if (security.token === undefined) return {};
  const isAllowed = tokenCheck(security);
  return {
    unary: (next) => (input, context) =>
      isAllowed(context.metadata) ? next(input, context) : Promise.reject(new CrpcError('TOKEN_INVALID')),
    stream: (next) => (input, context) => {
      if (!isAllowed(context.metadata)) throw new CrpcError('TOKEN_INVALID');
      return next(input, context);
    },
  };
}
