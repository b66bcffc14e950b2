/**
 * A session of plain mode: handles lines in order, keeps a window of sends in flight, and waits for the last answers.
 */
import type { Writable } from 'node:stream';
import type {
  ClientEvent,
  Conversation,
  GochatClient,
  SendOptions,
  Sent,
  Target,
  UserSettingsVersion,
  WatchTargets,
} from '../sdk/mod.ts';
import { ClientError } from '../sdk/mod.ts';
import { type Action, type CommandSession, invalid } from './command.ts';
import { parseLine } from './commands.ts';
import { type LineSource, NOT_UTF8 } from './lines.ts';
import {
  entryEvent,
  type Printer,
  toListed,
  toPresenceLine,
  toReceiptLine,
  toSettingsLine,
} from './printer.ts';
import type { Terminal } from './terminal.ts';

/** Most unanswered sends; further input waits. */
const WINDOW = 256;

export interface PlainSessionOptions {
  readonly client: GochatClient;
  readonly lines: LineSource;
  readonly printer: Printer;
  readonly output: Writable;
  readonly timeoutMs: number;
  readonly terminal: Terminal | undefined;
  readonly signal: AbortSignal | undefined;
}

export class PlainSession {
  readonly #options: PlainSessionOptions;
  readonly #client: GochatClient;
  readonly #printer: Printer;
  readonly #commandSession: CommandSession;
  #current: Conversation | undefined;
  /** client_msg_ids of the last messages said, by conversation. */
  readonly #said = new Map<string, Target>();
  /** Of the settings printed last. */
  #settingsVersion = 0;
  #watched: WatchTargets = { conversations: [], users: [], idle: false };
  #pending = 0;
  #synced = false;
  /** The client has ended, or the reader of the output has gone. */
  #stopped = false;
  /** Code of the first failure that determines the exit code. */
  #failure: string | undefined;
  #check: ((progress: boolean) => void) | undefined;

