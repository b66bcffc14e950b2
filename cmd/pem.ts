/** PEM files of settings. */
import { readFileSync } from 'node:fs';
import { GochatError } from '../common/mod.ts';
import { flagName } from './configuration.ts';

/** Reads a setting's file; undefined if none is set. @throws GochatError CONFIG_INVALID */
export function readPem(setting: string, path: string | undefined): string | undefined {
  if (path === undefined) return undefined;
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    const what = `--${flagName(setting)}: cannot read ${path} (${(cause as NodeJS.ErrnoException).code}).`;
    throw new GochatError('CONFIG_INVALID', { cause, details: { what } });
  }
}
