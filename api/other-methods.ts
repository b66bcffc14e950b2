/** Answers the methods that a path has not: OPTIONS with those that it has, any other with 405. */
import { METHODS } from 'node:http';
import type { FastifyInstance } from 'fastify';
import { type Cors, GochatError, methodNotAllowed, pathOf } from '../common/mod.ts';

/** Notes the routes that are made from now on; the function that is returned answers their other methods. */
export function collectMethods(app: FastifyInstance, cors: Cors): () => void {
  const urls = new Set<string>();
  app.addHook('onRoute', ({ url }) => {
    urls.add(url);
  });
  return () => {
    for (const method of METHODS) if (!app.supportedMethods.includes(method)) app.addHttpMethod(method);
    const noted = [...urls];
    for (const url of noted) {
      const own = app.supportedMethods.filter((method) => app.hasRoute({ url, method }));
      const allow = [...own, 'OPTIONS'].sort().join(', ');
      app.route({
        url,
        method: app.supportedMethods.filter((method) => !own.includes(method)),
        schema: { hide: true },
        // Before anything looks at a body.
        onRequest: async (request, reply) => {
          reply.header('allow', allow);
          if (request.method !== 'OPTIONS')
            throw methodNotAllowed(request.raw, pathOf(request.raw), allow).error;
          const headers = cors.headers(request.headers.origin, allow);
          for (let i = 0; i < headers.length; i += 2) reply.header(headers[i] as string, headers[i + 1]);
          return reply.code(204).send();
        },
        handler: () => {
          throw new GochatError('INTERNAL');
        },
      });
    }
  };
}
