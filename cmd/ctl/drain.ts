/** `gochat ctl drain`: sends the server's clients elsewhere and ends it, as TERM does. */
import { ExitCode } from '../../common/mod.ts';
import type { Subcommand } from './subcommand.ts';

export const drain: Subcommand = {
  name: 'drain',
  summary: 'send the clients of a server elsewhere and stop it, as TERM does',
  async run({ client, print }) {
    const answer = await client.call('POST', '/drain');
    print(`draining, for at most ${String(answer['deadline_ms'])} ms`);
    return ExitCode.OK;
  },
};
