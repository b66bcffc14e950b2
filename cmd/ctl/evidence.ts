/** `gochat ctl evidence`: what moderators have retracted in a conversation, with its texts. */
import { ExitCode } from '../../common/mod.ts';
import type { Subcommand } from './subcommand.ts';

export const evidence: Subcommand = {
  name: 'evidence',
  summary: 'show what moderators have retracted in a conversation, with its texts; ask a state server',
  args: [['<conversation>', 'id of the conversation']],
  async run({ client, args: [conversation = ''], print }) {
    const path = `/evidence?conversation=${encodeURIComponent(conversation)}`;
    print(JSON.stringify(await client.call('GET', path), undefined, 2));
    return ExitCode.OK;
  },
};
