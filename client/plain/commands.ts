/** What a line of input means: a text for the current conversation, or a command. */

export type Command =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'dm'; readonly user: string; readonly text: string | undefined }
  | { readonly kind: 'join'; readonly room: string }
  | { readonly kind: 'create'; readonly room: string }
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
  /create ROOM      make a room and talk there
  /history [N]      show the last N messages (${DEFAULT_HISTORY}; at most ${MAX_HISTORY})
  /who              list who is in the conversation
  /quit             leave; the end of input does the same
  //TEXT            say a text that begins with a slash
Every other line is said in the current conversation.`;

/** Reads a line; undefined where there is nothing to do. */
export function parseLine(line: string): Command | undefined {
  if (line === '') return undefined;
  if (!line.startsWith('/')) return { kind: 'text', text: line };
  if (line.startsWith('//')) return { kind: 'text', text: line.slice(1) };
  const [, name = '', rest = ''] = /^\/(\S*)\s*(.*)$/su.exec(line) ?? [];
  switch (name) {
    case 'dm': {
      const [, user = '', text = ''] = /^@?(\S*)\s*(.*)$/su.exec(rest) ?? [];
      if (user === '') return { kind: 'invalid', what: '/dm needs a USER.' };
      return { kind: 'dm', user, text: text === '' ? undefined : text };
    }
    case 'join':
    case 'create': {
      const room = rest.trim().replace(/^#/, '');
      return room === '' ? { kind: 'invalid', what: `/${name} needs a ROOM.` } : { kind: name, room };
    }
    case 'history':
      return parseHistory(rest.trim());
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
