/** TLS between the servers: the files that the settings name, read once at start. */
import { readFileSync } from 'node:fs';
import { type Config, flagName, GochatError } from '../common/mod.ts';
import type { TlsOptions } from '../crpc/mod.ts';
import type { crpcTlsSettings } from './settings.ts';

/** Returns what a server needs for TLS to the others, or undefined where none is set. @throws GochatError CONFIG_INVALID */
export function crpcTls(config: Config<typeof crpcTlsSettings>): TlsOptions | undefined {
  const cert = read('crpcTlsCert', config.crpcTlsCert);
  const key = read('crpcTlsKey', config.crpcTlsKey);
  const ca = read('crpcTlsCa', config.crpcTlsCa);
  if ((cert === undefined) !== (key === undefined)) {
    throw new GochatError('CONFIG_INVALID', {
      details: { what: '--crpc-tls-cert and --crpc-tls-key are needed together.' },
    });
  }
  if (cert === undefined && ca === undefined) return undefined;
  return {
    cert,
    key,
    ca,
    serverName: config.crpcTlsServerName,
    peers: config.crpcTlsPeers?.split(',').map((name) => name.trim()),
  };
}

function read(setting: keyof typeof crpcTlsSettings, path: string | undefined): string | undefined {
  if (path === undefined) return undefined;
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    const what = `--${flagName(setting)}: cannot read ${path} (${(cause as NodeJS.ErrnoException).code}).`;
    throw new GochatError('CONFIG_INVALID', { cause, details: { what } });
  }
}
