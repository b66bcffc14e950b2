/** The fastify application: routes, validation, errors, API documentation, logs and metrics. */
/* oxlint-disable oxc/no-async-endpoint-handlers -- fastify awaits handlers; the rule is about Express 4. */
import fastifySwagger from '@fastify/swagger';
import fastifySwaggerUi from '@fastify/swagger-ui';
import Fastify, { type FastifyInstance, LogController } from 'fastify';
import {
  createJsonSchemaTransform,
  serializerCompiler,
  validatorCompiler,
  type ZodTypeProvider,
} from 'fastify-type-provider-zod';
import {
  answerUnhandled,
  answerUnreadable,
  type Cors,
  createHttpServer,
  GochatError,
  type Logger,
  pathOf,
  refuseMissingHost,
  type ServerCertificate,
  type TrustedProxies,
} from '../common/mod.ts';
import { BODY_LIMIT, sendError, toGochatError } from './error-answer.ts';
import { ApiMetrics } from './metrics.ts';
import { collectMethods } from './other-methods.ts';
import { RefusalDelay } from './refusal-delay.ts';
import { authRoutes } from './routes/auth.ts';
import { deprecatedRoutes } from './routes/deprecated.ts';
import { messageRoutes } from './routes/messages.ts';
import { listRoutes, roomRoutes } from './routes/rooms.ts';
import { selfRoutes } from './routes/self.ts';
import { userRoutes } from './routes/users.ts';
import { Health } from './schemas/basic.ts';
import type { State } from './state.ts';

/** Largest request headers: enough for a token and a browser's headers. Bytes. */
const MAX_HEADER_BYTES = 16_384;
/** Path of the documentation page, whose assets this server serves too. */
const DOCS = '/docs';
/** Base of the paths, with their version. */
const BASE = '/api/v1';

export interface AppOptions {
  readonly state: State;
  readonly logger: Logger;
  readonly proxies: TrustedProxies;
  readonly cors: Cors;
  readonly isDraining: () => boolean;
  /** Certificate of the port; undefined: no TLS. */
  readonly certificate: ServerCertificate | undefined;
}

export type App = Awaited<ReturnType<typeof createApp>>;

/** Builds the application; it does not listen yet. */
export async function createApp(options: AppOptions) {
  const metrics = new ApiMetrics();
  const { cors } = options;
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
        },
        options.certificate,
        handler,
      ),
    loggerInstance: options.logger,
    // The server logs its own line per answer.
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: BODY_LIMIT,
    return503OnClosing: false,
    forceCloseConnections: 'idle',
    onProtoPoisoning: 'remove',
    onConstructorPoisoning: 'remove',
    frameworkErrors: (error, _request, reply) => {
      sendError(reply, toGochatError(error));
    },
    clientErrorHandler: (error, socket) => answerUnreadable(error, socket, MAX_HEADER_BYTES),
  }).withTypeProvider<ZodTypeProvider>();
  answerUnhandled(app.server);
  // It does not depend on the types of logger and validator.
  const answerOtherMethods = collectMethods(app as unknown as FastifyInstance, cors);

  app.setValidatorCompiler(validatorCompiler);
  app.setSerializerCompiler(serializerCompiler);
  app.setNotFoundHandler((request, reply) =>
    sendError(
      reply,
      new GochatError('ROUTE_NOT_FOUND', { details: { name: `${request.method} ${pathOf(request.raw)}` } }),
    ),
  );
  const refusalDelay = new RefusalDelay();
  app.setErrorHandler(async (thrown, request, reply) => {
    const error = toGochatError(thrown);
    if (error.code === 'RATE_LIMITED') await refusalDelay.pass(reply);
    if (error.entry.http >= 500) request.log.error({ err: error, code: error.code }, 'request failed');
    return sendError(reply, error);
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

  await app.register(fastifySwagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'GoChat API',
        version: '1.0.0',
        description:
          'Accounts, rooms and messages over HTTP. What others send is pushed over the gateway (docs/protocol.md). ' +
          'Every error is {code, message, retry_after_ms?}; docs/errors.md lists the codes.',
      },
      components: { securitySchemes: { token: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' } } },
      security: [{ token: [] }],
    },
    transform: createJsonSchemaTransform({}),
  });
  await app.register(fastifySwaggerUi, {
    routePrefix: DOCS,
    // Without this the page calls a validator on the internet.
    uiConfig: { validatorUrl: null, persistAuthorization: true },
    logLevel: 'warn',
  });

  await app.register(authRoutes({ state: options.state, proxies: options.proxies, cors }));
  for (const routes of [listRoutes, roomRoutes, messageRoutes, userRoutes, selfRoutes])
    await app.register(routes(options.state), { prefix: BASE });
  await app.register(deprecatedRoutes(options.state));
  app.get(
    '/healthz',
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
  answerOtherMethods();
  return app;
}
