import { afterEach, expect, test, vi } from 'vitest';
import { isBareCall, openBareCalls } from './bare-call.ts';

const call = {
  start: () => undefined,
  startRead: () => undefined,
  sendMessageWithContext: () => undefined,
  halfClose: () => undefined,
  cancelWithStatus: () => undefined,
};

afterEach(() => void vi.unstubAllEnvs());

test('the installed grpc-js: its calls are usable; GOCHAT_NATIVE=0 turns it off', () => {
  vi.stubEnv('GOCHAT_NATIVE', '1');
  const warn = vi.fn();
  expect(openBareCalls({ debug: warn, info: warn, warn, error: warn })).toBeTypeOf('function');
  expect(warn).not.toHaveBeenCalled();
  vi.stubEnv('GOCHAT_NATIVE', '0');
  expect(openBareCalls(undefined)).toBeUndefined();
});

test('a call that lacks a method: is not usable', () => {
  expect(isBareCall(call)).toBe(true);
  for (const method of Object.keys(call)) expect(isBareCall({ ...call, [method]: undefined })).toBe(false);
});
