import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import {
  addresses,
  envName,
  fileKey,
  flag,
  flagName,
  integer,
  loadConfig,
  origins,
  port,
  proxies,
  text,
  url,
} from './configuration.ts';
import { MODES } from './settings.ts';
import { GochatError } from '../common/mod.ts';

const settings = {
  wsPort: port().default(8901),
  zone: text(64).default('a'),
  demo: flag().default(true),
  store: url('postgres', 'sqlite').optional(),
  trustProxy: proxies().default(''),
  exemptAddresses: addresses().default(''),
  corsOrigins: origins().default(''),
};
const modes = { gateway: settings, other: { rate: integer(1, 10).default(5) } };
const folder = mkdtempSync(join(tmpdir(), 'gochat-config-'));
afterAll(() => rmSync(folder, { recursive: true }));

function file(body: string): string {
  const path = join(folder, `${Math.random()}.yaml`);
  writeFileSync(path, body);
  return path;
}

function load(sources: { flags?: object; env?: Record<string, string>; file?: string } = {}) {
  return loadConfig('gateway', modes, settings, {
    flags: { ...sources.flags },
    env: sources.env ?? {},
    file: sources.file,
  });
}

test('SERVER_ID: names a server, and GOCHAT_NAME has precedence', () => {
  const nameIn = (env: Record<string, string>) =>
    loadConfig('state', MODES, MODES.state, { flags: {}, env, file: undefined }).name;
  expect(nameIn({ SERVER_ID: 'chat-3' })).toBe('chat-3');
  expect(nameIn({ SERVER_ID: 'chat-3', GOCHAT_NAME: 'chat-4' })).toBe('chat-4');
  expect(nameIn({})).toBeUndefined();
});

function failure(action: () => unknown): GochatError {
  try {
    action();
  } catch (error) {
    if (error instanceof GochatError) return error;
  }
  throw new Error('expected a GochatError');
}

