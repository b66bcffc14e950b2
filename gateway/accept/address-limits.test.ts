import { expect, test } from 'vitest';
import { AddressLimits, type AddressLimitSettings, type Origin } from './address-limits.ts';
import { MAX_IDLE_ORIGINS } from '../limits.ts';

const SETTINGS: AddressLimitSettings = {
  maxConnectionsPerAddress: 2,
  connectsPerSecond: 1,
  loginFailuresPerMinute: 3,
  exemptAddresses: '10.0.0.0/8',
};

let nowMs = 0;
function make(settings: Partial<AddressLimitSettings> = {}): AddressLimits {
  return new AddressLimits({ ...SETTINGS, ...settings }, () => nowMs);
}

const isOrigin = (entered: unknown): entered is Origin => typeof entered === 'object';

test('connections: bounded per address', () => {
  const limits = make();
  const first = limits.enter('192.0.2.1') as Origin;
  limits.enter('192.0.2.1');
  expect(limits.enter('192.0.2.1')).toBe('address_connections');
  expect(limits.enter('192.0.2.2')).toBeTypeOf('object');
  limits.leave(first);
  expect(limits.enter('192.0.2.1')).toBe(first);
});

test('IPv6: addresses of one /64 count together', () => {
  const limits = make();
  limits.enter('2001:db8::1');
  limits.enter('2001:db8::2');
  expect(limits.enter('2001:db8::3')).toBe('address_connections');
  expect(limits.enter('2001:db8:0:1::1')).toBeTypeOf('object');
});

test('churn: new connections use up the rate, and time restores it', () => {
  const limits = make();
  let taken = 0;
  for (let i = 0; i < 100; i++) {
    const origin = limits.enter('192.0.2.1');
    if (typeof origin !== 'object') continue;
    taken++;
    limits.leave(origin);
  }
  expect(taken).toBe(10);
  expect(limits.enter('192.0.2.1')).toBe('address_connects');
  nowMs += 1000;
  expect(limits.enter('192.0.2.1')).toBeTypeOf('object');
});

test('failing logins: others are checked first, and connections are still accepted', () => {
  const limits = make({ maxConnectionsPerAddress: 100 });
  const origin = limits.enter('192.0.2.1') as Origin;
  for (let i = 0; i < 3; i++) {
    expect(limits.failsOften(origin)).toBe(false);
    limits.onLoginFailed(origin);
  }
  expect(limits.failsOften(origin)).toBe(true);
  expect(limits.enter('192.0.2.1')).toBe(origin);
  nowMs += 20_000;
  expect(limits.failsOften(origin)).toBe(false);
  expect(limits.enter('192.0.2.1')).toBe(origin);
});

test('changed rates: apply to known addresses too', () => {
  const settings = { ...SETTINGS, maxConnectionsPerAddress: 100 };
  const limits = new AddressLimits(settings, () => nowMs);
  const connect = () => Array.from({ length: 100 }, () => limits.enter('192.0.2.1')).filter(isOrigin).length;
  expect(connect()).toBe(10);
  settings.connectsPerSecond = 5;
  nowMs += 2000;
  expect(connect()).toBe(10);
  settings.connectsPerSecond = 1;
  nowMs += 60_000;
  expect(connect()).toBe(10);
  const origin = limits.enter('192.0.2.2') as Origin;
  for (let i = 0; i < 3; i++) limits.onLoginFailed(origin);
  settings.loginFailuresPerMinute = 60;
  nowMs += 1000;
  expect(limits.failsOften(origin)).toBe(false);
});

test('exempt addresses: are not counted', () => {
  const limits = make();
  for (let i = 0; i < 100; i++) expect(limits.enter('10.1.2.3')).toBeUndefined();
  expect(limits.failsOften(undefined)).toBe(false);
  limits.onLoginFailed(undefined);
  limits.leave(undefined);
  expect(limits.size).toBe(0);
});

test('addresses without a connection: remembered up to a bound, forgotten once their rates are restored', () => {
  const limits = make();
  for (let i = 0; i < MAX_IDLE_ORIGINS + 100; i++)
    limits.leave(limits.enter(`192.${(i >> 16) & 255}.${(i >> 8) & 255}.${i & 255}`) as Origin);
  expect(limits.size).toBe(MAX_IDLE_ORIGINS);
  const late = limits.enter('198.51.100.1') as Origin;
  nowMs += 3_600_000;
  limits.leave(late);
  expect(limits.size).toBe(MAX_IDLE_ORIGINS);
});
