import { expect, test } from 'vitest';
import { gatewaySettings } from './settings.ts';

test('max_frame_bytes: half of what a record of a batch stream may hold, and no more', () => {
  const { maxFrameBytes } = gatewaySettings;
  expect(maxFrameBytes.parse('4194304')).toBe(4_194_304);
  expect(maxFrameBytes.safeParse('4194305').success).toBe(false);
});

test('zone: any text without control characters', () => {
  const { zone } = gatewaySettings;
  for (const name of ['', 'a', 'eu west', '北京']) expect(zone.parse(name)).toBe(name);
  expect(zone.safeParse('a\nb').error?.message).toContain('control characters');
});
