/** Helpers of all HTTP ports: the one error shape, also for the requests that node:http rejects by itself. */
import { type IncomingMessage, type Server, type ServerResponse, STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import { GochatError } from './errors.ts';

/** An error with its HTTP status. */
export interface HttpRefusal {
  readonly error: GochatError;
  /** @default the catalogue's */
  readonly status?: number;
  /** Name, value, name, value… */
  readonly headers?: readonly string[];
}

/** Media type of an error's body. */
export const PROBLEM_TYPE = 'application/problem+json';

/** The body of every error over HTTP: problem details (RFC 9457), whose `code` says what `type` would. */
export interface Problem {
  readonly type: 'about:blank';
  /** The phrase of the status. */
  readonly title: string;
  readonly status: number;
  /** Code of the catalogue. */
  readonly code: string;
  /** Cause and remedy, for people. */
  readonly message: string;
  readonly retry_after_ms?: number;
}

export function problemOf({ code, message, retryAfterMs }: GochatError, status: number): Problem {
  return {
    type: 'about:blank',
    title: STATUS_CODES[status] ?? '',
    status,
    code,
    message,
    ...(retryAfterMs !== undefined && { retry_after_ms: retryAfterMs }),
  };
}

/** Refuses a method that a path does not have. @param allow the methods of the path, comma-separated */
export function methodNotAllowed(request: IncomingMessage, path: string, allow: string): HttpRefusal {
  const details = { method: request.method ?? '', name: path };
  return { error: new GochatError('METHOD_NOT_ALLOWED', { details }), headers: ['allow', allow] };
}

/** Returns the bearer token of an Authorization header (RFC 6750 section 2.1); undefined if it has another form. */
export function bearerToken(header: string | undefined): string | undefined {
  return /^Bearer +([A-Za-z0-9._~+/-]+=*)$/i.exec(header ?? '')?.[1];
}

/** Returns the path of a request, without its query. */
export function pathOf({ url = '/' }: IncomingMessage): string {
  const query = url.indexOf('?');
  return query < 0 ? url : url.slice(0, query);
}

/**
 * Refuses an HTTP/1.1 request without Host (RFC 9112 section 3.2). Turn Node's `requireHostHeader` off: it refuses
 * without a body.
 */
export function refuseMissingHost(request: IncomingMessage): HttpRefusal | undefined {
  if (request.headers.host !== undefined || request.httpVersion !== '1.1') return undefined;
  return refuseRequest('A request without the header Host');
}

/** Returns the answer to bytes that node:http could not parse; undefined if the peer can no longer read one. */
export function refuseUnreadable(
  error: NodeJS.ErrnoException,
  socket: Duplex,
  maxHeaderBytes: number,
): HttpRefusal | undefined {
  if (error.code === 'ECONNRESET' || !socket.writable) return undefined;
  if (error.code === 'HPE_HEADER_OVERFLOW')
    return { error: new GochatError('REQUEST_TOO_LARGE', { details: { max: maxHeaderBytes } }), status: 431 };
  if (error.code === 'ERR_HTTP_REQUEST_TIMEOUT')
    return { error: new GochatError('DEADLINE_EXCEEDED'), status: 408 };
  return refuseRequest('The HTTP request');
}

/** Refuses an Expect that is not `100-continue`. */
export function refuseExpectation(): HttpRefusal {
  return { ...refuseRequest('The header Expect'), status: 417, headers: ['connection', 'close'] };
}

/** Answers bytes that node:http could not parse as a request; a handler of its event `clientError`. */
export function answerUnreadable(error: NodeJS.ErrnoException, socket: Duplex, maxHeaderBytes: number): void {
  const refusal = refuseUnreadable(error, socket, maxHeaderBytes);
  if (refusal === undefined) socket.destroy();
  else endWith(socket, refusal);
}

/** Answers CONNECT and an unknown Expect, which node:http does not pass to the request handler, with the error shape. */
export function answerUnhandled(server: Server): void {
  server.on('connect', (request, socket) =>
    endWith(socket, methodNotAllowed(request, pathOf(request), 'GET')),
  );
  server.on('checkExpectation', (_request, response) => answerWith(response, refuseExpectation()));
}

/** Answers a request with the error shape. */
export function answerWith(response: ServerResponse, refusal: HttpRefusal): void {
  const { status, headers, body } = answerTo(refusal);
  response.writeHead(status, headers).end(body);
}

/** Answers on a connection that has no response object, and ends it. */
export function endWith(socket: Duplex, refusal: HttpRefusal): void {
  // After CONNECT the socket has no other error handler.
  socket.on('error', () => socket.destroy());
  socket.end(answerText(refusal), () => socket.destroy());
}

/** Encodes an answer that ends its connection. */
export function answerText(refusal: HttpRefusal): string {
  const { status, headers, body } = answerTo(refusal);
  let head = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\n`;
  for (let i = 0; i < headers.length; i += 2) head += `${headers[i]}: ${headers[i + 1]}\r\n`;
  return `${head}connection: close\r\n\r\n${body}`;
}

function answerTo({ error, status = error.entry.http, headers = [] }: HttpRefusal) {
  const { retryAfterMs } = error;
  const body = JSON.stringify(problemOf(error, status));
  const all = ['content-type', PROBLEM_TYPE, 'content-length', String(Buffer.byteLength(body))];
  if (retryAfterMs !== undefined)
    all.push('retry-after', String(Math.max(1, Math.ceil(retryAfterMs / 1000))));
  all.push(...headers);
  return { status, headers: all, body };
}

/** Refuses an invalid request. @param what the subject of the sentence that people read */
export function refuseRequest(what: string): HttpRefusal {
  return { error: new GochatError('ARGUMENT_INVALID', { details: { what } }) };
}