describe('loadConfig', () => {
  test('precedence: flags over environment over the section over the top of the file over defaults', () => {
    const yaml = file('ws_port: 1\nzone: top\ngateway:\n  ws_port: 2\nother:\n  rate: 7\n');
    expect(load().wsPort).toBe(8901);
    expect(load({ file: yaml })).toMatchObject({ wsPort: 2, zone: 'top' });
    expect(load({ file: yaml, env: { GOCHAT_WS_PORT: '3' } }).wsPort).toBe(3);
    expect(load({ file: yaml, env: { GOCHAT_WS_PORT: '3' }, flags: { wsPort: '4' } }).wsPort).toBe(4);
  });

  test("result: is frozen and has only the mode's settings", () => {
    const config = load({ file: file('rate: 3\n') });
    expect(Object.isFrozen(config)).toBe(true);
    expect(config).not.toHaveProperty('rate');
  });

  test.each([
    ['an unknown top key', 'nope: 1\n', 'there is no setting nope'],
    ['an unknown section key', 'gateway:\n  rate: 1\n', 'there is no setting gateway.rate'],
    ['a section that is not a mapping', 'gateway: 3\n', 'gateway is not a section'],
    ['text that is not YAML', 'a: [1\n', 'cannot read the configuration file'],
    ['a list', '- 1\n', 'not a mapping'],
    ['a wrong value', 'ws_port: many\n', 'ws_port: expected a whole number from 0 to 65535'],
  ])('file with %s: CONFIG_INVALID that names the place', (_, yaml, words) => {
    const error = failure(() => load({ file: file(yaml) }));
    expect(error.code).toBe('CONFIG_INVALID');
    expect(error.message).toContain(words);
  });

  test('missing file: CONFIG_INVALID', () => {
    expect(failure(() => load({ file: join(folder, 'none.yaml') })).message).toContain('none.yaml');
  });

  test('GOCHAT_NATIVE: 0 or 1, and not a setting', () => {
    for (const value of ['0', '1']) expect(load({ env: { GOCHAT_NATIVE: value } })).toEqual(load({}));
    expect(failure(() => load({ env: { GOCHAT_NATIVE: 'off' } })).message).toContain(
      'GOCHAT_NATIVE: expected 0 or 1',
    );
  });

  test('unknown GOCHAT_ variable: CONFIG_INVALID; GOCHAT_CONFIG, GOCHAT_TEST_ and variables of other programs are ignored', () => {
    expect(failure(() => load({ env: { GOCHAT_WSPORT: '1' } })).message).toContain('GOCHAT_WSPORT');
    expect(
      load({ env: { GOCHAT_CONFIG: 'x', GOCHAT_TEST_ETCD: 'y', HOME: 'z', GOCHAT_RATE: '2' } }).wsPort,
    ).toBe(8901);
  });

  test('variables that Kubernetes sets for services named gochat…: ignored with one warning; real settings count', () => {
    const ofService = (name: string, port: number) => ({
      [`${name}_SERVICE_HOST`]: '10.0.0.7',
      [`${name}_SERVICE_PORT`]: `${port}`,
      [`${name}_SERVICE_PORT_CLIENTS`]: `${port}`,
      [`${name}_PORT`]: `tcp://10.0.0.7:${port}`,
      [`${name}_PORT_${port}_TCP`]: `tcp://10.0.0.7:${port}`,
      [`${name}_PORT_${port}_TCP_PROTO`]: 'tcp',
      [`${name}_PORT_${port}_TCP_PORT`]: `${port}`,
      [`${name}_PORT_${port}_TCP_ADDR`]: '10.0.0.7',
    });
    const warnings: string[] = [];
    const env = {
      ...ofService('GOCHAT', 8900),
      ...ofService('GOCHAT_GATEWAY', 8900),
      ...ofService('GOCHAT_WS', 8901),
    };
    const sources = { flags: {}, file: undefined, warn: (text: string) => warnings.push(text) };
    expect(loadConfig('gateway', modes, settings, { ...sources, env }).wsPort).toBe(8901);
    expect(warnings).toHaveLength(1);
    for (const name of Object.keys(env)) expect(warnings[0]).toContain(name);
    const own = { ...ofService('GOCHAT', 8900), GOCHAT_WS_PORT: '7' };
    expect(loadConfig('gateway', modes, settings, { ...sources, env: own }).wsPort).toBe(7);
    expect(() =>
      loadConfig('gateway', modes, settings, { ...sources, env: { GOCHAT_WS_PORT: 'http://x' } }),
    ).toThrow('GOCHAT_WS_PORT: expected a whole number');
  });

  test.each([
    ['port out of range', { wsPort: '65536' }],
    ['port that is not digits', { wsPort: '0x10' }],
    ['empty text', { zone: '' }],
    ['URL of another scheme', { store: 'mysql://x' }],
    ['flag that is neither', { demo: 'maybe' }],
    ['networks, one of them malformed', { exemptAddresses: '10.0.0.0/8,10.0.0.0/8/8' }],
    ['a page instead of an origin', { corsOrigins: 'https://chat.example/app' }],
  ])('flag with %s: USAGE that names the flag', (_, flags) => {
    const error = failure(() => load({ flags }));
    expect(error.code).toBe('USAGE');
    expect(error.message).toContain(`--${flagName(Object.keys(flags)[0] as string)}`);
  });

  test.each(['1', 'trust_proxy: 1\n', 'trust_proxy: "10.0.0.0/8, ::1"\n'])('trusted proxies: %j', (text) => {
    const sources = text.includes(':') ? { file: file(text) } : { flags: { trustProxy: text } };
    expect(load(sources).trustProxy).toBe(text.includes('10.') ? '10.0.0.0/8, ::1' : '1');
  });

  test.each(['true', 'false', 'nginx', '0', '-1', '1.5'])(
    'trusted proxies %s: refused, with what to write instead',
    (value) => {
      for (const sources of [{ flags: { trustProxy: value } }, { file: file(`trust_proxy: ${value}\n`) }])
        expect(failure(() => load(sources)).message).toContain('instead of true write 1');
    },
  );

  test('true and false: from text and from flags', () => {
    expect(load({ env: { GOCHAT_DEMO: 'false' } }).demo).toBe(false);
    expect(load({ flags: { demo: true }, env: { GOCHAT_DEMO: 'false' } }).demo).toBe(true);
  });
});

test('names: one key, three spellings', () => {
  expect([flagName('wsPort'), fileKey('wsPort'), envName('wsPort')]).toEqual([
    'ws-port',
    'ws_port',
    'GOCHAT_WS_PORT',
  ]);
});
