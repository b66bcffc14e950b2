import { expect, test } from 'vitest';
import { renderSettings, withoutUnit } from './settings.ts';

test('meaning: loses its unit at the end of a part, and nothing else', () => {
  expect(withoutUnit('registry, etcd://HOST', '')).toBe('registry, etcd://HOST');
  expect(withoutUnit('longest drain after TERM, ms', 'ms')).toBe('longest drain after TERM');
  expect(withoutUnit('interval, ms; twice that ends it', 'ms')).toBe('interval; twice that ends it');
  expect(withoutUnit('longest text, bytes of UTF-8', 'bytes')).toBe('longest text, bytes of UTF-8');
});

test('page: has the whole meaning of a setting', () => {
  const page = renderSettings();
  expect(page).toContain('registry, etcd://[USER:PASSWORD@]');
  expect(page).toContain('longest text of a message, bytes of UTF-8; gateways get it from state');
  expect(page).toContain('| `5000` | ms | how long to wait at start for engines that do not answer yet |');
});
