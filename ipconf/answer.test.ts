import { PassThrough } from 'node:stream';
import { expect, test } from 'vitest';
import { errorAnswer, toAscii, writeLast } from './answer.ts';

test('an answer without a request: is complete and ends the connection', () => {
  const socket = new PassThrough();
  writeLast(socket, errorAnswer('RATE_LIMITED', { retryAfterMs: 1500 }));
  const text = String(socket.read());
  expect(text).toMatch(/^HTTP\/1\.1 429 RATE_LIMITED\r\n[^]*connection: close\r\n\r\n{"code":"RATE_LIMITED"/);
  expect(text).toContain('retry-after: 2\r\n');
});

test('a connection that breaks meanwhile: no unhandled error', () => {
  const socket = new PassThrough();
  writeLast(socket, errorAnswer('RATE_LIMITED'));
  expect(socket.listenerCount('error')).toBeGreaterThan(0);
  socket.destroy(new Error('reset'));
});

test('text beyond ASCII: escaped, so that its length in characters is its length in bytes', () => {
  expect(toAscii({ zone: '北京' })).toBe('{"zone":"\\u5317\\u4eac"}');
});
