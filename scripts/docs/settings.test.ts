import { expect, test } from 'vitest';
import { MODES } from '../../cmd/settings.ts';
import { renderSettings, withoutUnit } from './settings.ts';

test('meaning: loses its unit at the end of a part, and nothing else', () => {
  expect(withoutUnit('registry, etcd://HOST', '')).toBe('registry, etcd://HOST');
  expect(withoutUnit('longest drain after TERM, ms', 'ms')).toBe('longest drain after TERM');
  expect(withoutUnit('interval, ms; twice that ends it', 'ms')).toBe('interval; twice that ends it');
  expect(withoutUnit('longest text, bytes of UTF-8', 'bytes')).toBe('longest text, bytes of UTF-8');
});

test('page: has the whole meaning of each setting that has no unit', () => {
  const page = renderSettings();
  const meanings = Object.values(MODES).flatMap((settings) =>
    Object.entries(settings)
      .filter(([key]) => !/ms$|bytes|per(second|minute|s)$|port$/i.test(key))
      .map(([, type]) => (type.description ?? '').replaceAll('|', '\\|')),
  );
  expect(meanings.filter((meaning) => !page.includes(`| ${meaning} |`))).toEqual([]);
});
