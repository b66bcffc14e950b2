/** Events as lines for people: messages on standard output, problems on standard error. */
import type { Writable } from 'node:stream';
import type { Conversation } from '../sdk/mod.ts';
import type { ListedMember, PlainEvent, Printer } from './printer.ts';
import { sanitize } from './sanitize.ts';

const DIM = '2';
const RED = '31';
/** Cyan, green, yellow, blue, magenta: readable on dark and light. */
const NAME_COLOURS = ['36', '32', '33', '34', '35'];

type MemberNews = Extract<PlainEvent, { event: 'member' }>;

export interface TextPrinterOptions {
  readonly output: Writable;
  readonly errorOutput: Writable;
  readonly color: boolean;
  /** Writes a line; a terminal puts it above its prompt. @default stream.write */
  readonly write?: (line: string, stream: Writable) => void;
  /** Whether typed lines stay on the screen, so that own texts are not repeated. */
  readonly echoes: boolean;
  readonly conversation: (id: string) => Conversation | undefined;
}

export class TextPrinter implements Printer {
  readonly #options: TextPrinterOptions;
  readonly #write: (line: string, stream: Writable) => void;
  /** YYYY-MM-DD HH:MM in the local time zone. */
  readonly #localTime = new Intl.DateTimeFormat('sv-SE', { dateStyle: 'short', timeStyle: 'short' });
  #me = '';

  constructor(options: TextPrinterOptions) {
    this.#options = options;
    this.#write = options.write ?? ((line, stream) => stream.write(`${line}\n`));
  }

  print(event: PlainEvent): void {
    switch (event.event) {
      case 'connected':
        this.#me = event.user;
        this.note(`* ${event.resumed ? 'back' : 'connected'} as ${event.user} at ${event.gateway}`);
        break;
      case 'joined':
        this.note(event.kind === 'room' ? `* you are in #${event.name}` : `* you talk to ${event.name}`);
        break;
      case 'opened':
        this.note(
          `* you have ${event.kind === 'room' ? '#' : '@'}${event.name}, where nothing has been said yet`,
        );
        break;
      case 'message':
        this.#say(event.conversation, event.from, event.text, event.history === true ? event.at : undefined);
        break;
      case 'left':
        this.note(`* you have left ${named(event)}`);
        break;
      case 'removed':
        this.note(`* you were removed from ${named(event)}`);
        break;
      case 'deleted':
        this.note(`* ${named(event)} was deleted`);
        break;
      case 'member':
        this.note(`* ${event.user} ${changeOf(event)} ${this.#place(event.conversation)}`);
        break;
      case 'rooms':
        for (const { kind, name, unread } of event.conversations)
          this.note(`* ${kind === 'room' ? '#' : '@'}${name}${unread === 0 ? '' : ` (${unread} unread)`}`);
        if (event.conversations.length === 0) this.note('* you are in no conversation yet');
        break;
      case 'members':
        this.note(`* in ${this.#place(event.conversation)}: ${event.members.map(presence).join(', ')}`);
        break;
      case 'failed':
        this.#complain(`not sent: ${event.message} (${event.code})`);
        break;
      case 'disconnected':
        this.#complain(
          event.retry_in_ms === null
            ? `disconnected: ${event.reason} (${event.code})`
            : `disconnected: ${event.reason} (${event.code}) Next try in ${event.retry_in_ms} ms.`,
        );
        break;
      case 'error':
        this.#complain(`${event.message} (${event.code})`);
        break;
      case 'sent':
      case 'synced':
        // Sent and missed messages are on the screen already.
        break;
    }
  }

  own(conversation: string, text: string): void {
    if (!this.#options.echoes) this.#say(conversation, this.#me, text, undefined);
  }

  note(text: string): void {
    for (const line of text.split('\n')) this.#out(this.#paint(DIM, sanitize(line)));
  }

  #say(conversation: string, from: string, text: string, at: string | undefined): void {
    const place = this.#paint(DIM, `[${sanitize(this.#place(conversation))}]`);
    const time = at === undefined ? '' : `${this.#paint(DIM, this.#localTime.format(new Date(at)))} `;
    this.#out(`${place} ${time}${this.#paint(colourOf(from), sanitize(from))}: ${sanitize(text)}`);
  }

  #place(id: string): string {
    const conversation = this.#options.conversation(id);
    if (conversation === undefined) return id;
    return conversation.kind === 'room' ? `#${conversation.name}` : `@${conversation.name}`;
  }

  #complain(text: string): void {
    this.#write(this.#paint(RED, `! ${sanitize(text)}`), this.#options.errorOutput);
  }

  #out(line: string): void {
    this.#write(line, this.#options.output);
  }

  #paint(colour: string, text: string): string {
    return this.#options.color ? `\x1b[${colour}m${text}\x1b[0m` : text;
  }
}

function named({ name, conversation }: { readonly name: string; readonly conversation: string }): string {
  return name === '' ? conversation : `#${name}`;
}

function changeOf({ change, by, role = 'member' }: MemberNews): string {
  if (change === 'joined' || change === 'left') return change;
  if (change === 'removed') return `was removed by ${by ?? 'somebody'} from`;
  const noun = `${role === 'owner' ? 'an' : 'a'} ${role}`;
  return by === null ? `is now ${noun} in` : `was made ${noun} by ${by} in`;
}

function presence({ name, online, role }: ListedMember): string {
  const notes = [...(role === 'member' ? [] : [role]), ...(online ? ['online'] : [])];
  return notes.length === 0 ? name : `${name} (${notes.join(', ')})`;
}

function colourOf(name: string): string {
  let hash = 0;
  for (const char of name) hash = (hash * 31 + (char.codePointAt(0) as number)) >>> 0;
  return NAME_COLOURS[hash % NAME_COLOURS.length] as string;
}
