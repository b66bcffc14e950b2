/** The certificate that a server shows its clients: read from its files, read again on demand, watched for its end. */
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createSecureContext, getCACertificates } from 'node:tls';
import { GochatError } from './errors.ts';
import type { Logger } from './logger.ts';

const DAY_MS = 86_400_000;
/** A certificate is due for renewal in the last quarter of its life, and at most so long before its end. ms. */
const RENEWAL_MS = 21 * DAY_MS;
const RENEWAL_SHARE = 1 / 4;
/** Interval at which a running server looks whether its certificate is due. ms. */
const CHECK_INTERVAL_MS = DAY_MS / 2;

/** Paths of PEM files. */
export interface CertificateFiles {
  /** The server's certificate, followed by the intermediate ones. */
  readonly cert: string;
  readonly key: string;
}

/** PEM texts that belong together. */
export interface CertificatePair {
  readonly cert: string;
  readonly key: string;
}

/** One certificate for any number of ports. Dispose of it when the last of them is closed. */
export class ServerCertificate implements Disposable {
  readonly #files: CertificateFiles;
  readonly #logger: Logger;
  readonly #listeners = new Set<(pair: CertificatePair) => void>();
  readonly #timer: NodeJS.Timeout;
  #current: CertificatePair;

  /** Reads the files and logs what is wrong with a certificate that can be used. @throws GochatError CONFIG_INVALID */
  constructor(files: CertificateFiles, logger: Logger) {
    this.#files = files;
    this.#logger = logger;
    this.#current = readPair(files);
    this.#warn();
    this.#timer = setInterval(() => this.#warn(), CHECK_INTERVAL_MS).unref();
  }

  get current(): CertificatePair {
    return this.#current;
  }

  /** Calls `use` with each later pair. Returns a function that ends that. */
  onChange(use: (pair: CertificatePair) => void): () => void {
    this.#listeners.add(use);
    return () => this.#listeners.delete(use);
  }

  /** Reads the files again. @throws GochatError CONFIG_INVALID when they are invalid; the old ones stay in use */
  reload(): void {
    this.#current = readPair(this.#files);
    this.#warn();
    for (const use of this.#listeners) use(this.#current);
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.#listeners.clear();
  }

  #warn(): void {
    const { cert: file } = this.#files;
    for (const { expired, text } of findings(this.#current.cert, Date.now()))
      this.#logger[expired ? 'error' : 'warn']({ file }, text);
  }
}

interface Finding {
  readonly expired: boolean;
  readonly text: string;
}

/** Returns what is wrong, or soon will be, with a chain of certificates, the server's first. */
function findings(pem: string, nowMs: number): Finding[] {
  const chain = (pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []).map(
    (one) => new X509Certificate(one),
  );
  const found = chain.flatMap((one) => lifeOf(one, nowMs));
  const gap = chain.find((one, index) => !isIssued(one, chain[index + 1]));
  if (gap !== undefined)
    found.push({
      expired: false,
      text: `the issuer of ${subjectOf(gap)} does not follow it in the file, and is none that this process trusts: clients that do not know it refuse the certificate. Append the intermediate certificates, in order; if the issuer is an authority of your own, name it in NODE_EXTRA_CA_CERTS`,
    });
  return found;
}

function lifeOf(one: X509Certificate, nowMs: number): Finding[] {
  const [fromMs, toMs] = [one.validFromDate.getTime(), one.validToDate.getTime()];
  const until = one.validToDate.toISOString();
  if (nowMs > toMs)
    return [{ expired: true, text: `${subjectOf(one)} expired on ${until}: clients refuse it` }];
  if (nowMs < fromMs)
    return [
      { expired: true, text: `${subjectOf(one)} is valid only from ${one.validFromDate.toISOString()} on` },
    ];
  if (toMs - nowMs > Math.min(RENEWAL_MS, (toMs - fromMs) * RENEWAL_SHARE)) return [];
  return [
    {
      expired: false,
      text: `${subjectOf(one)} expires on ${until}: renew it, then send HUP to this process`,
    },
  ];
}

/** Returns whether a certificate's issuer follows it, or is itself, or is one that Node.js trusts. */
function isIssued(one: X509Certificate, next: X509Certificate | undefined): boolean {
  if (next !== undefined) return one.checkIssued(next);
  return (
    one.checkIssued(one) ||
    getCACertificates('default').some((root) => one.checkIssued(new X509Certificate(root)))
  );
}

function subjectOf(one: X509Certificate): string {
  return `the certificate of ${one.subject.replaceAll('\n', ', ')}`;
}

function readPair(files: CertificateFiles): CertificatePair {
  const [cert, key] = [read(files.cert), read(files.key)];
  try {
    createSecureContext({ cert, key });
  } catch (cause) {
    throw invalid(
      `The certificate ${files.cert} and the key ${files.key} do not do: ${reasonOf(cause)}.`,
      cause,
    );
  }
  return { cert, key };
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
