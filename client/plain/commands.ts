/** Parsing of input lines: a text for the current conversation, or a command; each command with its help. */
import type { Role } from '../sdk/mod.ts';
import { ACCOUNT_COMMANDS } from './account-commands.ts';
import { type Action, type Command, invalid, settled } from './command.ts';
import { ENTRY_COMMANDS } from './entry-commands.ts';
import { history } from './history-command.ts';
import { type Listed, toListed, toListedMember } from './printer.ts';
import { SELF_COMMANDS } from './self-commands.ts';
import { THREAD_COMMANDS } from './thread-commands.ts';
import { WATCH_COMMANDS } from './watch-commands.ts';

/** Most members shown: the server's most in a page. */
const MAX_MEMBERS = 1_000;
/** Most users whose presence is looked up: the server's limit. */
const MAX_PRESENCES = 500;
/** Column of the help texts. */
const HELP_COLUMN = 34;

const COMMANDS: ReadonlyMap<string, Command> = new Map(
  Object.entries({
    dm: {
      usage: '/dm USER [TEXT]',
      help: 'talk to a user; with TEXT, say it at once',
      async run({ client, switchTo, say }, argument) {
        const [, user = '', text = ''] = /^@?(\S*)\s*(.*)$/su.exec(argument) ?? [];
        if (user === '') throw invalid('/dm needs a USER.');
        await switchTo(() => client.openDirect(user));
        if (text !== '') await say(text);
      },
    },
    join: {
      usage: '/join ROOM',
      help: 'join a room and talk there',
      async run({ client, switchTo }, argument) {
        const room = roomOf(argument);
        if (room === '') throw invalid('/join needs a ROOM.');
        await switchTo(() => client.joinRoom(room));
      },
    },
    create: {
      usage: '/create ROOM',
      help: 'make a room and talk there; behind ROOM, --no-history: who joins sees only what comes',
      async run({ client, switchTo }, argument) {
        const name = argument.replace(/ --no-history\s*$/, '');
        const room = roomOf(name);
        if (room === '') throw invalid('/create needs a ROOM.');
        await switchTo(() => client.createRoom(room, { hideHistory: name !== argument }));
      },
    },
    leave: {
      usage: '/leave',
      help: 'leave the room',
      async run(session) {
        await session.client.leaveRoom(await settled(session));
      },
    },
    remove: {
      usage: '/remove USER',
      help: 'make a user of a lower role leave the room',
      async run(session, argument) {
        const user = argument.trim().replace(/^@/, '');
        if (user === '') throw invalid('/remove needs a USER.');
        await session.client.removeMember(await settled(session), user);
      },
    },
    role: {
      usage: '/role USER ROLE',
      help: 'make a member an owner, a moderator or a member of your room; anybody may step down',
      async run(session, argument) {
        const [, user, role] = /^@?(\S+)\s+(owner|moderator|member)$/.exec(argument.trim()) ?? [];
        if (user === undefined) throw invalid('/role needs a USER, and owner, moderator or member.');
        const conversation = await settled(session);
        await session.client.setRole(conversation, user, role as Role);
        session.printer.print({ event: 'role', conversation, user, role: role as Role });
      },
    },
    delete: {
      usage: '/delete',
      help: 'delete the room and all that was said in it, if it is yours',
      async run(session) {
        await session.client.deleteRoom(await settled(session));
      },
    },
    rooms: {
      usage: '/rooms',
      help: 'list your conversations and what is unread',
      async run({ client, printer, settle }) {
        await settle();
        const conversations: Listed[] = [];
        for await (const conversation of client.allConversations())
          conversations.push(toListed(conversation));
        printer.print({ event: 'rooms', conversations });
      },
    },
    conversations: {
      usage: '/conversations [NEXT]',
      help: 'list your conversations with their last messages, the most active first; NEXT is what the page before ends with',
      async run({ client, printer, settle }, argument) {
        await settle();
        const after = argument.trim();
        const { conversations, next = null } = await client.listConversations({ after });
        printer.print({ event: 'conversations', conversations: conversations.map(toListed), next });
      },
    },
    room: {
      usage: '/room',
      help: 'show the conversation, and what is unread there',
      async run(session) {
        const conversation = await session.client.getConversation(await settled(session));
        session.printer.print({ event: 'rooms', conversations: [toListed(conversation)] });
      },
    },
    ...ENTRY_COMMANDS,
    ...THREAD_COMMANDS,
    history,
    who: {
      usage: '/who',
      help: 'list who is in the conversation',
      async run(session) {
        const conversation = await settled(session);
        const { members, count } = await session.client.members(conversation, { limit: MAX_MEMBERS });
        const online = members.filter((member) => member.online).map(({ user }) => user);
        const presences = await session.client.presence(online.slice(0, MAX_PRESENCES));
        const idle = new Set(presences.filter(({ status }) => status === 'idle').map(({ user }) => user));
        session.printer.print({
          event: 'members',
          conversation,
          members: members.map((member) => toListedMember(member, idle.has(member.user))),
          count,
        });
      },
    },
    nick: {
      usage: '/nick [NAME]',
      help: 'show NAME to the others instead of your user name; without NAME, the user name again',
      async run({ client, printer }, argument) {
        const { name: user, displayName: display_name } = await client.setDisplayName(argument.trim());
        printer.print({ event: 'profile', user, display_name });
      },
    },
    ...WATCH_COMMANDS,
    ...SELF_COMMANDS,
    ...ACCOUNT_COMMANDS,
    logout: {
      usage: '/logout [everywhere]',
      help: 'quit and end the session, or all sessions: their tokens are void',
      run: 'logout',
    },
    help: {
      usage: '/help',
      help: 'show this',
      async run({ printer }) {
        printer.note(HELP);
      },
    },
    quit: { usage: '/quit', help: 'quit; the end of input does the same', run: 'quit' },
  } satisfies Record<string, Command>),
);

/** What each command is for, by name. */
export const COMMAND_USAGES: ReadonlyMap<string, Pick<Command, 'usage' | 'help'>> = COMMANDS;

const HELP = [
  'Commands:',
  ...[...COMMANDS.values(), { usage: '//TEXT', help: 'say a text that begins with a slash' }].map(
    ({ usage, help }) => `  ${usage.padEnd(HELP_COLUMN)}${help}`,
  ),
  'Every other line is said in the current conversation.',
].join('\n');

/** Parses a line; undefined if it is empty. */
export function parseLine(line: string): Action | undefined {
  if (line === '') return undefined;
  if (!line.startsWith('/')) return ({ say }) => say(line);
  if (line.startsWith('//')) return ({ say }) => say(line.slice(1));
  // Pasted text: the user has not read each of its lines as a command.
  if (line.includes('\n')) return refuse('A command has one line, and this has several.');
  const [, name = '', argument = ''] = /^\/(\S*)\s*(.*)$/su.exec(line) ?? [];
  if (name === 'logout' && argument.trim() === 'everywhere') return 'logout-everywhere';
  const run = COMMANDS.get(name)?.run;
  if (run === undefined) return refuse(`There is no command /${name}.`);
  return typeof run === 'string' ? run : (session) => run(session, argument);
}

function refuse(what: string): Action {
  return () => Promise.reject(invalid(what));
}

function roomOf(argument: string): string {
  return argument.trim().replace(/^#/, '');
}
