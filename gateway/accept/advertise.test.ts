import { expect, test } from 'vitest';
import { clientAddress } from './advertise.ts';

test('clientAddress: what the port listens on, unless the operator says otherwise', () => {
  const listens = { host: '10.0.0.7', port: 8900, tls: false };
  expect(clientAddress(listens, {})).toEqual(listens);
  const advertised = { host: 'chat.example', port: 443, tls: true };
  expect(clientAddress(listens, advertised)).toEqual(advertised);
  expect(clientAddress({ ...listens, tls: true }, { tls: false })).toEqual(listens);
  expect(clientAddress({ ...listens, port: 'off' }, advertised)).toBeUndefined();
});
