/** Tests of the URL of spans. Their delivery is tested with crpc, which makes them. */
import { expect, test } from 'vitest';
import { otlpUrl } from './tracing.ts';

test.each([
  ['nothing is set: nowhere', undefined, {}, undefined],
  ['an empty variable: nowhere', undefined, { OTEL_EXPORTER_OTLP_ENDPOINT: '' }, undefined],
  ['the setting: with the path', 'http://c:4318', {}, 'http://c:4318/v1/traces'],
  ['a trailing slash: removed', 'http://c:4318/', {}, 'http://c:4318/v1/traces'],
  ['the variable', undefined, { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://v:1' }, 'http://v:1/v1/traces'],
  [
    'the setting wins over variables',
    'http://c:1',
    { OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'http://t/x' },
    'http://c:1/v1/traces',
  ],
  [
    'the variable for traces: as it is',
    undefined,
    { OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'http://t/x' },
    'http://t/x',
  ],
])('otlpUrl: %s', (_, endpoint, env, expected) => {
  expect(otlpUrl(endpoint, env)).toBe(expected);
});
