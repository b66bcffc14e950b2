/** The gateway's certificate and key, from their files. */
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createSecureContext } from 'node:tls';
import { GochatError } from '../../common/mod.ts';

const TICKET_KEY_BYTES = 48;

/** Paths of PEM files. */
export interface TlsFiles {
  /** The certificate, followed by the intermediate ones. */
  readonly cert: string;
  readonly key: string;
}

/** TLS keys, the same in all workers, so that a TLS session can be resumed at any of them. */
export interface TlsMaterial {
  /** PEM, followed by the intermediate certificates. */
  readonly cert: string;
  /** PEM. */
  readonly key: string;
  /** 48 random bytes that encrypt TLS session tickets. */
  readonly ticketKeys: Uint8Array;
}

/** Reads and checks certificate and key. @throws GochatError CONFIG_INVALID naming the file or the mismatch */
export function loadTls(files: TlsFiles): TlsMaterial {
  const [cert, key] = [read(files.cert), read(files.key)];
  try {
    createSecureContext({ cert, key });
  } catch (cause) {
    throw invalid(
      `The certificate ${files.cert} and the key ${files.key} do not do: ${reasonOf(cause)}.`,
      cause,
    );
  }
  return { cert, key, ticketKeys: randomBytes(TICKET_KEY_BYTES) };
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    throw invalid(`Cannot read ${path}: ${reasonOf(cause)}.`, cause);
  }
}

function invalid(what: string, cause: unknown): GochatError {
  return new GochatError('CONFIG_INVALID', { details: { what }, cause });
}

function reasonOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
