/** The web page: its files as the build has made them, and what it must know of this server. */
/* oxlint-disable oxc/no-async-endpoint-handlers -- fastify awaits handlers; the rule is about Express 4. */
import fastifyStatic from '@fastify/static';
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import type { GatewayList } from '../gateway-list.ts';

/** How long browsers may keep a file whose name has a hash of its content, ms. */
const HASHED_MAX_AGE_MS = 365 * 24 * 3_600_000;

export interface PageOptions {
  /** Folder with index.html and assets/, whose names have hashes; each file also with .gz and .br. */
  readonly folder: string;
  /** Origins (wss://HOST[:PORT]) of the gateways that pages connect to, as ipconf names them. @default none: `/ws` of this server */
  readonly gateways?: readonly string[];
  /** Accounts that anybody may use, offered where one signs in. @default none */
  readonly demo?: { readonly users: readonly string[]; readonly password: string } | undefined;
}

/** What the server has besides. */
export interface PageServer {
  /** Undefined: pages connect to `/ws` of this server. */
  readonly list: GatewayList | undefined;
  /** Whether users may log in by an OpenID Connect provider. */
  readonly hasOpenId: boolean;
}

/** No script or style but the files of the page, and no other server but the gateways. */
function policyOf(gateways: readonly string[]): string {
  return [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self' data: blob:",
    ["connect-src 'self'", ...gateways].join(' '),
    "manifest-src 'self'",
    "base-uri 'none'",
    "form-action 'self'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
  ].join('; ');
}

export function pageRoutes(
  { folder, demo, gateways = [] }: PageOptions,
  { list, hasOpenId }: PageServer,
): FastifyPluginAsyncZod {
  const headers = {
    'content-security-policy': policyOf(gateways),
    'referrer-policy': 'no-referrer',
    'cross-origin-opener-policy': 'same-origin',
    'permissions-policy': 'camera=(), geolocation=(), microphone=()',
    'cache-control': 'no-cache',
  };
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
        reply.headers(headers).sendFile('index.html'),
      );
    app.get<{ Params: { '*': string } }>('/assets/*', { schema: { hide: true } }, async (request, reply) =>
      reply.sendFile(`assets/${request.params['*']}`, {
        cacheControl: true,
        immutable: true,
        maxAge: HASHED_MAX_AGE_MS,
      }),
    );
    app.get('/page.json', { schema: { hide: true } }, async () => ({
      demo: demo ?? null,
      gateways: gateways.length > 0,
      openId: hasOpenId,
    }));
    if (list === undefined) return;
    app.get('/ip/list', { schema: { hide: true } }, async (request, reply) => {
      const { status, body } = await list.ask(new URL(request.url, 'http://api').search);
      return reply.code(status).type('application/json').send(body);
    });
  };
}
