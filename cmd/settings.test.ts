import { expect, test } from 'vitest';
import { textBytesIn } from '../proto/mod.ts';
import { loadConfig } from './configuration.ts';
import { gatewaySettings, MODES, stateSettings } from './settings.ts';

test('max_frame_bytes: half of what a record of a batch stream may hold, and no more', () => {
  const { maxFrameBytes } = gatewaySettings;
  expect(maxFrameBytes.parse('4194304')).toBe(4_194_304);
  expect(maxFrameBytes.safeParse('4194305').success).toBe(false);
});

test('max_text_bytes: of state, and no more than a page and a frame hold; a gateway says where it is', () => {
  const { maxTextBytes } = stateSettings;
  expect(maxTextBytes.parse('65536')).toBe(65_536);
  expect(maxTextBytes.safeParse('240000').error?.message).toContain('from 1 to 65536');
  expect(textBytesIn(gatewaySettings.maxFrameBytes.parse(undefined))).toBeGreaterThan(65_536);
  const flags = { maxTextBytes: '1000' };
  expect(() => loadConfig('gateway', MODES, gatewaySettings, { flags, env: {}, file: undefined })).toThrow(
    'gateway has no flag --max-text-bytes; it is a setting of state and up',
  );
});

test('zone: any text without control characters', () => {
  const { zone } = gatewaySettings;
  for (const name of ['', 'a', 'eu west', '北京']) expect(zone.parse(name)).toBe(name);
  expect(zone.safeParse('a\nb').error?.message).toContain('control characters');
});
