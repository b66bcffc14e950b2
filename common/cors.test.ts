import { expect, test } from 'vitest';
import { Cors } from './cors.ts';

const CHAT = 'https://chat.example';

function allowed(origins: string, origin: string | undefined): string | undefined {
  const headers = new Cors(origins).headers(origin);
  const at = headers.indexOf('access-control-allow-origin');
  return at < 0 ? undefined : headers[at + 1];
}

test.each([
  ['', CHAT, undefined],
  ['*', CHAT, '*'],
  ['*', undefined, '*'],
  [CHAT, CHAT, CHAT],
  [`http://localhost:3000, ${CHAT}`, CHAT, CHAT],
  [CHAT, 'https://evil.example', undefined],
  [CHAT, `${CHAT}.evil.example`, undefined],
  [CHAT, 'http://chat.example', undefined],
  [CHAT, 'null', undefined],
  [CHAT, undefined, undefined],
])('origins %j, a page of %s: %s', (origins, origin, expected) => {
  expect(allowed(origins, origin)).toBe(expected);
});

test('named origins: responses have Vary: Origin, allowed or not', () => {
  for (const origin of [CHAT, 'https://evil.example', undefined])
    expect(new Cors(CHAT).headers(origin).slice(0, 2)).toEqual(['vary', 'origin']);
});

test('a preflight: the methods of the path, only for a page that may call', () => {
  expect(new Cors(CHAT).headers(CHAT, 'DELETE, OPTIONS')).toEqual(
    expect.arrayContaining(['access-control-allow-methods', 'DELETE, OPTIONS']),
  );
  expect(new Cors(CHAT).headers('https://evil.example', 'DELETE, OPTIONS')).toEqual(['vary', 'origin']);
});

test.each(['chat.example', 'https://chat.example/', 'https://chat.example/x', 'ws://chat.example', 'null'])(
  '%s: refused as an origin',
  (text) => {
    expect(() => new Cors(`${CHAT},${text}`)).toThrow(text);
  },
);
