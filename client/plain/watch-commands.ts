/** The commands about who is there: status, watch, away, back. */
import type { GochatClient, WatchTargets } from '../sdk/mod.ts';
import { type Command, type CommandSession, invalid, settled } from './command.ts';
import { memberId, numberOf } from './entry-commands.ts';
import { toPresenceLine } from './printer.ts';

/** Most users of a watch: the server's limit. */
const MAX_USERS = 500;
/** Most readers shown: the server's most in a page. */
const MAX_READERS = 1000;

export const WATCH_COMMANDS = {
  status: {
    usage: '/status USER',
    help: 'show whether USER, a member by name or anybody by id, is there, and when last',
    async run(session, argument) {
      const { client, printer } = session;
      const user = argument.trim().replace(/^@/, '');
      if (user === '') throw invalid('/status needs a USER.');
      const id = await idOf(client, await settled(session), user);
      for (const presence of await client.presence([id]))
        printer.print({ event: 'presence', ...toPresenceLine(client, presence) });
    },
  },
  watch: {
    usage: '/watch [USER…|off]',
    help: 'be told who comes and goes, of USERs or of all in the conversation, or no longer',
    async run(session, argument) {
      const words = argument.trim().split(/\s+/).filter(Boolean);
      if (words[0] === 'off') return watch(session, { conversations: [], users: [] });
      const conversation = await settled(session);
      const users: string[] = [];
      for (const word of words) users.push(await idOf(session.client, conversation, word.replace(/^@/, '')));
      if (words.length === 0) {
        const { members } = await session.client.members(conversation, { limit: MAX_USERS });
        users.push(...members.map(({ user }) => user));
      }
      await watch(session, { conversations: [conversation], users });
    },
  },
  readers: {
    usage: '/readers N',
    help: 'show who has read message N',
    async run(session, argument) {
      const seq = numberOf(argument, '/readers');
      const conversation = await settled(session);
      const { readers, next } = await session.client.readers(conversation, seq, { limit: MAX_READERS });
      session.printer.print({
        event: 'readers',
        conversation,
        seq,
        readers: readers.map(({ id, name, displayName: display_name }) => ({ user: id, name, display_name })),
        more: next !== undefined,
      });
    },
  },
  away: {
    usage: '/away',
    help: 'show the others that nobody is at this device',
    run: (session) => watch(session, { idle: true }),
  },
  back: {
    usage: '/back',
    help: 'show them that somebody is',
    run: (session) => watch(session, { idle: false }),
  },
} satisfies Record<string, Command>;

async function watch(
  { watch: change, settle }: CommandSession,
  targets: Partial<WatchTargets>,
): Promise<void> {
  await settle();
  await change(targets);
}

async function idOf(client: GochatClient, conversation: string, user: string): Promise<string> {
  return /^\d/.test(user) ? user : memberId(client, conversation, user);
}
