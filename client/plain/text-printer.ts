/** Events as lines for people: messages on standard output, problems on standard error. */
import type { Writable } from 'node:stream';
import type { Conversation, Sent } from '../sdk/mod.ts';
import {
  entryEvent,
  type ListedMember,
  type MessageLine,
  type PlainEvent,
  type PresenceLine,
  type Printer,
} from './printer.ts';
import { sanitize } from './sanitize.ts';

const DIM = '2';
const RED = '31';
/** Cyan, green, yellow, blue, magenta: readable on dark and light. */
const NAME_COLOURS = ['36', '32', '33', '34', '35'];

type MemberNews = Extract<PlainEvent, { event: 'member' }>;
type System = Extract<PlainEvent, { event: 'system' }>;
type Retracted = Extract<PlainEvent, { event: 'retracted' }>;

export interface TextPrinterOptions {
  readonly output: Writable;
  readonly errorOutput: Writable;
  readonly color: boolean;
  /** Writes a line; a terminal puts it above its prompt. @default stream.write */
  readonly write?: (line: string, stream: Writable) => void;
  /** Whether typed lines stay on the screen, so that own texts are not repeated. */
  readonly echoes: boolean;
  readonly conversation: (id: string) => Conversation | undefined;
  /** Returns the display name of a user; undefined if it is not known. */
  readonly displayName: (user: string) => string | undefined;
}

export class TextPrinter implements Printer {
  readonly #options: TextPrinterOptions;
  readonly #write: (line: string, stream: Writable) => void;
  /** YYYY-MM-DD HH:MM in the local time zone. */
  readonly #localTime = new Intl.DateTimeFormat('sv-SE', { dateStyle: 'short', timeStyle: 'short' });
  #me = '';
  /** What was told last, and by what: in a small room a change of members is told by its entry and by a notice. */
  #told: { news: string; by: PlainEvent['event'] } | undefined;

  constructor(options: TextPrinterOptions) {
    this.#options = options;
    this.#write = options.write ?? ((line, stream) => stream.write(`${line}\n`));
  }

