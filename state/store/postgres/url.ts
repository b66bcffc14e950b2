/** PostgreSQL URLs: hosts in the order of attempts, login, and TLS. */
import { readFileSync } from 'node:fs';
import type { ConnectionOptions } from 'node:tls';

const URL_SHAPE = /^postgres(?:ql)?:\/\/(?:([^/?#]*)@)?([^/?#]*)(?:\/([^?#]*))?(?:\?([^#]*))?$/;
const HOST_SHAPE = /^(?:\[([^\]]+)\]|([^:[\]]*))(?::(\d{1,5}))?$/;
const DEFAULT_PORT = 5432;
const PARAMETERS = ['sslmode', 'sslrootcert', 'sslcert', 'sslkey', 'target_session_attrs'];

export interface PostgresHost {
  /** A name, an address, or the folder of a Unix socket. */
  readonly host: string;
  readonly port: number;
}

/** PEM texts for TLS: the server's authority, the client certificate and its key. */
export interface PostgresFiles {
  readonly ca: string | undefined;
  readonly cert: string | undefined;
  readonly key: string | undefined;
}

export interface PostgresTarget {
  /** At least one; the first that is not a standby is used. */
  readonly hosts: readonly PostgresHost[];
  /** Undefined: the driver's default. */
  readonly user: string | undefined;
  readonly password: string | undefined;
  readonly database: string | undefined;
  /** False: without TLS. */
  readonly ssl: false | ConnectionOptions;
}

/**
 * Parses `postgres://USER:PASSWORD@HOST[:PORT][,HOST[:PORT]…]/DATABASE[?PARAMETER=VALUE&…]`, each part percent-encoded.
 *
 * @param files what the settings name; `sslrootcert`, `sslcert` and `sslkey` name files in their place
 * @throws Error that says what is wrong, without the password
 */
export function parsePostgresUrl(url: string, files?: PostgresFiles): PostgresTarget {
  const [matched, userInfo = '', authority = '', path = '', query = ''] = URL_SHAPE.exec(url) ?? [];
  if (matched === undefined) throw new Error('it is not a URL');
  const [user = '', ...password] = userInfo.split(':');
  return {
    hosts: authority.split(',').map(parseHost),
    user: decode(user),
    password: decode(password.join(':')),
    database: decode(path),
    ssl: parseTls(new URLSearchParams(query), files),
  };
}

function parseHost(text: string): PostgresHost {
  const [matched, ipv6, name = '', digits] = HOST_SHAPE.exec(text) ?? [];
  const port = digits === undefined ? DEFAULT_PORT : Number(digits);
  if (matched === undefined || port < 1 || port > 65_535) throw new Error(`${text} is not HOST or HOST:PORT`);
  return { host: ipv6 ?? decode(name) ?? 'localhost', port };
}

function parseTls(parameters: URLSearchParams, files: PostgresFiles | undefined): false | ConnectionOptions {
  for (const name of parameters.keys())
    if (!PARAMETERS.includes(name))
      throw new Error(`the parameter ${name} is not understood; ${PARAMETERS.join(', ')} are`);
  const target = parameters.get('target_session_attrs') ?? 'read-write';
  if (target !== 'read-write' && target !== 'primary')
    throw new Error(
      `target_session_attrs is ${target}, and GoChat needs a server that can be written to: read-write`,
    );

  const pick = (parameter: string, setting: keyof PostgresFiles) => {
    const path = parameters.get(parameter);
    if (path !== null && files?.[setting] !== undefined)
      throw new Error(`both its ${parameter} and the setting store_${setting} name a file; give one of them`);
    return path === null ? files?.[setting] : readPem(path);
  };
  const own = { ca: pick('sslrootcert', 'ca'), cert: pick('sslcert', 'cert'), key: pick('sslkey', 'key') };
  if ((own.cert === undefined) !== (own.key === undefined))
    throw new Error('a certificate and its key go together');
  const isGiven = own.ca !== undefined || own.cert !== undefined;

  const mode = parameters.get('sslmode') ?? (isGiven ? 'verify-full' : 'disable');
  switch (mode) {
    case 'disable':
      if (isGiven) throw new Error('sslmode=disable needs neither an authority nor a certificate');
      return false;
    case 'no-verify':
      if (own.ca !== undefined)
        throw new Error(
          'sslmode=no-verify checks no certificate: leave the authority out, or verify-full in',
        );
      return { ...own, rejectUnauthorized: false };
    case 'verify-ca':
      if (own.ca === undefined)
        throw new Error('sslmode=verify-ca needs the authority: sslrootcert or the setting store_ca');
      return { ...own, checkServerIdentity: () => undefined };
    // Stricter than libpq, which checks nothing under this name.
    case 'require':
    case 'verify-full':
      return own;
    default:
      throw new Error(`sslmode is ${mode}, and not disable, no-verify, verify-ca or verify-full`);
  }
}

function readPem(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    throw new Error(`cannot read ${file}: ${(cause as Error).message}`, { cause });
  }
}

/** Returns undefined for an empty part. */
function decode(part: string): string | undefined {
  try {
    return part === '' ? undefined : decodeURIComponent(part);
  } catch (cause) {
    throw new Error('it has a % that begins no escape', { cause });
  }
}
