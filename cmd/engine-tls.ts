/** TLS to etcd, PostgreSQL and Redis: the files of `registry_ca` and the like, read once at start. */
import { X509Certificate } from 'node:crypto';
import { createSecureContext } from 'node:tls';
import { GochatError } from '../common/mod.ts';
import { fileKey } from './configuration.ts';
import { readPem } from './pem.ts';

/** PEM texts for connections to an engine; undefined: Node.js's authorities, no client certificate. */
export interface EngineTls {
  readonly ca: string | undefined;
  readonly cert: string | undefined;
  readonly key: string | undefined;
}

/**
 * Reads ENGINE_ca, ENGINE_cert and ENGINE_key of an engine.
 *
 * @param schemes URL schemes that mean TLS
 * @throws GochatError CONFIG_INVALID if a file is invalid, or the URL is one without TLS
 */
export function engineTls<E extends string>(
  engine: E,
  config: Readonly<
    { [K in E]: string | undefined } & { [K in `${E}${'Ca' | 'Cert' | 'Key'}`]: string | undefined }
  >,
  schemes: readonly string[],
): EngineTls {
  const settings: Readonly<Record<string, string | undefined>> = config;
  const read = (part: 'Ca' | 'Cert' | 'Key') => readPem(`${engine}${part}`, settings[`${engine}${part}`]);
  const [ca, cert, key] = [read('Ca'), read('Cert'), read('Key')];
  const isGiven = [ca, cert, key].some((pem) => pem !== undefined);
  if (isGiven && !schemes.some((scheme) => config[engine]?.startsWith(`${scheme}://`)))
    throw invalid(
      `${engine}_ca, ${engine}_cert and ${engine}_key are for ${engine}: ${schemes.join(':// or ')}://`,
    );
  if ((cert === undefined) !== (key === undefined))
    throw invalid(`${engine}_cert and ${engine}_key go together`);
  try {
    if (ca !== undefined) void new X509Certificate(ca);
    createSecureContext({ cert, key });
  } catch (cause) {
    const names = isGiven ? ['Ca', 'Cert', 'Key'].map((part) => fileKey(`${engine}${part}`)).join(', ') : '';
    throw invalid(`${names}: these files do not do (${(cause as Error).message})`, cause);
  }
  return { ca, cert, key };
}

function invalid(what: string, cause?: unknown): GochatError {
  return new GochatError('CONFIG_INVALID', { details: { what: `${what}.` }, cause });
}
