/** The interface to uploaded files, by key. */
import type { Readable } from 'node:stream';

export interface BlobInfo {
  readonly key: string;
  readonly bytes: number;
  readonly contentType: string;
}

/**
 * Files by key. A key is 1 to 256 of [A-Za-z0-9._/-] without an empty, "." or ".." segment (RangeError otherwise). `a`
 * and `a/b` are two independent files.
 *
 * A put is atomic: a reader sees the old file or the new one, complete. Every method rejects with GochatError
 * BLOBS_UNAVAILABLE if the files cannot be reached, and after close().
 */
export interface Blobs extends AsyncDisposable {
  /**
   * Stores a file of exactly `info.bytes` durably. Rejects with RangeError if the source is shorter or longer, and with
   * the source's own error if it fails. The source is destroyed in any case.
   */
  put(info: BlobInfo, source: Readable): Promise<void>;
  /** Returns undefined if there is no such file. The caller destroys the stream. */
  get(key: string): Promise<{ info: BlobInfo; body: Readable } | undefined>;
  /** Removes a file; no effect if there is none. */
  delete(key: string): Promise<void>;
  ping(): Promise<void>;
  close(): Promise<void>;
}
