/** The full-screen client: asks who one is, and then one chats, until one quits. */
import type { Readable, Writable } from 'node:stream';
import { join } from 'node:path';
import { fileStorage } from './storage-file.ts';
import { Model } from './model/mod.ts';
import { ClientError, GochatClient, type GochatClientOptions, signUp } from './sdk/mod.ts';
import { AccountFile, configFolder, type KeptAccount } from './terminal/account-file.ts';
import { Chat } from './terminal/chat.ts';
import { Display, type Frame } from './terminal/display.ts';
import { type Input, Keys } from './terminal/keys.ts';
import { SignIn, type SignInAnswer } from './terminal/sign-in.ts';
import type { Size } from './terminal/view.ts';
import { terminalEn as texts } from './texts/mod.ts';
import { tcpTransport } from './transport-tcp.ts';

/** Changes that no key has made are drawn together after so long, ms. */
const FRAME_MS = 33;
const RESIZE_MS = 50;
/** Largest text for the terminal's clipboard, bytes. */
const MAX_COPIED = 65_536;
/** For the last answers when one quits, ms. */
const LAST_MS = 2_000;
/** The session of a kept login has ended. */
const ENDED = new Set(['LOGGED_OUT', 'REFRESH_INVALID', 'REFRESH_REUSED', 'LOGIN_FAILED', 'BAD_CREDENTIALS']);

export type TerminalInput = Readable & { setRawMode?(on: boolean): unknown };
export type TerminalOutput = Writable & { readonly columns?: number; readonly rows?: number };

export interface TerminalOptions {
  readonly api: string;
  readonly ipconf: string;
  /** Undefined: who is logged in on this computer, else the client asks. */
  readonly user?: string | undefined;
  readonly password?: string | undefined;
  readonly device?: string | undefined;
  readonly input: TerminalInput;
  readonly output: TerminalOutput;
  /** @default process.env */
  readonly environment?: NodeJS.ProcessEnv;
  /** Stops the process until it is continued. */
  readonly suspend?: () => void;
  /** Aborting it ends the client. */
  readonly signal?: AbortSignal;
  readonly sdk?: Partial<GochatClientOptions>;
}

type End = 'quit' | 'logout' | 'logout-everywhere';

/** What is on the screen. */
interface Showing {
  frame(size: Size): Frame;
  take(input: Input): void;
}

/** Runs the client until one quits, or the terminal goes. Resolves with the exit code. */
export async function runTerminal(options: TerminalOptions): Promise<number> {
  const screen = new Screen(options);
  try {
    screen.open();
    return await new Session(options, screen).run();
  } finally {
    screen.close();
  }
}

