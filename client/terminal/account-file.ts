/** Who is logged in on this computer: the refresh token, in the user's config folder, for nobody else to read. */
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';

/** A login that lasts. */
export interface KeptAccount {
  readonly api: string;
  readonly user: string;
  readonly refreshToken: string;
}

export class AccountFile {
  readonly #folder: string | undefined;

  /** @param folder undefined: there is no place to keep it */
  constructor(folder: string | undefined = configFolder()) {
    this.#folder = folder;
  }

  /** Returns who is logged in at a server. */
  read(api: string): KeptAccount | undefined {
    if (this.#folder === undefined) return undefined;
    try {
      const kept = JSON.parse(readFileSync(this.#path(this.#folder), 'utf8')) as Partial<KeptAccount>;
      const { user, refreshToken } = kept;
      if (kept.api !== api || typeof user !== 'string' || typeof refreshToken !== 'string') return undefined;
      return { api, user, refreshToken };
    } catch {
      // There is none, or it cannot be used: one logs in anew.
      return undefined;
    }
  }

  /** Keeps it, or with undefined forgets it. Returns whether that worked. */
  write(account: KeptAccount | undefined): boolean {
    if (this.#folder === undefined) return false;
    const path = this.#path(this.#folder);
    try {
      if (account === undefined) {
        rmSync(path, { force: true });
        return true;
      }
      makeFolder(this.#folder);
      writeFileSync(`${path}.new`, JSON.stringify(account), { mode: 0o600 });
      renameSync(`${path}.new`, path);
      return true;
    } catch {
      return false;
    }
  }

  /** Whether a login can be kept. */
  get isWritable(): boolean {
    if (this.#folder === undefined) return false;
    const probe = join(this.#folder, '.probe');
    try {
      makeFolder(this.#folder);
      writeFileSync(probe, '', { mode: 0o600 });
      rmSync(probe);
      return true;
    } catch {
      return false;
    }
  }

  #path(folder: string): string {
    return join(folder, 'account.json');
  }
}

/** The user's folder for GoChat's files; undefined: there is no home. */
export function configFolder(environment: NodeJS.ProcessEnv = process.env): string | undefined {
  const base = environment['XDG_CONFIG_HOME'];
  if (base !== undefined && base.startsWith('/')) return join(base, 'gochat');
  const home = environment['HOME'] ?? homedirOrNone();
  return home === undefined || home === '' ? undefined : join(home, '.config', 'gochat');
}

function homedirOrNone(): string | undefined {
  try {
    return homedir();
  } catch {
    return undefined;
  }
}

/** Makes a folder, and the one that it is in. */
function makeFolder(folder: string): void {
  // Not `recursive`: below /proc it never ends.
  for (const path of [dirname(folder), folder]) {
    try {
      mkdirSync(path, { mode: 0o700 });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
  }
}
