import { expect, test } from 'vitest';
import type { SessionId, UserId } from '../../common/mod.ts';
import { SessionLog } from './session-log.ts';

const event = { user: 1n as UserId, session: 2n as SessionId, device: 'phone', gateway: 'gw/0', detail: '' };

test('find: the events of a user or of a session, as they were added, latest last', () => {
  const log = new SessionLog();
  log.add({ ...event, what: 'attached' });
  log.add({ ...event, session: 3n as SessionId, device: 'desk', what: 'attached' });
  log.add({ ...event, what: 'kicked', detail: 'KICKED: spam' });
  expect(log.find(1n).map(({ device, what }) => [device, what])).toEqual([
    ['phone', 'attached'],
    ['desk', 'attached'],
    ['phone', 'kicked'],
  ]);
  expect(log.find(2n)).toEqual([
    { ...event, what: 'attached', atMs: expect.any(Number) },
    { ...event, what: 'kicked', detail: 'KICKED: spam', atMs: expect.any(Number) },
  ]);
  expect(log.find(4n)).toEqual([]);
});

test('beyond 20,000 events: each new one replaces the oldest', () => {
  const log = new SessionLog();
  for (let i = 0; i < 20_003; i++) log.add({ ...event, device: String(i), what: 'left' });
  const devices = log.find(1n).map(({ device }) => device);
  expect(devices).toHaveLength(20_000);
  expect([devices[0], devices.at(-1)]).toEqual(['3', '20002']);
});
