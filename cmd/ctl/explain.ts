/** `gochat ctl session` and `trace`: what state knows of a session, a user, or a message; never its text. */
import { ExitCode } from '../../common/mod.ts';
import type { Subcommand } from './subcommand.ts';

export const session: Subcommand = {
  name: 'session',
  summary: 'show the live connections of a session or user and what happened to them; ask a state server',
  args: [['<id>', 'id of a session or user, or name of a user']],
  async run({ client, args: [id = ''], print }) {
    print(JSON.stringify(await client.call('GET', `/session?id=${encodeURIComponent(id)}`), undefined, 2));
    return ExitCode.OK;
  },
};

export const trace: Subcommand = {
  name: 'trace',
  summary: 'show the way of a message: attempts, commit, ack, pushes, and who missed it; ask a state server',
  args: [['<message>', 'id of the message']],
  async run({ client, args: [message = ''], print }) {
    print(JSON.stringify(await client.call('GET', `/trace?id=${encodeURIComponent(message)}`), undefined, 2));
    return ExitCode.OK;
  },
};
