/** The blob port: uploaded files by key. */
import type { Readable } from 'node:stream';

export interface BlobInfo {
  readonly key: string;
  readonly bytes: number;
  readonly contentType: string;
}

/**
 * Files by key: 1 to 256 of [A-Za-z0-9._/-], no empty, "." or ".." segment (RangeError otherwise). Keys are apart also
 * where one is the beginning of another: `a` and `a/b` are two files.
 *
 * A put is atomic: a reader sees the old file or the new one, whole. Every method rejects with GochatError
 * BLOBS_UNAVAILABLE when the files cannot be reached, and after close().
 */
export interface Blobs extends AsyncDisposable {
  /**
   * Stores a file of exactly `info.bytes` durably; rejects with RangeError when the source is shorter or longer, and
   * with the source's own error when that fails. The source is destroyed in any case.
   */
  put(info: BlobInfo, source: Readable): Promise<void>;
  /** Returns undefined when there is no such file; the caller destroys the stream. */
  get(key: string): Promise<{ info: BlobInfo; body: Readable } | undefined>;
  /** Removes a file, or does nothing. */
  delete(key: string): Promise<void>;
  ping(): Promise<void>;
  close(): Promise<void>;
}
