/** What a line of input means: a text for the current conversation, or a command. */

export type Command =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'dm'; readonly user: string; readonly text: string | undefined }
  | { readonly kind: 'join'; readonly room: string }
  | { readonly kind: 'create'; readonly room: string; readonly hideHistory: boolean }
  | { readonly kind: 'leave' }
  | { readonly kind: 'remove'; readonly user: string }
  | { readonly kind: 'delete' }
  | { readonly kind: 'rooms' }
  | { readonly kind: 'logout' }
  | { readonly kind: 'history'; readonly count: number }
  | { readonly kind: 'who' }
  | { readonly kind: 'help' }
  | { readonly kind: 'quit' }
  | { readonly kind: 'invalid'; readonly what: string };

export const DEFAULT_HISTORY = 20;
export const MAX_HISTORY = 1_000;

export const HELP = `Commands:
  /dm USER [TEXT]   talk to a user; with TEXT, say it at once
  /join ROOM        join a room and talk there
  /create ROOM      make a room and talk there; behind ROOM, --no-history: who joins sees only what comes
  /leave            leave the room
  /remove USER      make a user leave the room, if it is yours
  /delete           delete the room and all that was said in it, if it is yours
  /rooms            list your conversations and what is unread
  /history [N]      show the last N messages (${DEFAULT_HISTORY}; at most ${MAX_HISTORY})
  /who              list who is in the conversation
  /logout           quit and end the session: the access token is void
  /quit             quit; the end of input does the same
  //TEXT            say a text that begins with a slash
Every other line is said in the current conversation.`;

/** Reads a line; undefined where there is nothing to do. */
export function parseLine(line: string): Command | undefined {
  if (line === '') return undefined;
  if (!line.startsWith('/')) return { kind: 'text', text: line };
  if (line.startsWith('//')) return { kind: 'text', text: line.slice(1) };
  // Pasted: nobody has read each of its lines as a command.
  if (line.includes('\n')) return { kind: 'invalid', what: 'A command has one line, and this has several.' };
  const [, name = '', rest = ''] = /^\/(\S*)\s*(.*)$/su.exec(line) ?? [];
  switch (name) {
    case 'dm': {
      const [, user = '', text = ''] = /^@?(\S*)\s*(.*)$/su.exec(rest) ?? [];
      if (user === '') return { kind: 'invalid', what: '/dm needs a USER.' };
      return { kind: 'dm', user, text: text === '' ? undefined : text };
    }
    case 'join':
    case 'create': {
      const hideHistory = name === 'create' && / --no-history\s*$/.test(rest);
      const room = (hideHistory ? rest.replace(/ --no-history\s*$/, '') : rest).trim().replace(/^#/, '');
      if (room === '') return { kind: 'invalid', what: `/${name} needs a ROOM.` };
      return name === 'join' ? { kind: 'join', room } : { kind: 'create', room, hideHistory };
    }
    case 'remove': {
      const user = rest.trim().replace(/^@/, '');
      return user === '' ? { kind: 'invalid', what: '/remove needs a USER.' } : { kind: 'remove', user };
    }
    case 'history':
      return parseHistory(rest.trim());
    case 'leave':
    case 'delete':
    case 'rooms':
    case 'logout':
    case 'who':
    case 'help':
    case 'quit':
      return { kind: name };
    default:
      return { kind: 'invalid', what: `There is no command /${name}.` };
  }
}

function parseHistory(argument: string): Command {
  const count = argument === '' ? DEFAULT_HISTORY : Number(argument);
  return /^\d*$/.test(argument) && count >= 1 && count <= MAX_HISTORY
    ? { kind: 'history', count }
    : { kind: 'invalid', what: `/history takes a number from 1 to ${MAX_HISTORY}.` };
}
