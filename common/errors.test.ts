import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { renderErrors } from '../scripts/errors-doc.ts';
import { CATALOGUE, describe as sentence, GochatError } from './errors.ts';

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

  test('docs/errors.md: is what the generator writes (make errors-doc)', () => {
    expect(readFileSync(new URL('../docs/errors.md', import.meta.url), 'utf8')).toBe(renderErrors());
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
    expect(sentence('TEXT_EMPTY')).toContain('empty');
  });

  test('from: keeps its own kind, wraps anything else as INTERNAL with the cause', () => {
    const own = new GochatError('OVERLOADED');
    expect(GochatError.from(own)).toBe(own);
    const cause = new TypeError('x');
    expect(GochatError.from(cause)).toMatchObject({ code: 'INTERNAL', cause });
  });
});
