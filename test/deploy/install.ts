/** Installs Debian packages that the tests of deployment need. */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';

const ROOT = join(import.meta.dirname, '../..');

/** Installs the packages that are missing. As root, on Debian. */
export function install(...packages: string[]): void {
  for (const name of packages.filter((one) => !existsSync(`/var/lib/dpkg/info/${one}.list`)))
    execFileSync(join(ROOT, 'scripts/install-for-tests.sh'), [name], { stdio: ['ignore', 2, 'inherit'] });
}
