/** The commands of the line client in the full screen: what they print is shown over the timeline, or as a page. */
import { Writable } from 'node:stream';
import type { Model } from '../model/mod.ts';
import type { Action, CommandSession } from '../plain/command.ts';
import { invalid } from '../plain/command.ts';
import { parseLine } from '../plain/commands.ts';
import { TextPrinter } from '../plain/text-printer.ts';
import type { Conversation, GochatClient } from '../sdk/mod.ts';
import { ClientError } from '../sdk/mod.ts';
import { toSettingsLine } from '../plain/printer.ts';

export interface CommandHost {
  readonly client: GochatClient;
  readonly model: Model;
  /** The conversation on the screen. */
  readonly current: () => string | undefined;
  readonly goTo: (conversation: string) => void;
  readonly say: (text: string, replyTo: number | undefined) => void;
  readonly show: (lines: readonly string[], isError: boolean) => void;
  readonly end: (how: 'quit' | 'logout' | 'logout-everywhere') => void;
}

/** Runs a line that begins with a slash. */
export async function runCommand(line: string, host: CommandHost): Promise<void> {
  const action: Action | undefined = parseLine(line);
  if (action === undefined) return;
  if (typeof action === 'string') {
    host.end(action);
    return;
  }
  const lines: string[] = [];
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
  const { client, model } = host;
  const printer = new TextPrinter({
    output: nowhere,
    errorOutput: nowhere,
    color: false,
    echoes: true,
    conversation: (id) => client.conversation(id) ?? shownConversation(model, id),
    displayName: (user) => client.displayName(user),
    write: (text) => lines.push(text.replace(/^\* /, '')),
  });
  const conversation = (): Conversation => {
    const id = host.current();
    const known = id === undefined ? undefined : (client.conversation(id) ?? shownConversation(model, id));
    if (known === undefined) throw ClientError.local('NO_CONVERSATION');
    return known;
  };
  const session: CommandSession = {
    client,
    printer,
    conversation,
    async switchTo(open) {
      const opened = await open();
      model.conversations.put(opened);
      host.goTo(opened.id);
    },
    async say(text, options = {}) {
      conversation();
      host.say(text, options.replyTo);
    },
    async send(make) {
      printer.own(await make(conversation().id));
    },
    lastSaid() {
      const last = model.timeline(conversation().id).lastOwn();
      if (last === undefined) throw invalid('You have said nothing here yet.');
      return last.message.seq > 0 ? last.message.seq : last.message.clientMsgId;
    },
    // The screen watches what it shows.
    watch: () => Promise.reject(invalid('The full screen shows by itself who is here.')),
    showSettings: (settings) => printer.print({ event: 'settings', ...toSettingsLine(settings) }),
    settle: () => Promise.resolve(),
  };
  try {
    await action(session);
    if (lines.length > 0) host.show(lines, false);
  } catch (error) {
    host.show([ClientError.from(error).message], true);
  }
}

/** What the list of conversations knows of one that has sent no entry to this client. */
function shownConversation(model: Model, id: string): Conversation | undefined {
  const row = model.conversations.get(id);
  if (row === undefined) return undefined;
  const unknown = { readEpoch: 0, threadsUnread: 0, pinsVersion: 0, lastMessage: undefined };
  return { ...row, ...unknown };
}
