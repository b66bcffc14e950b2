/** A wall clock that a test can change, for one process (libfaketime); the monotonic clock is unaffected. */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const INSTALL = new URL('../../scripts/install-for-tests.sh', import.meta.url).pathname;
const LIBRARIES = ['x86_64-linux-gnu', 'aarch64-linux-gnu'].map(
  (triplet) => `/usr/lib/${triplet}/faketime/libfaketimeMT.so.1`,
);

export class FakeClock implements AsyncDisposable {
  readonly #dir: string;
  readonly #library: string;

  private constructor(dir: string, library: string) {
    this.#dir = dir;
    this.#library = library;
  }

  /** Installs the library if missing, as root on Debian; rejects with instructions if that is impossible. */
  static async make(): Promise<FakeClock> {
    if (!LIBRARIES.some((path) => existsSync(path)))
      await promisify(execFile)('bash', [INSTALL, 'libfaketime']);
    const library = LIBRARIES.find((path) => existsSync(path));
    if (library === undefined) throw new Error(`libfaketime is not in ${LIBRARIES.join(' or ')}`);
    const clock = new FakeClock(await mkdtemp(join(tmpdir(), 'gochat-clock-')), library);
    await clock.set('+0');
    return clock;
  }

  /** The environment of the process whose clock this is. */
  get env(): Record<string, string> {
    return {
      LD_PRELOAD: this.#library,
      FAKETIME_TIMESTAMP_FILE: this.#path,
      FAKETIME_NO_CACHE: '1',
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
    };
  }

  /** Sets the offset from the true time: '+1d', '-1d', '+0'. */
  async set(offset: string): Promise<void> {
    // Atomically: a process must never read half of it.
    await writeFile(`${this.#path}.new`, `${offset}\n`);
    await rename(`${this.#path}.new`, this.#path);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#dir, { recursive: true });
  }

  get #path(): string {
    return join(this.#dir, 'offset');
  }
}
