/** Answers of ipconf: JSON as bytes with their headers, so that serving one costs no more than a write. */
import type { ServerResponse } from 'node:http';
import { CATALOGUE, describe, type ErrorCode, type ErrorDetails } from '../common/mod.ts';

export type Headers = Readonly<Record<string, string | number>>;

/** An answer that can be written any number of times. */
export interface Answer {
  readonly code: string;
  readonly status: number;
  readonly body: Buffer;
  readonly headers: Headers;
}

const CORS = {
  'access-control-allow-origin': '*',
  'access-control-expose-headers': 'retry-after',
};

export function jsonAnswer(code: string, status: number, value: unknown, more: Headers = {}): Answer {
  const body = Buffer.from(JSON.stringify(value));
  return {
    code,
    status,
    body,
    headers: {
      'content-type': 'application/json; charset=utf-8',
      'content-length': body.length,
      'cache-control': 'no-store',
      ...CORS,
      ...more,
    },
  };
}

export interface ErrorAnswerOptions {
  readonly details?: ErrorDetails;
  /** Instead of the catalogue's. */
  readonly status?: number;
  readonly retryAfterMs?: number;
  readonly headers?: Headers;
}

/** Returns the catalogue's answer for a code; `retry_after` is in seconds like the header. */
export function errorAnswer(code: ErrorCode, options: ErrorAnswerOptions = {}): Answer {
  const seconds = options.retryAfterMs === undefined ? undefined : Math.ceil(options.retryAfterMs / 1000);
  return jsonAnswer(
    code,
    options.status ?? CATALOGUE[code].http,
    {
      code,
      message: describe(code, options.details),
      ...(seconds === undefined ? {} : { retry_after: seconds, retry_after_ms: options.retryAfterMs }),
    },
    { ...(seconds === undefined ? {} : { 'retry-after': seconds }), ...options.headers },
  );
}

/** The answer to a CORS preflight. */
export const PREFLIGHT: Answer = {
  code: 'OK',
  status: 204,
  body: Buffer.alloc(0),
  headers: {
    ...CORS,
    'access-control-allow-methods': 'GET, HEAD, POST, OPTIONS',
    'access-control-allow-headers': 'content-type',
    'access-control-max-age': '86400',
  },
};

export function write(response: ServerResponse, answer: Answer, isHead = false): void {
  response.writeHead(answer.status, answer.headers);
  response.end(isHead ? undefined : answer.body);
}
