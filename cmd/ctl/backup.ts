/** `gochat ctl backup` and `restore`: online copies of the embedded store. */
import { resolve } from 'node:path';
import { ExitCode } from '../../common/mod.ts';
import type { Subcommand } from './subcommand.ts';

export const backup: Subcommand = {
  name: 'backup',
  summary: 'copy the message store of gochat up to a file, while it works; for PostgreSQL use pg_dump',
  args: [['<file>', 'file to make, on the machine of the server']],
  async run({ client, args: [file = ''], print }) {
    const path = resolve(file);
    await client.call('POST', `/backup?file=${encodeURIComponent(path)}`);
    print(`copied to ${path}`);
    return ExitCode.OK;
  },
};

export const restore: Subcommand = {
  name: 'restore',
  summary: 'put a copy in the place of the message store of a running gochat up, which then stops',
  args: [['<file>', 'file that backup has made, on the machine of the server']],
  async run({ client, args: [file = ''], print }) {
    const path = resolve(file);
    await client.call('POST', `/restore?file=${encodeURIComponent(path)}`);
    print(`restored from ${path}; the server stops now, start it again`);
    return ExitCode.OK;
  },
};
