/** The web page: its files as the build has made them, and what it must know of this server. */
/* oxlint-disable oxc/no-async-endpoint-handlers -- fastify awaits handlers; the rule is about Express 4. */
import fastifyStatic from '@fastify/static';
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';

/** How long browsers may keep a file whose name has a hash of its content, ms. */
const HASHED_MAX_AGE_MS = 365 * 24 * 3_600_000;

export interface PageOptions {
  /** Folder with index.html and assets/, whose names have hashes; each file also with .gz and .br. */
  readonly folder: string;
  /** Accounts that anybody may use, offered where one signs in. @default none */
  readonly demo?: { readonly users: readonly string[]; readonly password: string } | undefined;
}

/** No script or style but the files of the page, and no other server. */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data: blob:",
  "connect-src 'self'",
  "manifest-src 'self'",
  "base-uri 'none'",
  "form-action 'self'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join('; ');

const HEADERS = {
  'content-security-policy': POLICY,
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'permissions-policy': 'camera=(), geolocation=(), microphone=()',
};

export function pageRoutes({ folder, demo }: PageOptions): FastifyPluginAsyncZod {
  return async (app) => {
    await app.register(fastifyStatic, {
      root: folder,
      serve: false,
      preCompressed: true,
      cacheControl: false,
    });
    // The page reads its place from the path.
    for (const path of ['/', '/r/*'])
      app.get(path, { schema: { hide: true } }, async (_request, reply) =>
        reply.headers({ ...HEADERS, 'cache-control': 'no-cache' }).sendFile('index.html'),
      );
    app.get<{ Params: { '*': string } }>('/assets/*', { schema: { hide: true } }, async (request, reply) =>
      reply.sendFile(`assets/${request.params['*']}`, {
        cacheControl: true,
        immutable: true,
        maxAge: HASHED_MAX_AGE_MS,
      }),
    );
    app.get('/page.json', { schema: { hide: true } }, async () => ({ demo: demo ?? null }));
  };
}
