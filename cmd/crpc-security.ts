/** TLS between the servers: the configured files, read once at start. */
import { GochatError } from '../common/mod.ts';
import type { TlsOptions } from '../crpc/mod.ts';
import { readPem } from './pem.ts';

/** A server that calls others has no `crpcTlsPeers`, one that is called no `crpcTlsServerName`. */
interface CrpcTlsConfig {
  readonly crpcTlsCert?: string | undefined;
  readonly crpcTlsKey?: string | undefined;
  readonly crpcTlsCa?: string | undefined;
  readonly crpcTlsServerName?: string | undefined;
  readonly crpcTlsPeers?: string | undefined;
}

/** Returns the TLS options of a server; undefined if no file is set. @throws GochatError CONFIG_INVALID */
export function crpcTls(config: CrpcTlsConfig): TlsOptions | undefined {
  const cert = readPem('crpcTlsCert', config.crpcTlsCert);
  const key = readPem('crpcTlsKey', config.crpcTlsKey);
  const ca = readPem('crpcTlsCa', config.crpcTlsCa);
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
