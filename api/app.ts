/** The fastify application: routes, validation, errors, API documentation, logs and metrics. */
/* oxlint-disable oxc/no-async-endpoint-handlers -- fastify awaits handlers; the rule is about Express 4. */
import { randomUUID } from 'node:crypto';
import fastifySwagger from '@fastify/swagger';
import fastifySwaggerUi from '@fastify/swagger-ui';
import Fastify, {
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  LogController,
} from 'fastify';
import {
  createJsonSchemaTransform,
  serializerCompiler,
  validatorCompiler,
  type ZodTypeProvider,
} from 'fastify-type-provider-zod';
import {
  answerUnhandled,
  answerUnreadable,
  Cors,
  createHttpServer,
  GochatError,
  type Logger,
  pathOf,
  refuseMissingHost,
  type ServerCertificate,
  silentLogger,
  TrustedProxies,
} from '../common/mod.ts';
import { isWebSocket, WEB_SOCKET } from './web-sockets.ts';
import { completeDocument } from './document.ts';
import { answerOf, BODY_LIMIT, sendError } from './error-answer.ts';
import { ApiMetrics } from './metrics.ts';
import { collectMethods } from './other-methods.ts';
import { RefusalDelay } from './refusal-delay.ts';
import { RequestLimit } from './request-limit.ts';
import { accountRoutes } from './routes/account.ts';
import { adminRoutes } from './routes/admin.ts';
import { authRoutes } from './routes/auth.ts';
import { openIdRoutes } from './routes/open-id.ts';
import { deprecatedRoutes } from './routes/deprecated.ts';
import { messageRoutes } from './routes/messages.ts';
import { type PageOptions, pageRoutes } from './routes/page.ts';
import { listRoutes, roomRoutes } from './routes/rooms.ts';
import { selfRoutes } from './routes/self.ts';
import { settingsRoutes } from './routes/settings.ts';
import { threadRoutes } from './routes/threads.ts';
import { userRoutes } from './routes/users.ts';
import { ChangeHeaders, Health } from './schemas/basic.ts';
import type { GatewayList } from './gateway-list.ts';
import type { OpenId } from './open-id.ts';
import type { State } from './state.ts';

/** Largest request headers: enough for a token and a browser's headers. Bytes. */
const MAX_HEADER_BYTES = 16_384;
/** Path of the documentation page, whose assets this server serves too. */
const DOCS = '/docs';
/** Path of the liveness probe. */
const HEALTH = '/healthz';
/** What a caller may name a request; it stands in the log. */
const REQUEST_ID = /^[\w.:-]{1,64}$/;
/** Base of the paths, with their version. */
const BASE = '/api/v1';

export interface AppOptions {
  /** Client of an OpenID Connect provider; undefined: there is none. */
  readonly openId: OpenId | undefined;
  readonly state: State;
  readonly logger: Logger;
  readonly proxies: TrustedProxies;
  readonly cors: Cors;
  readonly isDraining: () => boolean;
  readonly limit: RequestLimit;
  /** Certificate of the port; undefined: no TLS. */
  readonly certificate: ServerCertificate | undefined;
  /** The web page; undefined: there is none. */
  readonly page: PageOptions | undefined;
  /** Undefined: pages connect to `/ws` of this server. */
  readonly gatewayList: GatewayList | undefined;
}

export type App = Awaited<ReturnType<typeof createApp>>;

