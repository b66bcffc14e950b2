/** `gochat config MODE`: checks and prints the effective configuration of a mode. */
import { existsSync } from 'node:fs';
import { stringify } from 'yaml';
import { ExitCode, GochatError } from '../common/mod.ts';
import { type Config, fileKey, loadConfig } from './configuration.ts';
import { MODES, type Mode, SECRETS } from './settings.ts';

/** Default paths of the configuration file. */
const STANDARD_FILES = ['gochat.yaml', 'data/services/gochat.yaml'];

/** Returns the configuration file: the one named, else $GOCHAT_CONFIG, else the first default one that exists. */
export function configFile(named: string | undefined): string | undefined {
  return named ?? process.env['GOCHAT_CONFIG'] ?? STANDARD_FILES.find((path) => existsSync(path));
}

/** Loads the configuration of a mode from all sources. @throws GochatError USAGE, CONFIG_INVALID */
export function load<M extends Mode>(
  mode: M,
  flags: Readonly<Record<string, unknown>>,
  file: string | undefined,
): Config<(typeof MODES)[M]> {
  return loadConfig<(typeof MODES)[M]>(mode, MODES, MODES[mode], {
    flags,
    env: process.env,
    file: configFile(file),
    warn: (text) => process.stderr.write(`gochat: ${text}\n`),
  });
}

/** Prints the configuration of a mode as YAML. */
export function run(mode: string, file: string | undefined): number {
  if (!Object.hasOwn(MODES, mode)) {
    throw new GochatError('USAGE', {
      details: { what: `There is no mode ${mode}; there are ${Object.keys(MODES).join(', ')}.` },
    });
  }
  const config = load(mode as Mode, {}, file);
  const shown = Object.entries(config).map(([key, value]) => [
    fileKey(key),
    SECRETS.has(key) ? mask(value) : value,
  ]);
  process.stdout.write(stringify({ [mode]: Object.fromEntries(shown) }));
  return ExitCode.OK;
}

/** Masks a secret, or the secrets in a URL. */
export function mask(value: unknown): unknown {
  if (typeof value !== 'string') return value;
  if (!value.includes('://')) return '***';
  return value.replace(/\/\/[^@/]*@/, '//***@').replaceAll(/(password=)[^&]*/g, '$1***');
}
