/** Uploaded files in a folder of this machine, or of a network file system that several nodes mount. */
import { createHash, randomUUID } from 'node:crypto';
import { type FileHandle, mkdir, open, readdir, rename, stat, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import type { BlobInfo, Blobs } from './blobs.ts';
import { checkInfo, checkKey, receive, unavailable } from './receive.ts';

/** Longest header line: a key has at most 256 characters, a content type 255, each at most doubled by JSON. */
const MAX_HEADER_BYTES = 2048;
/** Age after which the temporary file of a crashed upload is removed. */
const LEFTOVER_MS = 24 * 3_600_000;

/**
 * Files in a folder. Each is one file, named by the SHA-256 of its key, that begins with a line of JSON (key,
 * contentType, bytes). So no key can name a path outside, `a` and `a/b` do not collide, and one rename makes a file
 * visible.
 */
export class BlobsFolder implements Blobs {
  readonly #files: string;
  readonly #incoming: string;
  #closed = false;

  private constructor(dir: string) {
    this.#files = join(dir, 'files');
    this.#incoming = join(dir, 'incoming');
  }

  /** Creates the folder if it is missing. Rejects with the file system's error. */
  static async open(dir: string): Promise<BlobsFolder> {
    const blobs = new BlobsFolder(dir);
    await mkdir(blobs.#files, { recursive: true, mode: 0o700 });
    await mkdir(blobs.#incoming, { recursive: true, mode: 0o700 });
    await blobs.#probe();
    await blobs.#removeLeftovers();
    return blobs;
  }

  async put(info: BlobInfo, source: Readable): Promise<void> {
    try {
      this.#checkOpen();
      checkInfo(info);
      const { key, contentType, bytes } = info;
      const incoming = join(this.#incoming, randomUUID());
      const header = Buffer.from(`${JSON.stringify({ key, contentType, bytes })}\n`);
      await receive(source, bytes, { path: incoming, header });
      await this.#publish(incoming, this.#path(key)).catch(async (error: unknown) => {
        await unlink(incoming).catch(() => undefined); // It may have been renamed already.
        throw unavailable(error);
      });
    } finally {
      source.destroy();
    }
  }

  async get(key: string): Promise<{ info: BlobInfo; body: Readable } | undefined> {
    this.#checkOpen();
    checkKey(key);
    let file: FileHandle | undefined;
    try {
      file = await openIfThere(this.#path(key));
      if (file === undefined) return undefined;
      const { info, length } = await readHeader(file);
      // Readable.from() would not close the file. A read stream owns it and closes it when it ends or is destroyed.
      const body =
        info.bytes === 0
          ? await empty(file)
          : file.createReadStream({ start: length, end: length + info.bytes - 1 });
      return { info, body };
    } catch (error) {
      await file?.close();
      throw unavailable(error);
    }
  }

  async delete(key: string): Promise<void> {
    this.#checkOpen();
    checkKey(key);
    const path = this.#path(key);
    try {
      await unlink(path);
      await syncFolder(dirname(path));
    } catch (error) {
      if (!isMissing(error)) throw unavailable(error);
    }
  }

  async ping(): Promise<void> {
    this.#checkOpen();
    await this.#probe().catch((error: unknown) => {
      throw unavailable(error);
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #path(key: string): string {
    const name = createHash('sha256').update(key).digest('hex');
    return join(this.#files, name.slice(0, 2), name.slice(2));
  }

  /** Publishes a complete file under its name, durably. */
  async #publish(incoming: string, path: string): Promise<void> {
    const folder = dirname(path);
    const made = await mkdir(folder, { recursive: true, mode: 0o700 });
    await rename(incoming, path);
    await syncFolder(folder);
    if (made !== undefined) await syncFolder(this.#files);
  }

  /** Rejects if the folder is read-only or missing. */
  async #probe(): Promise<void> {
    const path = join(this.#incoming, randomUUID());
    const file = await open(path, 'wx', 0o600);
    await file.close();
    await unlink(path);
  }

  async #removeLeftovers(): Promise<void> {
    const oldest = Date.now() - LEFTOVER_MS;
    for (const name of await readdir(this.#incoming)) {
      const path = join(this.#incoming, name);
      try {
        if ((await stat(path)).mtimeMs < oldest) await unlink(path);
      } catch (error) {
        // Another node may have removed it first.
        if (!isMissing(error)) throw error;
      }
    }
  }

  #checkOpen(): void {
    if (this.#closed) throw unavailable(new Error('it is closed'));
  }
}

async function openIfThere(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path, 'r');
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

/** Reads the header line. `length` is the offset of the file's own bytes. */
async function readHeader(file: FileHandle): Promise<{ info: BlobInfo; length: number }> {
  const buffer = Buffer.alloc(MAX_HEADER_BYTES);
  const { bytesRead } = await file.read(buffer, 0, buffer.length, 0);
  const end = buffer.subarray(0, bytesRead).indexOf('\n');
  if (end === -1) throw new Error('the file has no header line');
  const { key, contentType, bytes } = JSON.parse(buffer.toString('utf8', 0, end)) as BlobInfo;
  const length = end + 1;
  const { size } = await file.stat();
  if (size !== length + bytes) throw new Error(`the file has ${size} bytes instead of ${length + bytes}`);
  return { info: { key, contentType, bytes }, length };
}

async function empty(file: FileHandle): Promise<Readable> {
  await file.close();
  return Readable.from([]);
}

/** Syncs a folder, so that a rename or unlink in it is durable. */
async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT';
}
