/** Parsing of input lines: a text for the current conversation, or a command; each command with its help. */
import type { ChatMessage, Conversation, GochatClient, Member, Role } from '../sdk/mod.ts';
import { ClientError } from '../sdk/mod.ts';
import { type Listed, type ListedMember, messageEvent, type Printer } from './printer.ts';

const DEFAULT_HISTORY = 20;
const MAX_HISTORY = 1_000;
const HISTORY_PAGE = 200;
/** Most members shown: the server's most in a page. */
const MAX_MEMBERS = 1_000;
/** Column of the help texts. */
const HELP_COLUMN = 18;

/** The interface of the session to commands. */
export interface CommandSession {
  readonly client: GochatClient;
  readonly printer: Printer;
  /** The current conversation. @throws ClientError NO_CONVERSATION */
  readonly conversation: () => Conversation;
  /** Opens a conversation and makes it the current one; until then there is none. */
  readonly switchTo: (open: () => Promise<Conversation>) => Promise<void>;
  /** Sends a text to the current conversation; resolves when there is room for the next one. */
  readonly say: (text: string) => Promise<void>;
  /** Waits until all sends are answered. */
  readonly settle: () => Promise<void>;
}

/** The action of a line, or how it ends the session. @throws ClientError shown to the user */
export type Action = 'quit' | 'logout' | ((session: CommandSession) => Promise<void>);

interface Command {
  readonly usage: string;
  readonly help: string;
  /** `argument` is the rest of the line. */
  readonly run: 'quit' | 'logout' | ((session: CommandSession, argument: string) => Promise<void>);
}

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
        await session.client.setRole(await settled(session), user, role as Role);
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
    room: {
      usage: '/room',
      help: 'show the conversation, and what is unread there',
      async run(session) {
        const conversation = await session.client.getConversation(await settled(session));
        session.printer.print({ event: 'rooms', conversations: [toListed(conversation)] });
      },
    },
    history: {
      usage: '/history [N]',
      help: `show the last N messages (${DEFAULT_HISTORY}; at most ${MAX_HISTORY})`,
      async run(session, argument) {
        const text = argument.trim();
        const count = text === '' ? DEFAULT_HISTORY : Number(text);
        if (!/^\d*$/.test(text) || count < 1 || count > MAX_HISTORY)
          throw invalid(`/history takes a number from 1 to ${MAX_HISTORY}.`);
        const messages = await lastMessages(session.client, await settled(session), count);
        for (const message of messages) session.printer.print(messageEvent(message, true));
      },
    },
    who: {
      usage: '/who',
      help: 'list who is in the conversation',
      async run(session) {
        const conversation = await settled(session);
        const { members } = await session.client.members(conversation, { limit: MAX_MEMBERS });
        session.printer.print({ event: 'members', conversation, members: members.map(toListedMember) });
      },
    },
    logout: {
      usage: '/logout',
      help: 'quit and end the session: the access token is void',
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
  const run = COMMANDS.get(name)?.run;
  if (run === undefined) return refuse(`There is no command /${name}.`);
  return typeof run === 'string' ? run : (session) => run(session, argument);
}

function invalid(what: string): ClientError {
  return ClientError.local('COMMAND_INVALID', { details: { what } });
}

function refuse(what: string): Action {
  return () => Promise.reject(invalid(what));
}

function roomOf(argument: string): string {
  return argument.trim().replace(/^#/, '');
}

/** Waits for earlier sends. Returns the id of the current conversation. */
async function settled({ settle, conversation }: CommandSession): Promise<string> {
  await settle();
  return conversation().id;
}

/** Reads the latest messages page by page. Returns them ascending by seq. */
async function lastMessages(
  client: GochatClient,
  conversation: string,
  count: number,
): Promise<readonly ChatMessage[]> {
  const pages: (readonly ChatMessage[])[] = [];
  let left = count;
  let beforeSeq = 0;
  while (left > 0) {
    const limit = Math.min(left, HISTORY_PAGE);
    const { entries, more } = await client.history(conversation, { before: beforeSeq, limit });
    pages.unshift(entries.filter((entry) => entry.kind === 'message'));
    left -= entries.length;
    beforeSeq = entries[0]?.seq ?? 0;
    if (!more || entries.length === 0) break;
  }
  return pages.flat();
}

function toListed({ id: conversation, kind, name, lastSeq: last_seq, unread, role }: Conversation): Listed {
  return { conversation, kind, name, last_seq, unread, owner: role === 'owner', role };
}

function toListedMember({ displayName: display_name, ...member }: Member): ListedMember {
  return { ...member, display_name };
}
