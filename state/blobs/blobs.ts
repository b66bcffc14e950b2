/** The blob port: uploaded files by key. */
import type { Readable } from 'node:stream';

export interface BlobInfo {
  readonly key: string;
  readonly bytes: number;
  readonly contentType: string;
}

/**
 * Files by key: 1 to 256 of [A-Za-z0-9._/-], no empty, "." or ".." segment (RangeError otherwise).
 *
 * A put is atomic: a reader sees the old file or the new one, whole.
 */
export interface Blobs extends AsyncDisposable {
  /** Stores a file of exactly `info.bytes`; rejects with RangeError when the source is shorter or longer. */
  put(info: BlobInfo, source: Readable): Promise<void>;
  /** Returns undefined when there is no such file; the caller destroys the stream. */
  get(key: string): Promise<{ info: BlobInfo; body: Readable } | undefined>;
  /** Removes a file, or does nothing. */
  delete(key: string): Promise<void>;
  ping(): Promise<void>;
  close(): Promise<void>;
}
