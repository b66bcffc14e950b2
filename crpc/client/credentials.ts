/** Credentials: plain text, TLS or mutual TLS, and the cluster's shared token. */
import { credentials } from '@grpc/grpc-js';
import type { ChannelCredentials, Metadata } from '@grpc/grpc-js';
import { createHash, timingSafeEqual } from 'node:crypto';
import { checkServerIdentity, createSecureContext } from 'node:tls';
import type { PeerCertificate, TLSSocket } from 'node:tls';
import { CrpcError } from '../errors.ts';

const TOKEN_KEY = 'crpc-token';

type Pem = string | Buffer;

/** PEM texts of one side. */
export interface TlsOptions {
  /** Certificate chain and key; a client needs them only for mTLS. */
  readonly cert?: Pem;
  readonly key?: Pem;
  /** Authorities of the peer's certificate; on a server they make the client's certificate mandatory (mTLS). */
  readonly ca?: Pem;
  /** Name in the server's certificate if it is not the host of the address. */
  readonly serverName?: string;
  /**
   * Allowed names in a server's certificate, for targets with several servers; on a client.
   *
   * @default the first host of the target, or `serverName`
   */
  readonly serverNames?: readonly string[];
  /**
   * Allowed names in a client's certificate, as its common name or a DNS or URI alternative; on a server with `ca`.
   *
   * @default any name from the authority
   */
  readonly peers?: readonly string[];
}

/** TLS options of both sides of a connection. */
export interface SecurityOptions {
  /** Shared secret of the cluster; a server with one refuses calls without it. */
  readonly token?: string;
  readonly tls?: TlsOptions;
}

/** Returns a server's certificate, key and authorities. @throws CrpcError CONFIG_INVALID if they are invalid */
export function secureContext({ cert, key, ca, peers }: TlsOptions): { cert: Pem; key: Pem; ca?: Pem } {
  if (cert === undefined || key === undefined) throw invalid('TLS on a server needs a certificate and a key');
  if (peers !== undefined && ca === undefined)
    throw invalid('to tell who a client is, a server needs the authority of their certificates');
  const pems = { cert, key, ...(ca === undefined ? undefined : { ca }) };
  try {
    createSecureContext(pems);
  } catch (cause) {
    throw invalid(`the certificate, key or authority does not do (${(cause as Error).message})`, cause);
  }
  return pems;
}

/** Returns whether the certificate of a connected client has an allowed name. */
export function isAllowedPeer({ peers }: TlsOptions, socket: TLSSocket): boolean {
  if (peers === undefined) return true;
  const { subject, subjectaltname = '' } = socket.getPeerCertificate();
  // A name with a comma is quoted and could pretend to be several names; legitimate ones have none.
  const names = subjectaltname.includes('"') ? [] : subjectaltname.split(', ');
  // A subject may have several common names.
  return [subject?.CN ?? [], names].flat().some((name) => peers.includes(name.replace(/^(DNS|URI):/, '')));
}

/** Returns gRPC's credentials of a client. */
export function channelCredentials(security: SecurityOptions): ChannelCredentials {
  const { tls } = security;
  if (tls === undefined) return credentials.createInsecure();
  return credentials.createSsl(
    tls.ca === undefined ? null : Buffer.from(tls.ca),
    tls.key === undefined ? null : Buffer.from(tls.key),
    tls.cert === undefined ? null : Buffer.from(tls.cert),
    tls.serverNames === undefined ? undefined : { checkServerIdentity: identityCheck(tls.serverNames) },
  );
}

/** Returns a check that a certificate belongs to one of the servers; its error is that of the last one. */
function identityCheck(names: readonly string[]): (host: string, cert: PeerCertificate) => Error | undefined {
  return (_, cert) => {
    let mismatch: Error | undefined;
    for (const name of names) {
      mismatch = checkServerIdentity(name, cert);
      if (mismatch === undefined) return undefined;
    }
    return mismatch;
  };
}

/** Returns the gRPC channel options of every crpc connection. */
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

/** Returns a check of a call's token, in constant time. */
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

function invalid(what: string, cause?: unknown): CrpcError {
  return new CrpcError('CONFIG_INVALID', { cause, details: { what: `${what}.` } });
}
