import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { renderShapes } from './json-shapes.ts';

test('proto/gen/json-shapes.ts: is what `make proto` writes', () => {
  const file = new URL('../proto/gen/json-shapes.ts', import.meta.url);
  expect(readFileSync(file, 'utf8')).toBe(renderShapes());
});