/** The terminal: gives keys to what is shown, and draws it when it has changed. */
class Screen {
  readonly #options: TerminalOptions;
  readonly #display: Display;
  readonly #keys = new Keys((input) => this.#take(input));
  readonly #ended = Promise.withResolvers<'gone'>();
  #showing: Showing | undefined;
  #isBare = false;
  #frameTimer: ReturnType<typeof setTimeout> | undefined;
  #resizeTimer: ReturnType<typeof setTimeout> | undefined;
  readonly #onData = (bytes: Buffer) => this.#keys.write(bytes);
  readonly #onResize = () => {
    clearTimeout(this.#resizeTimer);
    this.#resizeTimer = setTimeout(() => {
      this.#display.redraw();
      this.changed(true);
    }, RESIZE_MS);
  };
  readonly #onDrain = () => this.changed(false);
  readonly #onGone = () => this.#ended.resolve('gone');
  readonly #onContinue = () => {
    this.open();
  };

  constructor(options: TerminalOptions) {
    this.#options = options;
    const environment = options.environment ?? process.env;
    this.#display = new Display(options.output, {
      hasColour: (environment['NO_COLOR'] ?? '') === '',
      isAscii: !isUtf8(environment),
    });
  }

  /** Resolves when the terminal has gone. */
  get gone(): Promise<'gone'> {
    return this.#ended.promise;
  }

  get size(): Size {
    const { columns = 80, rows = 24 } = this.#options.output;
    return { width: columns, height: rows };
  }

  open(): void {
    const { input, output } = this.#options;
    this.#detach();
    input.on('data', this.#onData).on('end', this.#onGone).on('error', this.#onGone);
    output.on('resize', this.#onResize).on('drain', this.#onDrain).on('error', this.#onGone);
    process.on('SIGCONT', this.#onContinue);
    input.setRawMode?.(true);
    input.resume();
    this.#display.open();
    this.changed(true);
  }

  close(): void {
    const { input, output } = this.#options;
    this.#detach();
    this.#keys.close();
    clearTimeout(this.#frameTimer);
    clearTimeout(this.#resizeTimer);
    this.#display.close();
    // What comes after the end, such as of a terminal that has gone, ends nothing any more.
    output.on('error', () => undefined);
    input.on('error', () => undefined);
    try {
      input.setRawMode?.(false);
    } catch {
      // The terminal has gone.
    }
    input.pause();
  }

  show(showing: Showing): void {
    this.#showing = showing;
    this.changed(true);
  }

  changed(isUrgent: boolean): void {
    if (isUrgent) this.#draw();
    else this.#frameTimer ??= setTimeout(() => this.#draw(), FRAME_MS);
  }

  redraw(): void {
    this.#display.redraw();
    this.changed(true);
  }

  bell(): void {
    this.#display.bell();
  }

  suspend(): void {
    const { input, suspend = () => process.kill(0, 'SIGTSTP') } = this.#options;
    this.#display.close();
    input.setRawMode?.(false);
    suspend();
  }

  /** Leaves the alternate screen with some lines, until a key comes. */
  bare(lines: readonly string[]): void {
    this.#display.close();
    this.#isBare = true;
    this.#options.output.write(`${lines.join('\r\n')}\r\n`);
  }

  /** Through the terminal, to the clipboard of who sits before it (OSC 52). */
  copy(text: string): void {
    const bytes = Buffer.from(text);
    if (bytes.length <= MAX_COPIED) this.#options.output.write(`\x1b]52;c;${bytes.toString('base64')}\x07`);
  }

  #take(input: Input): void {
    if (this.#isBare) {
      if (input.type === 'focus') return;
      this.#isBare = false;
      this.#display.open();
      this.changed(true);
      return;
    }
    this.#showing?.take(input);
  }

  #draw(): void {
    clearTimeout(this.#frameTimer);
    this.#frameTimer = undefined;
    // What the terminal has not taken yet is not added to: `drain` draws again.
    if (this.#showing === undefined || this.#isBare || this.#display.isBusy) return;
    this.#display.draw(this.#showing.frame(this.size));
  }

  #detach(): void {
    const { input, output } = this.#options;
    input.off('data', this.#onData).off('end', this.#onGone).off('error', this.#onGone);
    output.off('resize', this.#onResize).off('drain', this.#onDrain).off('error', this.#onGone);
    process.off('SIGCONT', this.#onContinue);
  }
}

/** Who is logged in, from the form or from before, and the chat. */
class Session {
  readonly #options: TerminalOptions;
  readonly #screen: Screen;
  readonly #file: AccountFile;
  readonly #folder: string | undefined;

  constructor(options: TerminalOptions, screen: Screen) {
    this.#options = options;
    this.#screen = screen;
    this.#folder = configFolder(options.environment);
    this.#file = new AccountFile(this.#folder);
  }

  async run(): Promise<number> {
    const { api, user, password } = this.#options;
    if (user !== undefined && password !== undefined) {
      const reason = await this.#chat({ isSignUp: false, user, password, stays: false }, undefined);
      return reason === undefined ? 0 : 1;
    }
    let kept = this.#file.read(api);
    if (user !== undefined && kept?.user !== user) kept = undefined;
    const reason = kept === undefined ? undefined : await this.#chat(undefined, kept);
    if (kept !== undefined && reason === undefined) return 0;
    const form = new SignIn({
      server: new URL(api).host,
      user: user ?? kept?.user ?? '',
      canStay: this.#file.isWritable,
      hint: '',
    });
    if (reason !== undefined) form.refuse(reason);
    await this.#signIn(form);
    return 0;
  }

  /** Shows the form until one quits, or a login has worked and its chat has ended. */
  async #signIn(form: SignIn): Promise<void> {
    void this.#demo().then((hint) => {
      form.hint = hint;
      this.#screen.changed(false);
    });
    while (true) {
      const { promise, resolve } = Promise.withResolvers<SignInAnswer | 'quit'>();
      this.#screen.show({
        frame: (size) => ({ ...form.draw(size), title: 'GoChat' }),
        take: (input) => {
          const answer = form.take(input);
          if (answer !== undefined) resolve(answer);
          this.#screen.changed(true);
        },
      });
      const answer = await Promise.race([promise, this.#screen.gone, aborted(this.#options.signal)]);
      if (typeof answer === 'string') return;
      try {
        if (answer.isSignUp)
          await signUp({
            api: this.#options.api,
            name: answer.user,
            password: answer.password,
            ...(this.#options.sdk?.fetch && { fetch: this.#options.sdk.fetch }),
          });
      } catch (error) {
        form.refuse(ClientError.from(error).message);
        continue;
      }
      const reason = await this.#chat(answer, undefined);
      if (reason === undefined) return;
      form.refuse(reason);
    }
  }

  /** Which demo accounts there are; empty: none, or it is not known. */
  async #demo(): Promise<string> {
    try {
      const { api, sdk } = this.#options;
      const { fetch = globalThis.fetch } = sdk ?? {};
      const response = await fetch(new URL('/page.json', api).href, {
        signal: AbortSignal.timeout(3_000),
      });
      const { demo } = (await response.json()) as { demo?: { users: string[]; password: string } | null };
      return demo === undefined || demo === null ? '' : texts.demo(demo.users.join(', '), demo.password);
    } catch {
      return '';
    }
  }

  /** Chats until one quits. Returns why the login did not work; undefined: it has. */
  async #chat(answer: SignInAnswer | undefined, kept: KeptAccount | undefined): Promise<string | undefined> {
    const { api, ipconf, device, sdk, signal } = this.#options;
    const user = answer?.user ?? kept?.user ?? '';
    const keep = (refreshToken: string | undefined) => {
      if (answer?.stays === true || kept !== undefined)
        this.#file.write(refreshToken === undefined ? undefined : { api, user, refreshToken });
    };
    const client = new GochatClient({
      api,
      ipconf,
      ...(answer === undefined ? {} : { user, password: answer.password }),
      ...(kept && { refreshToken: kept.refreshToken }),
      onRefreshToken: keep,
      device: device ?? '',
      transport: tcpTransport(),
      client: 'gochat-terminal',
      // What was missed is fetched where one looks at it.
      catchUp: 50,
      newDevice: 0,
      ...(this.#folder !== undefined &&
        this.#file.isWritable && {
          storage: fileStorage(join(this.#folder, 'outbox', encodeURIComponent(user))),
        }),
      // A login that was kept is shown at once, and connects when it can.
      ...(kept && { firstConnectMs: Infinity }),
      ...sdk,
    });
    const model = new Model(client);
    const ended = Promise.withResolvers<End>();
    const screen = this.#screen;
    const chat = new Chat(
      client,
      model,
      {
        now: () => Date.now(),
        changed: (isUrgent) => screen.changed(isUrgent),
        redraw: () => screen.redraw(),
        bell: () => screen.bell(),
        suspend: () => screen.suspend(),
        bare: (lines) => screen.bare(lines),
        copy: (text) => screen.copy(text),
        quit: (how) => ended.resolve(how),
      },
      screen.size,
    );
    const closed = Promise.withResolvers<ClientError>();
    client.on('disconnected', ({ code, reason, retryInMs }) => {
      if (retryInMs === undefined) closed.resolve(new ClientError(code, reason, false));
    });
    const showing: Showing = {
      frame: (size) => {
        chat.resize(size);
        return chat.frame();
      },
      take: (input) => chat.take(input),
    };
    try {
      if (kept !== undefined) screen.show(showing);
      const first = await Promise.race([
        client.connect().then(() => 'connected' as const),
        ended.promise,
        screen.gone,
        aborted(signal),
      ]);
      if (first === 'connected') screen.show(showing);
      const how =
        first === 'connected'
          ? await Promise.race([ended.promise, screen.gone, aborted(signal), closed.promise])
          : first;
      if (how instanceof ClientError) return how.message;
      await this.#end(client, chat, how);
      return undefined;
    } catch (error) {
      const { code, message } = ClientError.from(error);
      if (kept !== undefined && ENDED.has(code)) this.#file.write(undefined);
      return message;
    } finally {
      chat.close();
      model.close();
      await client.close();
    }
  }

  /** Saves what was not sent, and goes. */
  async #end(client: GochatClient, chat: Chat, how: End | 'gone'): Promise<void> {
    const { unsent } = chat;
    const last: Promise<unknown>[] = [];
    if (unsent !== undefined && unsent.text !== '')
      last.push(client.saveDraft(unsent.conversation, unsent.text));
    await Promise.race([
      Promise.allSettled(last),
      new Promise((resolve) => setTimeout(resolve, LAST_MS).unref()),
    ]);
    if (how === 'logout' || how === 'logout-everywhere') {
      await client.logout({ everywhere: how === 'logout-everywhere' }).catch(() => undefined);
      this.#file.write(undefined);
    }
  }
}

function aborted(signal: AbortSignal | undefined): Promise<'gone'> {
  const { promise, resolve } = Promise.withResolvers<'gone'>();
  if (signal?.aborted === true) resolve('gone');
  signal?.addEventListener('abort', () => resolve('gone'), { once: true });
  return promise;
}

/** As setlocale(3) decides; macOS and Windows say nothing and mean UTF-8. */
function isUtf8(environment: NodeJS.ProcessEnv): boolean {
  const locale = environment['LC_ALL'] || environment['LC_CTYPE'] || environment['LANG'];
  return locale === undefined || locale === ''
    ? process.platform !== 'linux' || locale === undefined
    : /utf-?8/i.test(locale);
}
