import { expect, test } from 'vitest';
import { CATALOGUE } from '../common/mod.ts';
import { ClientError, LOCAL_ERRORS } from './sdk/mod.ts';

test.each(Object.entries(LOCAL_ERRORS))('%s: the same text as in the catalogue', (code, local) => {
  const { message, remedy, retryable } = CATALOGUE[code as keyof typeof CATALOGUE];
  expect(local).toEqual({ message, remedy, retryable });
});

test('local: fills in the details', () => {
  const error = ClientError.local('TEXT_TOO_LONG', { details: { max: 7 } });
  expect(error.message).toBe('The text is longer than 7 bytes of UTF-8. Split it into shorter messages.');
});
