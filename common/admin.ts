/** The admin port of a process: /livez, /readyz and /metrics for machines, further paths for operators. */
import { createHash, timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { GochatError } from './errors.ts';
import {
  answerUnhandled,
  answerUnreadable,
  answerWith,
  methodNotAllowed,
  refuseMissingHost,
  refuseRequest,
} from './http.ts';
import { once, type Server } from './lifecycle.ts';
import { listenAt } from './listen.ts';
import type { Logger } from './logger.ts';
import { handleMetrics } from './metrics.ts';

const MAX_HEADER_BYTES = 8192;
/** Headers that show that a request comes from another machine or a web page. */
const REMOTE = ['origin', 'x-forwarded-for', 'forwarded', 'via'] as const;
/** Base URL for parsing a request's target. */
const BASE = 'http://admin';

export type AdminHandler = (
  request: IncomingMessage,
  response: ServerResponse,
  url: URL,
) => void | Promise<void>;

/** Paths that change something or show users' data, by method and path: `POST /drain`. */
export type OperatorRoutes = Readonly<Record<`${'GET' | 'POST'} /${string}`, AdminHandler>>;

export interface AdminOptions {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  /** Servers that must all be ready. Read at each request, so more can be added. */
  readonly servers: readonly Pick<Server, 'name' | 'readiness' | 'liveness'>[];
  readonly logger: Logger;
  /** Further GET paths, open to anyone who reaches the port. */
  readonly routes?: Readonly<Record<string, AdminHandler>>;
  /** Paths for operators only: callers on this machine, or with the admin token as a bearer token. */
  readonly operatorRoutes?: OperatorRoutes;
  readonly adminToken?: string | undefined;
}

export interface AdminServer extends AsyncDisposable {
  /** Listening address, host:port. */
  readonly address: string;
  /** Adds paths to the running server. */
  add(routes: NonNullable<AdminOptions['routes']>, operatorRoutes: OperatorRoutes): void;
  close(): Promise<void>;
}

interface Route {
  readonly handler: AdminHandler;
  readonly isForOperators: boolean;
}

/** Starts the admin port. @throws GochatError PORT_IN_USE */
export async function startAdmin(options: AdminOptions): Promise<AdminServer> {
  const routes: Record<string, AdminHandler> = {
    // Live means that the event loop and the workers turn. Engines do not count: a broken one must not restart this process.
    '/livez': (_, response) =>
      answerHealth(
        response,
        'not live',
        reasonsOf(options.servers, (server) => server.liveness?.()),
      ),
    '/readyz': (_, response) =>
      answerHealth(
        response,
        'not ready',
        reasonsOf(options.servers, (server) => server.readiness()),
      ),
    '/metrics': (request, response) => handleMetrics(request, response),
    ...options.routes,
  };
  const table = new Map<string, Route>();
  const add: AdminServer['add'] = (open, operatorRoutes) => {
    for (const [path, handler] of Object.entries(open))
      table.set(`GET ${path}`, { handler, isForOperators: false });
    for (const [route, handler] of Object.entries(operatorRoutes))
      table.set(route, { handler, isForOperators: true });
  };
  add(routes, options.operatorRoutes ?? {});
  const server = { requestTimeout: 10_000, maxHeaderSize: MAX_HEADER_BYTES, requireHostHeader: false };
  const http = createServer(server, (request, response) => {
    const missingHost = refuseMissingHost(request);
    if (missingHost) return answerWith(response, missingHost);
    const { url: target = '/', method = 'GET' } = request;
    if (!URL.canParse(target, BASE)) return answerWith(response, refuseRequest('The address'));
    const url = new URL(target, BASE);
    const path = url.pathname;
    const route = table.get(`${method === 'HEAD' ? 'GET' : method} ${path}`);
    if (route === undefined) return answerOther(request, response, path, methodsAt(table, path));
    if (route.isForOperators && !isOperator(request, options.adminToken))
      return answerWith(response, { error: new GochatError('OPERATOR_ONLY') });
    void (async () => route.handler(request, response, url))().catch((thrown: unknown) => {
      const error = GochatError.from(thrown);
      if (error.code === 'INTERNAL') options.logger.error({ err: thrown, path }, 'admin request failed');
      if (response.headersSent) response.destroy();
      else answerWith(response, { error });
    });
  });
  http.on('clientError', (error, socket) => answerUnreadable(error, socket, MAX_HEADER_BYTES));
  answerUnhandled(http);
  const { host, port, logger } = options;
  const address = await listenAt(http, { host, port, flag: '--admin-port' }, logger);
  logger.info({ address }, 'admin port listens');
  const close = once(
    () =>
      new Promise<void>((resolve) => {
        http.close(() => resolve());
        http.closeAllConnections();
      }),
  );
  return { address, add, close, [Symbol.asyncDispose]: close };
}

/** Answers with a JSON body; 64-bit ids must be strings already. */
export function json(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

interface Reason {
  readonly server: string;
  readonly reason: string;
}

function reasonsOf<S extends { readonly name: string }>(
  servers: readonly S[],
  ask: (server: S) => string | undefined,
): Reason[] {
  return servers.flatMap((server) => {
    const reason = ask(server);
    return reason === undefined ? [] : [{ server: server.name, reason }];
  });
}

function answerHealth(response: ServerResponse, otherwise: string, reasons: readonly Reason[]): void {
  const isWell = reasons.length === 0;
  json(response, isWell ? 200 : 503, { status: isWell ? 'ok' : otherwise, reasons });
}

/** Returns the methods of a path, comma-separated; empty if the path has no route. */
function methodsAt(table: ReadonlyMap<string, Route>, path: string): string {
  const own = ['GET', 'POST'].filter((method) => table.has(`${method} ${path}`));
  if (own.length === 0) return '';
  return [...own, ...(own.includes('GET') ? ['HEAD'] : []), 'OPTIONS'].sort().join(', ');
}

/** Answers a request without a route. @param allow the methods of the path */
function answerOther(request: IncomingMessage, response: ServerResponse, path: string, allow: string): void {
  const details = { name: `${request.method} ${path}` };
  if (allow === '') answerWith(response, { error: new GochatError('ROUTE_NOT_FOUND', { details }) });
  else if (request.method === 'OPTIONS') response.writeHead(204, { allow }).end();
  else answerWith(response, methodNotAllowed(request, path, allow));
}

/**
 * Returns whether the caller is an operator: it has the admin token, or is a local process, which could stop this one
 * anyway. A web page in a local browser is not an operator, and is recognised by the Origin header of its POST. Neither is
 * a client of a local proxy.
 */
function isOperator(request: IncomingMessage, adminToken: string | undefined): boolean {
  const shown = /^Bearer +(.+)$/i.exec(request.headers.authorization ?? '')?.[1];
  if (shown !== undefined) return adminToken !== undefined && sameSecret(shown, adminToken);
  const address = request.socket.remoteAddress ?? '';
  const isHere = address === '::1' || /^(::ffff:)?127(\.\d{1,3}){3}$/.test(address);
  return (
    isHere && !REMOTE.some((name) => request.headers[name] !== undefined) && isLocalName(request.headers.host)
  );
}

/** Stops DNS rebinding: a page whose name resolves to this machine still sends that name as Host. */
function isLocalName(host = ''): boolean {
  return /^(localhost|\[::1\]|127(\.\d{1,3}){3})(:\d+)?$/.test(host);
}

/** Compares two secrets in constant time. */
function sameSecret(left: string, right: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(left), digest(right));
}