  constructor(options: PlainSessionOptions) {
    this.#options = options;
    this.#client = options.client;
    this.#printer = options.printer;
    this.#commandSession = {
      client: options.client,
      printer: options.printer,
      conversation: () => this.#conversation(),
      switchTo: (open) => this.#switchTo(open),
      say: (text, sendOptions) => this.#say(text, sendOptions),
      send: (make) => this.#send(make),
      lastSaid: () => this.#lastSaid(),
      watch: (change) => this.#watch(change),
      showSettings: (settings) => this.#showSettings(settings),
      settle: () => this.#settle(),
    };
  }

  /** Resolves with the code of the first failure; undefined if there was none. */
  async run(): Promise<string | undefined> {
    const { output, signal, lines } = this.#options;
    this.#client.onAny((event) => this.#onEvent(event));
    const onDrain = () => {
      this.#client.resume();
      this.#progress();
    };
    const onOutputError = (error: Error) => this.#stop(ClientError.from(error).code);
    const onAbort = () => this.#stop();
    output.on('drain', onDrain).on('error', onOutputError);
    signal?.addEventListener('abort', onAbort);
    try {
      if (signal?.aborted !== true) await this.#converse();
    } finally {
      lines.close();
      await this.#client.close();
      signal?.removeEventListener('abort', onAbort);
      output.off('drain', onDrain).off('error', onOutputError);
    }
    return this.#failure;
  }

  async #converse(): Promise<void> {
    try {
      await this.#client.connect();
    } catch (error) {
      // Whoever aborts knows the reason.
      if (!this.#stopped) this.#complain(error, true);
      return;
    }
    await this.#deadline(await this.#until(() => this.#synced));
    if (this.#options.terminal !== undefined) this.#printer.note('* /help lists the commands');
    let lineNumber = 0;
    while (!this.#stopped) {
      const line = await this.#options.lines.next();
      if (line === undefined) break;
      lineNumber++;
      if (line === NOT_UTF8) {
        this.#complain(ClientError.local('INPUT_NOT_UTF8', { details: { line: lineNumber } }), true);
        continue;
      }
      const action = parseLine(line);
      if (action === 'quit') break;
      if (action === 'logout' || action === 'logout-everywhere') {
        await this.#logout(action === 'logout-everywhere');
        return;
      }
      if (action !== undefined) await this.#execute(action);
    }
    await this.#settle();
    await this.#synchronise();
  }

  async #execute(action: Exclude<Action, string>): Promise<void> {
    try {
      await action(this.#commandSession);
    } catch (error) {
      // A person reads the message and goes on; a script learns from the exit code that a line failed.
      this.#complain(error, this.#options.terminal === undefined);
    }
  }

  /** After a failed switch, lines must not go to the previous conversation. */
  async #switchTo(open: () => Promise<Conversation>): Promise<void> {
    this.#setCurrent(undefined);
    const conversation = await open();
    this.#setCurrent(conversation);
    const { id, name, kind } = conversation;
    this.#printer.print({ event: 'joined', conversation: id, name, kind });
  }

  #setCurrent(conversation: Conversation | undefined): void {
    this.#current = conversation;
    const sigil = conversation?.kind === 'room' ? '#' : '@';
    this.#options.terminal?.setPrompt(conversation === undefined ? '> ' : `${sigil}${conversation.name}> `);
  }

  #conversation(): Conversation {
    if (this.#current === undefined) throw ClientError.local('NO_CONVERSATION');
    return this.#current;
  }

  #say(text: string, options: SendOptions = {}): Promise<void> {
    return this.#send((conversation) => {
      const clientMsgId = this.#client.nextMessageId();
      this.#said.set(conversation, clientMsgId);
      return this.#client.send(conversation, text, { ...options, clientMsgId });
    });
  }

  #lastSaid(): Target {
    const target = this.#said.get(this.#conversation().id);
    if (target === undefined) throw invalid('You have said nothing here yet.');
    return target;
  }

  async #send(make: (conversation: string) => Promise<Sent>): Promise<void> {
    const { id } = this.#conversation();
    await this.#deadline(await this.#until(() => this.#pending < WINDOW));
    if (this.#stopped) return;
    this.#pending++;
    make(id).then(
      (sent) => {
        this.#pending--;
        this.#printer.own(sent);
        this.#progress();
      },
      (error: unknown) => {
        this.#pending--;
        this.#failure ??= ClientError.from(error).code;
        this.#progress();
      },
    );
  }

  async #watch(change: Partial<WatchTargets>): Promise<void> {
    const targets = { ...this.#watched, ...change };
    await this.#client.watch(targets);
    this.#watched = targets;
  }

  async #logout(everywhere: boolean): Promise<void> {
    await this.#settle();
    try {
      await this.#client.logout({ everywhere });
    } catch (error) {
      this.#complain(error, true);
    }
  }

  /** A client without a device name is told of its own changes, too. */
  #showSettings(settings: UserSettingsVersion): void {
    if (settings.version <= this.#settingsVersion) return;
    this.#settingsVersion = settings.version;
    this.#printer.print({ event: 'settings', ...toSettingsLine(settings) });
  }

  /** Waits until all sends are answered. */
  async #settle(): Promise<void> {
    await this.#deadline(await this.#until(() => this.#pending === 0));
  }

  /** Waits for the messages that a join or a gap made the client request. */
  async #synchronise(): Promise<void> {
    let done = false;
    void this.#client.synchronised().then(() => {
      done = true;
      this.#progress();
    });
    await this.#deadline(await this.#until(() => done));
  }

  /** Ends the run if a wait timed out: unanswered sends fail. */
  async #deadline(inTime: boolean): Promise<void> {
    if (inTime || this.#stopped) return;
    const error = ClientError.local('DEADLINE_EXCEEDED');
    if (this.#pending === 0) this.#complain(error, true);
    const closed = this.#client.close(error);
    this.#stop(error.code);
    await closed;
  }

  /** Resolves with true when `done` holds, with false if the run stops or makes no progress for too long. */
  #until(done: () => boolean): Promise<boolean> {
    if (done()) return Promise.resolve(true);
    if (this.#stopped) return Promise.resolve(false);
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const finish = (result: boolean) => {
      clearTimeout(timer);
      this.#check = undefined;
      resolve(result);
    };
    const timer = setTimeout(() => {
      // A slow reader of the output is not the server's fault.
      if (this.#options.output.writableNeedDrain) timer.refresh();
      else finish(false);
    }, this.#options.timeoutMs);
    this.#check = (progress) => {
      if (done()) finish(true);
      else if (this.#stopped) finish(false);
      else if (progress) timer.refresh();
    };
    return promise;
  }

  #progress(): void {
    this.#check?.(true);
  }

  #stop(code?: string): void {
    if (code !== undefined) this.#failure ??= code;
    this.#stopped = true;
    this.#options.lines.close();
    this.#check?.(false);
    void this.#client.close();
  }

  #complain(error: unknown, counts: boolean): void {
    const { code, message } = ClientError.from(error);
    if (counts) this.#failure ??= code;
    this.#printer.print({ event: 'error', code, message });
  }

  #onEvent(event: ClientEvent): void {
    switch (event.type) {
      case 'connected': {
        const { session, userName: user, displayName: display_name, gateway, resumed } = event;
        this.#printer.print({ event: 'connected', session, user, display_name, gateway, resumed });
        break;
      }
      case 'message':
      case 'edited':
      case 'retracted':
      case 'pinned':
      case 'unpinned':
      case 'system': {
        const line = entryEvent(event);
        if (line !== undefined) this.#printer.print(line);
        // Entries shown in the current conversation count as read.
        if (event.conversation === this.#current?.id) this.#client.markRead(event.conversation, event.seq);
        break;
      }
      case 'skipped': {
        const { conversation, fromSeq: from_seq, toSeq: to_seq } = event;
        this.#printer.print({ event: 'skipped', conversation, from_seq, to_seq });
        break;
      }
      case 'listed':
        this.#printer.print({ event: 'listed', conversations: event.conversations.map(toListed) });
        break;
      case 'renamed':
        this.#printer.print({ event: 'renamed', user_id: event.user, display_name: event.displayName });
        break;
      case 'opened': {
        const { conversation, name, kind } = event;
        this.#printer.print({ event: 'opened', conversation, name, kind });
        break;
      }
      case 'left': {
        const { conversation, name, reason } = event;
        if (conversation === this.#current?.id) this.#setCurrent(undefined);
        this.#printer.print({ event: reason, conversation, name });
        break;
      }
      case 'member': {
        const { conversation, change, name: user, by, afterSeq: after_seq, role } = event;
        const news = { conversation, change, user, by: by || null, after_seq };
        this.#printer.print({ event: 'member', ...news, ...(role !== undefined && { role }) });
        break;
      }
      case 'self': {
        // The whole answers /drafts, or comes after a reconnect.
        if (event.isWhole) break;
        for (const { conversation, readSeq: read_seq, readEpoch: read_epoch, thread } of event.reads) {
          const read = { conversation, read_seq, read_epoch, ...(thread !== undefined && { thread }) };
          this.#printer.print({ event: 'read', ...read });
        }
        for (const { conversation, text, atMs } of event.drafts)
          this.#printer.print({ event: 'draft', conversation, text, at: new Date(atMs).toISOString() });
        for (const { conversation, untilMs: until_ms } of event.mutes)
          this.#printer.print({ event: 'mute', conversation, until_ms });
        if (event.settings !== undefined) this.#showSettings(event.settings);
        break;
      }
      case 'watched':
        this.#printer.print({
          event: 'watched',
          conversations: event.conversations.map(({ receipts, ...each }) => ({
            ...each,
            receipts: receipts.map(toReceiptLine),
          })),
          users: event.users.map((user) => toPresenceLine(this.#client, user)),
        });
        break;
      case 'receipts': {
        const { conversation, receipts } = event;
        this.#printer.print({ event: 'receipts', conversation, receipts: receipts.map(toReceiptLine) });
        break;
      }
      case 'memberCount': {
        const { conversation, members } = event;
        this.#printer.print({ event: 'member_count', conversation, members });
        break;
      }
      case 'presence':
        this.#printer.print({ event: 'presence', ...toPresenceLine(this.#client, event) });
        break;
      case 'sent': {
        const { clientMsgId: client_msg_id, conversation, seq, id, duplicate, kind } = event;
        const target = 'target' in event ? event.target : 'replyTo' in event ? event.replyTo : undefined;
        const line = { client_msg_id, conversation, seq, id, duplicate, kind };
        this.#printer.print({ event: 'sent', ...line, ...(target !== undefined && { target }) });
        this.#client.markRead(conversation, seq);
        break;
      }
      case 'failed': {
        const { clientMsgId: client_msg_id, code, message, retryable, kind } = event;
        this.#printer.print({ event: 'failed', client_msg_id, code, message, retryable, kind });
        break;
      }
      case 'synced':
        this.#synced = true;
        this.#printer.print({ event: 'synced', messages: event.messages });
        break;
      case 'disconnected': {
        const { code, reason, retryInMs } = event;
        this.#printer.print({ event: 'disconnected', code, reason, retry_in_ms: retryInMs ?? null });
        if (retryInMs === undefined) this.#stop(code);
        break;
      }
      case 'error':
        this.#printer.print({ event: 'error', code: event.code, message: event.message });
        break;
    }
    // Pushes are progress only while synchronising.
    if (event.type !== 'message' || !this.#synced) this.#progress();
    if (this.#options.output.writableNeedDrain) this.#client.pause();
  }
}
