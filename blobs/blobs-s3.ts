/** Uploaded files in a bucket of an S3-compatible service. */
import { createHash, randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdtemp, rm, unlink } from 'node:fs/promises';
import { Agent as HttpAgent, type IncomingMessage } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { Backoff } from '../common/mod.ts';
import type { BlobInfo, Blobs } from './blobs.ts';
import { checkInfo, checkKey, receive, unavailable } from './receive.ts';
import { finish, type S3Credentials, type S3Options, type S3Request, sendS3 } from './s3-request.ts';

export interface BlobsS3Options {
  /** URL of the bucket; keys are appended to its path. */
  readonly bucketUrl: URL;
  readonly region: string;
  readonly credentials: S3Credentials;
  /** Silence of the service that fails an attempt, ms. @default 30_000 ms */
  readonly idleTimeoutMs?: number;
}

/** Largest object that S3 accepts in one PUT. */
const MAX_BYTES = 5 * 1024 ** 3;
const MAX_SOCKETS = 64;
const TRIES = 4;
const RETRY = { baseMs: 100, maxMs: 2000 };
const RETRYABLE_STATUS = new Set([429, 500, 502, 503, 504]);

/**
 * Files in an S3 bucket. An upload is first written to a temporary file. So its length and hash are known before S3
 * sees a byte, S3 verifies what it gets, and a failed attempt can be repeated.
 */
export class BlobsS3 implements Blobs {
  readonly #bucketUrl: URL;
  readonly #request: S3Options;
  readonly #spool: string;
  readonly #closing = new AbortController();

  private constructor(options: BlobsS3Options, spool: string) {
    this.#bucketUrl = options.bucketUrl;
    this.#spool = spool;
    const sockets = { keepAlive: true, maxSockets: MAX_SOCKETS };
    this.#request = {
      credentials: options.credentials,
      region: options.region,
      agent: options.bucketUrl.protocol === 'https:' ? new HttpsAgent(sockets) : new HttpAgent(sockets),
      idleTimeoutMs: options.idleTimeoutMs ?? 30_000,
    };
  }

  /** Rejects if the bucket cannot be reached with these credentials. */
  static async open(options: BlobsS3Options): Promise<BlobsS3> {
    const blobs = new BlobsS3(options, await mkdtemp(join(tmpdir(), 'gochat-blobs-')));
    try {
      await blobs.ping();
      return blobs;
    } catch (error) {
      await blobs.close();
      throw error;
    }
  }

  async put(info: BlobInfo, source: Readable): Promise<void> {
    const path = join(this.#spool, randomUUID());
    let received = false;
    try {
      this.#checkOpen();
      checkInfo(info);
      if (info.bytes > MAX_BYTES) throw new RangeError(`S3 takes at most ${MAX_BYTES} bytes`);
      const hash = createHash('sha256');
      await receive(source, info.bytes, { path, onChunk: (chunk) => hash.update(chunk) });
      received = true;
      const body = {
        open: () => createReadStream(path),
        bytes: info.bytes,
        sha256: hash.digest('hex'),
        contentType: info.contentType,
      };
      const response = await this.#send({ method: 'PUT', url: this.#url(info.key), body });
      await expectStatus(response, 200);
    } finally {
      source.destroy();
      // close() may have removed it with its folder.
      if (received) await unlink(path).catch(() => undefined);
    }
  }

  async get(key: string): Promise<{ info: BlobInfo; body: Readable } | undefined> {
    this.#checkOpen();
    checkKey(key);
    const response = await this.#send({ method: 'GET', url: this.#url(key) });
    if (await isMissing(response)) return undefined;
    if (response.statusCode !== 200) await expectStatus(response, 200);
    const { 'content-length': length, 'content-type': contentType } = response.headers;
    return {
      info: { key, bytes: Number(length), contentType: contentType ?? 'application/octet-stream' },
      body: response,
    };
  }

  async delete(key: string): Promise<void> {
    this.#checkOpen();
    checkKey(key);
    const response = await this.#send({ method: 'DELETE', url: this.#url(key) });
    if (await isMissing(response)) return;
    await expectStatus(response, 204);
  }

  async ping(): Promise<void> {
    this.#checkOpen();
    await expectStatus(await this.#send({ method: 'HEAD', url: this.#bucketUrl }), 200);
  }

  /** Ends requests in flight, downloads included. */
  async close(): Promise<void> {
    this.#closing.abort(new Error('it is closed'));
    this.#request.agent.destroy();
    await rm(this.#spool, { recursive: true, force: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /**
   * Sends a request, with retries until it is answered with something that a retry would not change. All requests are
   * safe to repeat.
   */
  async #send(request: S3Request): Promise<IncomingMessage> {
    const backoff = new Backoff(RETRY);
    for (let left = TRIES - 1; ; left--) {
      try {
        const response = await sendS3(request, this.#request);
        if (left === 0 || !RETRYABLE_STATUS.has(response.statusCode ?? 0)) return response;
        await finish(response);
      } catch (error) {
        if (left === 0 || this.#closing.signal.aborted) throw unavailable(error);
      }
      try {
        await delay(backoff.next(), undefined, { signal: this.#closing.signal });
      } catch {
        // Only close() ends the wait early.
        throw unavailable(this.#closing.signal.reason);
      }
    }
  }

  #url(key: string): URL {
    const url = new URL(this.#bucketUrl);
    url.pathname = `${url.pathname.replace(/\/$/, '')}/${key}`;
    return url;
  }

  #checkOpen(): void {
    if (this.#closing.signal.aborted) throw unavailable(this.#closing.signal.reason);
  }
}

/** Tells a missing file from a missing bucket, which is a mistake in the configuration. */
async function isMissing(response: IncomingMessage): Promise<boolean> {
  if (response.statusCode !== 404) return false;
  const code = await finish(response);
  if (code === 'NoSuchKey') return true;
  throw unavailable(new Error(`S3 answered 404 ${code}`));
}

async function expectStatus(response: IncomingMessage, status: number): Promise<void> {
  let code: string;
  try {
    code = await finish(response);
  } catch (error) {
    throw unavailable(error);
  }
  if (response.statusCode !== status)
    throw unavailable(new Error(`S3 answered ${response.statusCode} ${code}`.trimEnd()));
}
