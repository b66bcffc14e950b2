/** Answers to methods that a path does not have: OPTIONS with the path's methods, others with 405. */
import { METHODS } from 'node:http';
import type { FastifyInstance } from 'fastify';
import { type Cors, GochatError, methodNotAllowed, pathOf } from '../common/mod.ts';

/** Collects routes as they are added. The returned function adds the answers to their other methods. */
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
        // Before the body is parsed.
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