  print(event: PlainEvent): void {
    switch (event.event) {
      case 'connected':
        this.#me = event.display_name;
        this.#tell(`* ${event.resumed ? 'back' : 'connected'} as ${event.user} at ${event.gateway}`);
        break;
      case 'joined':
        this.#tell(event.kind === 'room' ? `* you are in #${event.name}` : `* you talk to ${event.name}`);
        break;
      case 'opened':
        this.#tell(
          `* you have ${event.kind === 'room' ? '#' : '@'}${event.name}, where nothing has been said yet`,
        );
        break;
      case 'message':
        this.#message(event);
        break;
      case 'edited':
        if (event.history !== true)
          this.#say(event.conversation, `${event.target} edited`, event.from, event.text);
        break;
      case 'retracted':
        if (event.history !== true) this.#tell(`* ${this.#retracted(event)}`);
        break;
      case 'pinned':
      case 'unpinned':
        if (event.history !== true)
          this.#tell(
            `* ${event.from} has ${event.event} message ${event.target} in ${this.#place(event.conversation)}`,
          );
        break;
      case 'system':
        this.#system(event);
        break;
      case 'skipped':
        this.#tell(`* what came before in ${this.#place(event.conversation)} is shown by /history`);
        break;
      case 'left':
        this.#tell(`* you have left ${named(event)}`);
        break;
      case 'removed':
        this.#tell(`* you were removed from ${named(event)}`);
        break;
      case 'deleted':
        this.#tell(`* ${named(event)} was deleted`);
        break;
      case 'member':
        this.#change(event, event);
        break;
      case 'role':
        this.#tell(`* the role of ${event.user} in ${this.#place(event.conversation)}: ${event.role}`);
        break;
      case 'rooms':
      case 'listed':
      case 'conversations':
        for (const { kind, name, unread, last_message: last } of event.conversations) {
          const count = unread === 0 ? '' : ` (${unread} unread)`;
          const end = last === undefined || event.event === 'rooms' ? '' : `  ${last.from}: ${last.text}`;
          this.#tell(`* ${kind === 'room' ? '#' : '@'}${name}${count}${end}`);
        }
        if (event.event === 'rooms' && event.conversations.length === 0)
          this.#tell('* you are in no conversation yet');
        if (event.event === 'conversations' && event.next !== null)
          this.#tell(`* more: /conversations ${event.next}`);
        break;
      case 'pins':
        for (const { seq, from, text } of event.pins)
          this.#say(event.conversation, `${seq} pinned`, from, text);
        if (event.pins.length === 0) this.#tell(`* nothing is pinned in ${this.#place(event.conversation)}`);
        break;
      case 'history':
        if (event.more_after) this.#tell('* there are newer messages');
        break;
      case 'members': {
        const rest = event.count - event.members.length;
        const names = [...event.members.map(presence), ...(rest > 0 ? [`and ${rest} more`] : [])];
        this.#tell(`* in ${this.#place(event.conversation)}: ${names.join(', ')}`);
        break;
      }
      case 'profile':
        this.#tell(`* others see you as ${event.display_name}`);
        break;
      case 'watched':
        for (const user of event.users) this.#presence(user);
        break;
      case 'readers': {
        const names = event.readers.map(({ name }) => name);
        const shown = [...names, ...(event.more ? ['and more'] : [])].join(', ');
        this.#tell(`* message ${event.seq} was read by ${shown || 'nobody'}`);
        break;
      }
      case 'member_count':
        this.#tell(`* ${this.#place(event.conversation)} has ${event.members} members`);
        break;
      case 'presence':
        this.#presence(event);
        break;
      case 'draft':
        if (event.text === '') this.#tell(`* no draft in ${this.#place(event.conversation)}`);
        else this.#tell(`* draft in ${this.#place(event.conversation)}: ${event.text}`);
        break;
      case 'mute':
        this.#tell(`* ${this.#place(event.conversation)} is ${event.until_ms === 0 ? 'not ' : ''}muted`);
        break;
      case 'settings': {
        const { last_seen, invisible, receipts, notifications, language, status_text } = event;
        const shown = [invisible ? 'invisible' : 'visible', `receipts ${receipts ? 'on' : 'off'}`];
        this.#tell(`* you are ${shown.join(', ')}; last seen: ${last_seen}; notifications: ${notifications}`);
        if (language !== '') this.#tell(`* language: ${language}`);
        if (status_text !== '') this.#tell(`* status: ${status_text}`);
        break;
      }
      case 'password':
        this.#tell('* your password is changed; your other sessions have ended');
        break;
      case 'sessions':
        for (const { id, client, address, used_at, current } of event.sessions)
          this.#tell(`* ${id}  ${client}  ${address}  last used ${used_at}${current ? '  (this one)' : ''}`);
        break;
      case 'bot':
        this.#tell(`* bot ${event.name}; its token, which is shown once: ${event.token}`);
        break;
      case 'bots':
        this.#tell(`* bots: ${event.bots.map(({ name }) => name).join(', ') || 'none'}`);
        break;
      case 'closed':
        this.#tell(`* ${event.name ?? 'your account'} is closed`);
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
      case 'read':
        // What is read on another device is on the screen already.
        if (event.unread !== undefined)
          this.#tell(`* ${event.unread} unread in ${this.#place(event.conversation)}`);
        break;
      case 'read_all':
        this.#tell(
          `* you have read everything${event.conversation === null ? '' : ` in ${this.#place(event.conversation)}`}`,
        );
        break;
      case 'thread':
        if (event.summary === null)
          this.#tell(`* nobody has replied to message ${event.root} in ${this.#place(event.conversation)}`);
        break;
      case 'threads':
        for (const { conversation, seq, root, summary } of event.threads) {
          const unread = summary !== null && summary.unread > 0 ? `, ${summary.unread} unread` : '';
          const what = root === null ? 'a message that is no longer kept' : `${root.from}: ${root.text}`;
          this.#tell(
            `* ${this.#place(conversation)} thread ${seq} (${summary?.replies ?? 0}${unread})  ${what}`,
          );
        }
        if (event.threads.length === 0) this.#tell('* you follow no thread');
        if (event.next !== null) this.#tell(`* more: /threads ${event.next}`);
        break;
      case 'followed': {
        const verb = event.followed ? 'follow' : 'no longer follow';
        this.#tell(`* you ${verb} thread ${event.thread} in ${this.#place(event.conversation)}`);
        break;
      }
      case 'sent':
      case 'synced':
      case 'renamed':
      case 'receipts':
        // Sent and missed messages are on the screen already.
        break;
    }
  }

  own(sent: Sent): void {
    // What was typed stands on the screen.
    if (this.#options.echoes && (sent.kind === 'message' || sent.kind === 'edit')) return;
    const event = entryEvent(sent);
    if (event !== undefined) this.print(event);
  }

  note(text: string): void {
    for (const line of text.split('\n')) this.#tell(line);
  }

  /** Prints one line, whatever is in it. */
  #tell(text: string): void {
    this.#out(this.#paint(DIM, sanitize(text)));
  }

  #message(message: MessageLine): void {
    const { conversation, seq, from, text, at, version, quote, retraction, thread, history } = message;
    const time = history === true ? at : undefined;
    if (retraction !== undefined) {
      const place = `[${this.#place(conversation)} ${seq}]`;
      this.#tell(
        `${place} ${this.#time(time)}${from}: retracted by ${this.#name(retraction.by)}${because(retraction.reason)}`,
      );
      return;
    }
    if (quote !== undefined) this.#tell(`  > ${quoted(quote)}`);
    const place = thread === undefined ? `${seq}` : `${seq} in thread ${thread}`;
    this.#say(conversation, version === 0 ? place : `${place} edited`, from, text, time);
    const { thread_summary: summary } = message;
    if (summary !== undefined)
      this.#tell(
        `  ${summary.replies} in its thread${summary.unread > 0 ? `, ${summary.unread} unread` : ''}`,
      );
  }

  /** Prints a text. @param mark its number, and what has become of it: between the brackets nobody can forge it */
  #say(conversation: string, mark: string, from: string, text: string, at?: string): void {
    const place = this.#paint(DIM, `[${sanitize(this.#place(conversation))} ${mark}]`);
    const time = this.#paint(DIM, this.#time(at));
    this.#out(`${place} ${time}${this.#paint(colourOf(from), sanitize(from))}: ${sanitize(text)}`);
  }

  #presence({ user, user_id, status, last_seen }: PresenceLine): void {
    const seen = last_seen === null ? '' : `, last seen ${this.#time(last_seen).trim()}`;
    this.#tell(`* ${user ?? user_id} is ${status}${seen}`);
  }

  #time(at: string | undefined): string {
    return at === undefined ? '' : `${this.#localTime.format(new Date(at))} `;
  }

  #retracted({ conversation, from, target, range, reason }: Retracted): string {
    const what =
      range === null
        ? `message ${target}`
        : `messages ${range.from_seq} to ${range.to_seq} of ${this.#name(range.sender)}`;
    // The reason comes last, so that nothing in it passes for the rest of the line.
    return `${from} has retracted ${what} in ${this.#place(conversation)}${because(reason)}`;
  }

  #system({ event, conversation, what, from, user, role }: System): void {
    // That the user is in the room was told.
    if (what === 'other' || (what === 'joined' && user === this.#me)) return;
    const by = user === from ? null : from;
    this.#change({ event, conversation }, { change: what, user, by, ...(role !== undefined && { role }) });
  }

  /** Tells of a change of members, once. */
  #change(
    { event, conversation }: Pick<MemberNews | System, 'event' | 'conversation'>,
    change: Pick<MemberNews, 'change' | 'user' | 'by' | 'role'>,
  ): void {
    const news = `* ${change.user} ${changeOf(change)} ${this.#place(conversation)}`;
    const isTold = this.#told !== undefined && this.#told.news === news && this.#told.by !== event;
    this.#told = isTold ? undefined : { news, by: event };
    if (!isTold) this.#tell(news);
  }

  #name(user: string): string {
    return this.#options.displayName(user) ?? user;
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

