import { describe, expect, test } from 'vitest';
import {
  CATALOGUE,
  type CodeWithDetails,
  describe as sentence,
  type ErrorCode,
  GochatError,
  isPlainErrorCode,
} from './errors.ts';

describe('catalogue', () => {
  const entries = Object.entries(CATALOGUE) as [string, { close?: number }][];

  test('close codes: in the private range of RFC 6455 or 1000, none used twice', () => {
    const codes = entries.flatMap(([, { close }]) => (close === undefined ? [] : [close]));
    expect(codes.length).toBeGreaterThan(10);
    expect(new Set(codes).size).toBe(codes.length);
    for (const code of codes) expect(code === 1000 || (code >= 4000 && code <= 4999)).toBe(true);
  });

  test('sentences: message and remedy end with a full stop', () => {
    for (const [code, entry] of Object.entries(CATALOGUE)) {
      // Where the message is only {what}, whoever throws it gives the sentence.
      expect(`${code} ${entry.message}`).toMatch(/(\.| \{what\})$/);
      expect(`${code} ${entry.remedy}`).toMatch(/\.$/);
    }
  });

  test('details: no placeholder stays unfilled, whatever the code', () => {
    for (const [code, { message, remedy }] of Object.entries(CATALOGUE)) {
      const names = [...`${message} ${remedy}`.matchAll(/\{(\w+)\}/g)].map(([, name = '']) => name);
      const told = Object.fromEntries(names.map((name) => [name, `<${name}>`]));
      const text = sentence({ code, details: told } as CodeWithDetails);
      expect(text).not.toMatch(/[{}]/);
      for (const name of names) expect(text).toContain(`<${name}>`);
      // What another process has not told is not shown as the name of a field.
      const untold = GochatError.received(code as ErrorCode).message;
      expect(untold).not.toMatch(/[{}]/);
      if (names.length > 0) expect(untold).toContain('?');
      expect(isPlainErrorCode(code)).toBe(names.length === 0);
    }
  });

  test('details: required by the compiler', () => {
    // @ts-expect-error -- {ms} is missing.
    expect(sentence({ code: 'HELLO_TIMEOUT' })).toContain('?');
    // @ts-expect-error -- {reason} is missing.
    expect(new GochatError('KICKED').message).toContain('?');
    // @ts-expect-error -- {max} is missing, {min} is not its name.
    expect(new GochatError('TEXT_TOO_LONG', { details: { min: 1 } }).message).toContain('?');
    expect(new GochatError('TEXT_TOO_LONG', { details: { max: 1 } }).message).not.toContain('?');
  });
});

describe('GochatError', () => {
  test('message: the sentence with details, then the remedy', () => {
    const error = new GochatError('PORT_IN_USE', {
      details: { port: 8900, host: '127.0.0.1', flag: '--port' },
    });
    expect(error.message).toBe(
      'Port 8900 on 127.0.0.1 is in use. Stop what listens there, or choose another port (--port N; 0 takes a free one).',
    );
    expect(sentence({ code: 'TEXT_EMPTY' })).toContain('empty');
  });

  test('from: keeps a GochatError, wraps anything else as INTERNAL with the cause', () => {
    const own = new GochatError('OVERLOADED');
    expect(GochatError.from(own)).toBe(own);
    const cause = new TypeError('x');
    expect(GochatError.from(cause)).toMatchObject({ code: 'INTERNAL', cause });
  });

  test("from: an error of crpc becomes a GochatError with the catalogue's sentences if the catalogue has its code", () => {
    const details = { host: '::1', port: 7, flag: '--port' };
    const told = { grpcStatus: 14, details, retryAfterMs: 5, retryable: false };
    const known = GochatError.from(Object.assign(new Error('in use'), { code: 'PORT_IN_USE', ...told }));
    expect(known).toBeInstanceOf(GochatError);
    expect(known).toMatchObject({ code: 'PORT_IN_USE', details, retryAfterMs: 5, grpcStatus: 14 });
    expect(known.message).toBe(new GochatError('PORT_IN_USE', { details }).message);
    const other = Object.assign(new Error('no tea'), { code: 'OUT_OF_TEA', ...told });
    expect(GochatError.from(other)).toMatchObject({ code: 'INTERNAL', cause: other });
    const system = Object.assign(new Error('x'), { code: 'OVERLOADED' });
    expect(GochatError.known(system)).toBeUndefined();
  });
});
