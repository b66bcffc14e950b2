/** Loads the configuration of a mode from flags, environment and file. */
import { existsSync } from 'node:fs';
import { type Config, loadConfig } from './configuration.ts';
import { MODES, type Mode } from './settings.ts';

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

/** Masks a secret, or the secrets in a URL. */
export function mask(value: unknown): unknown {
  if (typeof value !== 'string') return value;
  if (!value.includes('://')) return '***';
  return value.replace(/\/\/[^@/]*@/, '//***@').replaceAll(/(password=)[^&]*/g, '$1***');
}