function changeOf({ change, by, role = 'member' }: Pick<MemberNews, 'change' | 'by' | 'role'>): string {
  if (change === 'joined' || change === 'left') return change;
  if (change === 'removed') return `was removed by ${by ?? 'somebody'} from`;
  const noun = `${role === 'owner' ? 'an' : 'a'} ${role}`;
  return by === null ? `is now ${noun} in` : `was made ${noun} by ${by} in`;
}

function presence({ name, display_name, online, idle, role }: ListedMember): string {
  const notes = [
    ...(display_name === name ? [] : [display_name]),
    ...(role === 'member' ? [] : [role]),
    ...(online ? [idle ? 'idle' : 'online'] : []),
  ];
  return notes.length === 0 ? name : `${name} (${notes.join(', ')})`;
}

function because(reason: string): string {
  return reason === '' ? '' : ` (${reason})`;
}

function quoted({ from, text, cut, state }: NonNullable<MessageLine['quote']>): string {
  if (state === 'expired') return 'a message that is no longer kept';
  return state === 'retracted' ? `${from}: retracted` : `${from}: ${text}${cut ? '…' : ''}`;
}

function colourOf(name: string): string {
  let hash = 0;
  for (const char of name) hash = (hash * 31 + (char.codePointAt(0) as number)) >>> 0;
  return NAME_COLOURS[hash % NAME_COLOURS.length] as string;
}
