import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { textBytesIn } from '../proto/mod.ts';
import { loadConfig } from './configuration.ts';
import { GATEWAY_LIMITS } from './run.ts';
import { gatewaySettings, MODES, stateSettings } from './settings.ts';

test('max_frame_bytes: at most half of what a record of a batch stream may hold', () => {
  const { maxFrameBytes } = gatewaySettings;
  expect(maxFrameBytes.parse('4194304')).toBe(4_194_304);
  expect(maxFrameBytes.safeParse('4194305').success).toBe(false);
});

test('max_text_bytes: a setting of state, at most what a page and a frame hold; a gateway refers to state', () => {
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

describe('a mode offers only what it reads', () => {
  /** Settings that helpers read, by how a mode calls them. */
  const HELPERS: readonly (readonly [RegExp, RegExp])[] = [
    [/prepare\('/, /^(logLevel|otlpEndpoint|traceRatio)$/],
    [/runServers\(/, /^(host|adminPort|adminToken|drainMs)$/],
    [/engineTls\('registry', config/, /^registry(Ca|Cert|Key)$/],
    [/engineTls\('hot', config/, /^hot(Ca|Cert|Key)$/],
    [/engineTls\('store', config/, /^store(Ca|Cert|Key)$/],
    [/crpcTls\(config\)/, /^crpcTls/],
    [/advertised\(config\)/, /^advertise/],
    [/openCertificate\(config/, /^tls(Cert|Key)$/],
    [/openIdOptions\(config\)/, /^openid/],
    [/gatewayLimits\(config\)/, new RegExp(`^(${GATEWAY_LIMITS.join('|')})$`)],
  ];

  test.each(['gateway', 'state', 'ipconf', 'api', 'up'] as const)('%s', (mode) => {
    const source = readFileSync(join(import.meta.dirname, `${mode}.ts`), 'utf8');
    const helped = HELPERS.filter(([call]) => call.test(source)).map(([, keys]) => keys);
    const unread = Object.keys(MODES[mode]).filter(
      (key) => !source.includes(`config.${key}`) && !helped.some((keys) => keys.test(key)),
    );
    expect(unread).toEqual([]);
  });

  test.each([
    ['otlpEndpoint', 'modes that call or serve crpc', ['gateway', 'state', 'api', 'up']],
    ['crpcTlsServerName', 'callers of state', ['gateway', 'api']],
    ['crpcTlsPeers', 'state, which is called', ['state']],
    ['zone', 'gateways', ['gateway']],
  ])('%s: only %s', (key, _, modes) => {
    const owners = Object.entries(MODES).filter(([, settings]) => Object.hasOwn(settings, key));
    expect(owners.map(([mode]) => mode)).toEqual(modes);
  });
});
