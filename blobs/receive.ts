/** Uploads, for both implementations: checks the metadata and writes the source to a file, counting its bytes. */
import { type FileHandle, open, unlink } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { GochatError } from '../common/mod.ts';
import type { BlobInfo } from './blobs.ts';

const MAX_KEY_LENGTH = 256;
/** Printable ASCII: it becomes an HTTP header. */
const CONTENT_TYPE = /^[\x21-\x7e][\x20-\x7e]{0,254}$/;

/** Throws a RangeError for an invalid key. */
export function checkKey(key: string): void {
  const segments = key.split('/');
  if (
    key.length > MAX_KEY_LENGTH ||
    !/^[A-Za-z0-9._/-]+$/.test(key) ||
    segments.some((segment) => segment === '' || segment === '.' || segment === '..')
  )
    throw new RangeError(`${JSON.stringify(key.slice(0, MAX_KEY_LENGTH))} is not a key of a file`);
}

/** Throws a RangeError for invalid metadata. */
export function checkInfo(info: BlobInfo): void {
  checkKey(info.key);
  if (!Number.isSafeInteger(info.bytes) || info.bytes < 0)
    throw new RangeError(`${info.bytes} is not a size of a file`);
  if (!CONTENT_TYPE.test(info.contentType))
    throw new RangeError(`${JSON.stringify(info.contentType.slice(0, 64))} is not a content type`);
}

export interface Received {
  /** The new file; it must not exist. */
  readonly path: string;
  /** Written before the source's bytes. */
  readonly header?: Uint8Array;
  /** Gets each chunk of the source, in order. */
  readonly onChunk?: (chunk: Uint8Array) => void;
}

/**
 * Writes `source` to a new file and syncs it to disk.
 *
 * Rejects with RangeError unless there were exactly `bytes`, with the source's error if it failed, and with
 * BLOBS_UNAVAILABLE if the file could not be written. The file is removed then.
 */
export async function receive(source: Readable, bytes: number, into: Received): Promise<void> {
  let file: FileHandle;
  try {
    file = await open(into.path, 'wx', 0o600);
  } catch (error) {
    throw unavailable(error);
  }
  try {
    await copy(source, bytes, file, into);
  } catch (error) {
    await file.close();
    await unlink(into.path);
    throw error;
  }
  await file.close();
}

async function copy(source: Readable, bytes: number, file: FileHandle, into: Received): Promise<void> {
  if (into.header !== undefined) await write(file, into.header);
  let received = 0;
  // The stream's own backpressure applies: it reads ahead at most its buffer while a chunk is written.
  for await (const part of source) {
    const chunk: Uint8Array = typeof part === 'string' ? Buffer.from(part) : (part as Uint8Array);
    received += chunk.byteLength;
    if (received > bytes) throw new RangeError(`the file is longer than ${bytes} bytes`);
    into.onChunk?.(chunk);
    await write(file, chunk);
  }
  if (received < bytes) throw new RangeError(`the file ended after ${received} of ${bytes} bytes`);
  await file.sync().catch((error: unknown) => {
    throw unavailable(error);
  });
}

/** Writes all of a chunk; a single write may be partial, for example when the disk is nearly full. */
async function write(file: FileHandle, chunk: Uint8Array): Promise<void> {
  try {
    for (let offset = 0; offset < chunk.byteLength; ) {
      const { bytesWritten } = await file.write(chunk, offset);
      offset += bytesWritten;
    }
  } catch (error) {
    throw unavailable(error);
  }
}

export function unavailable(cause: unknown): GochatError {
  return new GochatError('BLOBS_UNAVAILABLE', { cause });
}
