/** Server interceptor: refuses calls without the cluster's shared token. */
import { GochatError } from '../../common/mod.ts';
import { tokenCheck } from '../client/credentials.ts';
import type { SecurityOptions } from '../client/credentials.ts';
import type { ServerInterceptor } from './interceptor.ts';

/** Checks the token that `attachToken` puts on; passes everything through where no token is set. */
export function authentication(security: SecurityOptions): ServerInterceptor {
  if (security.token === undefined) return {};
  const isAllowed = tokenCheck(security);
  return {
    unary: (next) => (input, context) =>
      isAllowed(context.metadata) ? next(input, context) : Promise.reject(new GochatError('TOKEN_INVALID')),
    stream: (next) => (input, context) => {
      if (!isAllowed(context.metadata)) throw new GochatError('TOKEN_INVALID');
      return next(input, context);
    },
  };
}
