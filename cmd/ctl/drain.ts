/** `gochat ctl drain`: moves a server's clients to other servers and stops it, as TERM does. */
import { ExitCode } from '../../common/mod.ts';
import type { Subcommand } from './subcommand.ts';

export const drain: Subcommand = {
  name: 'drain',
  summary: 'move the clients of a server to other servers and stop it, as TERM does',
  async run({ client, print }) {
    const answer = await client.call('POST', '/drain');
    print(`draining, for at most ${String(answer['deadline_ms'])} ms`);
    return ExitCode.OK;
  },
};
