/** `gochat ctl keys`: the keys that sign access tokens. */
import { ExitCode } from '../../common/mod.ts';
import type { Json } from './admin-client.ts';
import type { Subcommand } from './subcommand.ts';

export const keys: Subcommand = {
  name: 'keys',
  summary: 'show the keys that sign access tokens; ask a state server',
  options: [['--rotate', 'make a new key, which signs in a minute; tokens of the old one stay good']],
  async run({ client, options, print }) {
    const answer = await client.call(options['rotate'] === true ? 'POST' : 'GET', '/keys');
    for (const { kid, state, signs_from: from } of answer['keys'] as Json[])
      print([kid, state, ...(typeof from === 'string' ? [`signs from ${from}`] : [])].join('  '));
    return ExitCode.OK;
  },
};