/** Builds the application; it does not listen yet. */
export async function createApp(options: AppOptions) {
  const metrics = new ApiMetrics();
  const { cors } = options;
  /** Names a request and takes it from its address's limit; returns the refusal of one too many. */
  const identify = (request: FastifyRequest, reply: FastifyReply): GochatError | undefined => {
    reply.header('x-request-id', request.id);
    // A probe must not fail because others flood from its address, and a refusal would cost as much.
    if (pathOf(request.raw) === HEALTH) return undefined;
    return options.limit.take(reply, options.proxies.clientOf(request.raw));
  };
  const app = Fastify({
    serverFactory: (handler) =>
      createHttpServer(
        {
          maxHeaderSize: MAX_HEADER_BYTES,
          headersTimeout: 5_000,
          requestTimeout: 15_000,
          keepAliveTimeout: 30_000,
          connectionsCheckingInterval: 2_000,
          requireHostHeader: false,
          shouldUpgradeCallback: isWebSocket,
        },
        options.certificate,
        handler,
      ),
    loggerInstance: options.logger,
    // The server logs its own line per answer.
    logController: new LogController({ disableRequestLogging: true }),
    genReqId: ({ headers }) => requestId(headers['x-request-id']),
    bodyLimit: BODY_LIMIT,
    return503OnClosing: false,
    forceCloseConnections: 'idle',
    onProtoPoisoning: 'remove',
    onConstructorPoisoning: 'remove',
    frameworkErrors: (error, request, reply) => {
      sendError(reply, answerOf(identify(request, reply) ?? error));
    },
    clientErrorHandler: (error, socket) => answerUnreadable(error, socket, MAX_HEADER_BYTES),
  }).withTypeProvider<ZodTypeProvider>();
  answerUnhandled(app.server);
  // It does not depend on the types of logger and validator.
  const answerOtherMethods = collectMethods(app as unknown as FastifyInstance, cors);

  app.setValidatorCompiler(validatorCompiler);
  app.setSerializerCompiler(serializerCompiler);
  app.setNotFoundHandler((request, reply) =>
    sendError(reply, {
      error: new GochatError('ROUTE_NOT_FOUND', {
        details: { name: `${request.method} ${pathOf(request.raw)}` },
      }),
    }),
  );
  const refusalDelay = new RefusalDelay();
  app.setErrorHandler(async (thrown, request, reply) => {
    const answer = answerOf(thrown);
    const { error } = answer;
    if (error.code === 'RATE_LIMITED') await refusalDelay.pass(reply);
    if (error.entry.http >= 500) request.log.error({ err: error, code: error.code }, 'request failed');
    return sendError(reply, answer);
  });

  // Some clients set a content type on every POST, even with an empty body.
  const parseJson = app.getDefaultJsonParser('remove', 'remove');
  app.removeContentTypeParser(['application/json', 'text/plain']);
  app.addContentTypeParser<string>('application/json', { parseAs: 'string' }, (request, body, done) => {
    if (body === '') done(null, undefined);
    else void parseJson(request, body, done);
  });

  app.addHook('onRequest', async (request, reply) => {
    const headers = cors.headers(request.headers.origin);
    for (let i = 0; i < headers.length; i += 2) reply.header(headers[i] as string, headers[i + 1]);
    const refusal = refuseMissingHost(request.raw);
    if (refusal !== undefined) throw refusal.error;
    const limited = identify(request, reply);
    if (limited !== undefined) throw limited;
    if (!options.isDraining()) return;
    reply.header('connection', 'close');
    throw new GochatError('SERVER_DRAINING', { retryAfterMs: 1_000 });
  });
  app.addHook('onSend', async (_request, reply) => {
    reply.header('x-content-type-options', 'nosniff');
    if (!reply.hasHeader('cache-control')) reply.header('cache-control', 'no-store');
  });
  app.addHook('onResponse', async (request, reply) => {
    const route = request.routeOptions.url ?? 'none';
    metrics.answered(route, reply.statusCode, reply.elapsedTime);
    // The route and not the URL, to keep queries out of the log.
    request.log.info(
      { method: request.method, route, status: reply.statusCode, ms: Math.round(reply.elapsedTime) },
      'answered',
    );
  });

  app.addHook('onRoute', (route) => {
    const { method, schema } = route;
    if (method === 'GET' || method === 'HEAD' || schema === undefined || schema.hide === true) return;
    // Without a caller there is no one whose key it would be.
    if (schema.security !== undefined) return;
    route.schema = { headers: ChangeHeaders, ...schema };
  });
  await app.register(fastifySwagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'GoChat API',
        version: '1.0.0',
        description:
          'Accounts, rooms and messages over HTTP. What others send is pushed over the gateway (docs/protocol.md). ' +
          'Every error is problem details (RFC 9457) with a code; docs/errors.md lists the codes.',
      },
      components: { securitySchemes: { token: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' } } },
      security: [{ token: [] }],
    },
    transform: createJsonSchemaTransform({}),
    transformObject: completeDocument,
  });
  await app.register(fastifySwaggerUi, {
    routePrefix: DOCS,
    // Without this the page calls a validator on the internet.
    uiConfig: { validatorUrl: null, persistAuthorization: true },
    logLevel: 'warn',
  });

  await app.register(authRoutes({ state: options.state, proxies: options.proxies, cors }));
  const { openId, state, proxies } = options;
  if (openId !== undefined) await app.register(openIdRoutes({ state, openId, proxies }));
  for (const routes of [
    listRoutes,
    roomRoutes,
    messageRoutes,
    threadRoutes,
    userRoutes,
    selfRoutes,
    settingsRoutes,
    accountRoutes,
    adminRoutes,
  ])
    await app.register(routes(options.state), { prefix: BASE });
  await app.register(deprecatedRoutes(options.state));
  if (options.page !== undefined)
    await app.register(
      pageRoutes(options.page, { list: options.gatewayList, hasOpenId: openId !== undefined }),
    );
  app.get(
    HEALTH,
    {
      schema: {
        summary: 'Tell whether this server is alive',
        tags: ['operation'],
        security: [],
        response: { 200: Health },
      },
    },
    async () => ({ status: 'ok' as const }),
  );
  app.get(WEB_SOCKET, { schema: { hide: true } }, async () => {
    throw new GochatError('UPGRADE_REQUIRED');
  });
  answerOtherMethods();
  return app;
}

/** Returns the caller's name of a request, else a new one. */
function requestId(given: string | readonly string[] | undefined): string {
  return typeof given === 'string' && REQUEST_ID.test(given) ? given : randomUUID();
}

/** Returns the OpenAPI document of the server. */
export async function describeApi(): Promise<object> {
  const app = await createApp({
    // No route is called.
    state: {} as State,
    logger: silentLogger,
    proxies: new TrustedProxies(''),
    cors: new Cors(''),
    isDraining: () => false,
    openId: undefined,
    limit: new RequestLimit({ perSecond: 0, burst: 1 }),
    certificate: undefined,
    page: undefined,
    gatewayList: undefined,
  });
  await app.ready();
  const document = app.swagger();
  await app.close();
  return document;
}
