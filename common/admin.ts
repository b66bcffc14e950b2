/** The admin port of a process: /livez, /readyz and /metrics, apart from what users reach. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { GochatError } from './errors.ts';
import { once, type Server } from './lifecycle.ts';
import type { Logger } from './logger.ts';
import { handleMetrics } from './metrics.ts';

export type AdminHandler = (request: IncomingMessage, response: ServerResponse, url: URL) => void;

export interface AdminOptions {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  /** Whose readiness counts; all must be ready. */
  readonly servers: readonly Server[];
  readonly logger: Logger;
  /** Further GET paths. */
  readonly routes?: Readonly<Record<string, AdminHandler>>;
}

export interface AdminServer extends AsyncDisposable {
  /** host:port that it listens on. */
  readonly address: string;
  close(): Promise<void>;
}

/** Starts the admin port. @throws GochatError PORT_IN_USE */
export async function startAdmin(options: AdminOptions): Promise<AdminServer> {
  const routes: Record<string, AdminHandler> = {
    // Alive means that the event loop turns; nothing else is asked, so that a broken engine restarts nothing.
    '/livez': (_, response) => json(response, 200, { status: 'ok' }),
    '/readyz': (_, response) => {
      const reasons = options.servers.flatMap((server) => {
        const reason = server.readiness();
        return reason === undefined ? [] : [{ server: server.name, reason }];
      });
      json(response, reasons.length === 0 ? 200 : 503, {
        status: reasons.length === 0 ? 'ok' : 'not ready',
        reasons,
      });
    },
    '/metrics': (request, response) => handleMetrics(request, response),
    ...options.routes,
  };
  const http = createServer({ requestTimeout: 10_000, maxHeaderSize: 8192 }, (request, response) => {
    const url = new URL(request.url ?? '/', 'http://admin');
    const route = Object.hasOwn(routes, url.pathname) ? routes[url.pathname] : undefined;
    if (!route)
      json(response, 404, { code: 'ROUTE_NOT_FOUND', message: `There is nothing at ${url.pathname}.` });
    else if (request.method !== 'GET' && request.method !== 'HEAD')
      json(response, 405, { code: 'ROUTE_NOT_FOUND', message: 'Use GET.' });
    else route(request, response, url);
  });
  const address = await listen(http, options.host, options.port, '--admin-port');
  options.logger.info({ address }, 'admin port listens');
  const close = once(
    () =>
      new Promise<void>((resolve) => {
        http.close(() => resolve());
        http.closeAllConnections();
      }),
  );
  return { address, close, [Symbol.asyncDispose]: close };
}

/** Listens and returns host:port. @throws GochatError PORT_IN_USE or LISTEN_FAILED, naming the flag */
export async function listen(
  server: {
    listen(port: number, host: string): unknown;
    address(): AddressInfo | string | null;
  } & NodeJS.EventEmitter,
  host: string,
  port: number,
  flag: string,
): Promise<string> {
  await new Promise<void>((resolve, reject) => {
    const failed = (cause: NodeJS.ErrnoException) => {
      reject(
        new GochatError(cause.code === 'EADDRINUSE' ? 'PORT_IN_USE' : 'LISTEN_FAILED', {
          details: { host, port, flag, reason: cause.code ?? cause.message },
          cause,
        }),
      );
    };
    server.once('error', failed);
    server.once('listening', () => {
      server.off('error', failed);
      resolve();
    });
    server.listen(port, host);
  });
  return formatAddress(host, (server.address() as AddressInfo).port);
}

/** host:port, with brackets around an IPv6 host. */
export function formatAddress(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

function json(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}
