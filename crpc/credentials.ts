/** Who may talk to whom: plain text, TLS or mutual TLS, and the cluster's shared token. */
import { ServerCredentials, credentials } from '@grpc/grpc-js';
import type { ChannelCredentials, Metadata } from '@grpc/grpc-js';
import { createHash, timingSafeEqual } from 'node:crypto';
import { GochatError } from '../common/mod.ts';

const TOKEN_KEY = 'crpc-token';

/** PEM texts of one side. */
export interface TlsOptions {
  /** Certificate chain and its key; a client needs them for mTLS only. */
  readonly cert?: string | Buffer;
  readonly key?: string | Buffer;
  /** Authorities that the peer's certificate is checked against; on a server this makes the client's mandatory (mTLS). */
  readonly ca?: string | Buffer;
  /** Name in the server's certificate where it is not the host of the address. */
  readonly serverName?: string;
}

/** What both sides of a connection agree on. */
export interface SecurityOptions {
  /** Shared secret of the cluster; a server that has one refuses calls without it. */
  readonly token?: string;
  readonly tls?: TlsOptions;
}

/** Returns gRPC's credentials of a server. */
export function serverCredentials(security: SecurityOptions): ServerCredentials {
  const { tls } = security;
  if (tls === undefined) return ServerCredentials.createInsecure();
  if (tls.cert === undefined || tls.key === undefined)
    throw new GochatError('CONFIG_INVALID', {
      details: { what: 'TLS on a server needs a certificate and a key.' },
    });
  return ServerCredentials.createSsl(
    tls.ca === undefined ? null : Buffer.from(tls.ca),
    [{ cert_chain: Buffer.from(tls.cert), private_key: Buffer.from(tls.key) }],
    tls.ca !== undefined,
  );
}

/** Returns gRPC's credentials of a client. */
export function channelCredentials(security: SecurityOptions): ChannelCredentials {
  const { tls } = security;
  if (tls === undefined) return credentials.createInsecure();
  return credentials.createSsl(
    tls.ca === undefined ? null : Buffer.from(tls.ca),
    tls.key === undefined ? null : Buffer.from(tls.key),
    tls.cert === undefined ? null : Buffer.from(tls.cert),
  );
}

/** Returns the gRPC channel options that every crpc connection has. */
export function transportOptions(
  security: SecurityOptions,
  keepalive: { intervalMs: number; timeoutMs: number },
  maxMessageBytes: number,
): Record<string, string | number> {
  return {
    'grpc.keepalive_time_ms': keepalive.intervalMs,
    'grpc.keepalive_timeout_ms': keepalive.timeoutMs,
    'grpc.keepalive_permit_without_calls': 1,
    'grpc.max_receive_message_length': maxMessageBytes,
    'grpc.max_send_message_length': maxMessageBytes,
    'grpc.enable_http_proxy': 0,
    'grpc.enable_channelz': 0,
    ...(security.tls?.serverName === undefined
      ? {}
      : { 'grpc.ssl_target_name_override': security.tls.serverName }),
  };
}

/** Adds the cluster's token to a call. */
export function attachToken(metadata: Metadata, security: SecurityOptions): void {
  if (security.token !== undefined) metadata.set(TOKEN_KEY, security.token);
}

/** Returns a check of the token of a call; it takes the same time whatever the token is. */
export function tokenCheck(security: SecurityOptions): (metadata: Metadata) => boolean {
  const { token } = security;
  if (token === undefined) return () => true;
  const expected = digest(token);
  return (metadata) => {
    const [given] = metadata.get(TOKEN_KEY);
    return typeof given === 'string' && timingSafeEqual(digest(given), expected);
  };
}

function digest(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}
