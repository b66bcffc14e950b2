/** `gochat ctl kick`: ends the connections of a user on every gateway. */
import { ExitCode } from '../../common/mod.ts';
import type { Subcommand } from './subcommand.ts';

export const kick: Subcommand = {
  name: 'kick',
  summary: 'end the connections of a user, on every gateway; ask a state server',
  args: [['<user>', 'name or id']],
  options: [
    ['--device <name>', 'this device alone'],
    ['--reason <text>', 'what the user is told'],
    ['--revoke', 'make the access tokens void too: the user has to log in again'],
  ],
  async run({ client, args: [user = ''], options, print }) {
    const query = new URLSearchParams({ user });
    for (const name of ['device', 'reason'])
      if (typeof options[name] === 'string') query.set(name, options[name]);
    if (options['revoke'] === true) query.set('revoke', 'true');
    const answer = await client.call('POST', `/kick?${query.toString()}`);
    print(
      `${String(answer['connections'])} connections ended${answer['revoked'] === true ? ', tokens revoked' : ''}`,
    );
    return ExitCode.OK;
  },
};
