/** Answers of ipconf: JSON and headers, ready to be written. */
import type { ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import {
  CATALOGUE,
  type CodeWithDetails,
  describe,
  GochatError,
  type HttpRefusal,
  type PlainErrorCode,
} from '../common/mod.ts';

export interface Answer {
  /** From the catalogue, or OK. */
  readonly code: string;
  readonly status: number;
  /** ASCII; JSON escapes the rest. */
  readonly body: string;
  /** Further headers: name, value, name, value… */
  readonly headers?: readonly string[];
}

const COMMON = [
  'content-type',
  'application/json; charset=utf-8',
  'cache-control',
  'no-store',
  'content-length',
];

/** Encodes JSON in ASCII, so that its length is its size in bytes. */
export function toAscii(value: unknown): string {
  return JSON.stringify(value).replace(
    /[\u007f-\uffff]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

export function okAnswer(body: string): Answer {
  return { code: 'OK', status: 200, body };
}

export interface ErrorAnswerOptions {
  /** Overrides the catalogue's status. */
  readonly status?: number;
  readonly retryAfterMs?: number;
  readonly headers?: readonly string[];
}

/** Returns the answer for a code; `retry_after` is in seconds, like the header. */
export function errorAnswer(
  said: PlainErrorCode | CodeWithDetails,
  options: ErrorAnswerOptions = {},
): Answer {
  const whole = typeof said === 'string' ? { code: said } : said;
  const { code } = whole;
  const { retryAfterMs, headers = [] } = options;
  const seconds = retryAfterMs === undefined ? undefined : Math.ceil(retryAfterMs / 1000);
  const hint = seconds === undefined ? {} : { retry_after: seconds, retry_after_ms: retryAfterMs };
  return {
    code,
    status: options.status ?? CATALOGUE[code].http,
    body: toAscii({ code, message: describe(whole), ...hint }),
    headers: seconds === undefined ? headers : ['retry-after', String(seconds), ...headers],
  };
}

/** Returns the answer for any error. */
export function answerOf(thrown: unknown, more: Omit<HttpRefusal, 'error'> = {}): Answer {
  const { said, retryAfterMs } = GochatError.from(thrown);
  return errorAnswer(said, { ...more, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) });
}

/** Returns the answer for a refusal. */
export function refusalAnswer({ error, ...more }: HttpRefusal): Answer {
  return answerOf(error, more);
}

/** Returns the answer to OPTIONS. @param allow comma-separated methods @param cors further headers, see Cors */
export function optionsAnswer(allow: string, cors: readonly string[]): Answer {
  return { code: 'OK', status: 204, body: '', headers: ['allow', allow, ...cors] };
}

/** Returns all headers of an answer as a flat list, the fastest form for node:http. @param cors see Cors */
function headersOf(answer: Answer, cors: readonly string[]): string[] {
  return [...COMMON, String(answer.body.length), ...cors, ...(answer.headers ?? [])];
}

/** Answers on a connection for which node:http has no request, and ends it. */
export function writeLast(socket: Duplex, answer: Answer): void {
  const flat = [...headersOf(answer, []), 'connection', 'close'];
  let head = `HTTP/1.1 ${answer.status} ${answer.code}\r\n`;
  for (let i = 0; i < flat.length; i += 2) head += `${flat[i]}: ${flat[i + 1]}\r\n`;
  // After CONNECT the socket has no other error handler.
  socket.on('error', () => socket.destroy());
  socket.end(`${head}\r\n${answer.body}`, () => socket.destroy());
}

export function write(
  response: ServerResponse,
  answer: Answer,
  isHead = false,
  cors: readonly string[] = [],
): void {
  response.writeHead(answer.status, headersOf(answer, cors));
  response.end(isHead ? '' : answer.body, 'latin1');
}
