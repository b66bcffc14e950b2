/** Signing in: the form, and what becomes of it. */
import { en, terminalEn as texts } from '../texts/mod.ts';
import type { Drawn } from './chat-screen.ts';
import type { Input } from './keys.ts';
import { drawSignIn, type SignInField } from './sign-in-screen.ts';
import { graphemes } from './text.ts';
import type { Size } from './view.ts';

export interface SignInAnswer {
  readonly isSignUp: boolean;
  readonly user: string;
  readonly password: string;
  readonly stays: boolean;
}

export interface SignInOptions {
  readonly server: string;
  readonly user: string;
  /** Whether a login can be kept. */
  readonly canStay: boolean;
  /** Such as which demo accounts there are. */
  readonly hint: string;
}

type Value = 'handle' | 'password' | 'again';

export class SignIn {
  readonly #options: SignInOptions;
  readonly #values: Record<Value, string>;
  #isSignUp = false;
  #stays: boolean;
  #isShown = false;
  #focus: SignInField;
  #error = '';
  #hint: string;
  /** Whether an answer is being tried. */
  isBusy = false;

  constructor(options: SignInOptions) {
    this.#options = options;
    this.#values = { handle: options.user, password: '', again: '' };
    this.#stays = options.canStay;
    this.#focus = options.user === '' ? 'handle' : 'password';
    this.#hint = options.hint;
  }

  /** Says why an answer was refused. */
  refuse(reason: string): void {
    this.#error = reason;
    this.isBusy = false;
  }

  set hint(text: string) {
    this.#hint = text;
  }

  draw(size: Size): Drawn {
    const masked = (text: string) => (this.#isShown ? text : '*'.repeat(graphemes(text).length));
    const { handle, password, again } = this.#values;
    const plain = { note: '', isError: false };
    const differs = again !== '' && again !== password;
    const kept = this.#options.canStay ? texts.kept : texts.notKept;
    return drawSignIn(
      {
        server: this.#options.server,
        isSignUp: this.#isSignUp,
        actions: [texts.login, texts.signUp],
        fields: [
          { field: 'handle', label: en.handle, value: handle, ...plain },
          {
            field: 'password',
            label: en.password,
            value: masked(password),
            note: texts.altRShows,
            isError: false,
          },
          ...(this.#isSignUp
            ? [
                {
                  field: 'again' as const,
                  label: texts.again,
                  value: masked(again),
                  note: differs ? texts.notTheSame : '',
                  isError: differs,
                },
              ]
            : []),
          {
            field: 'stay',
            label: texts.stay,
            value: this.#stays ? '[x]' : '[ ]',
            note: texts.onThisComputer,
            isError: false,
          },
        ],
        focus: this.#focus,
        submit: this.isBusy ? en.signingIn : this.#isSignUp ? texts.signUp : texts.login,
        notes: [
          ...(this.#error === '' ? [] : [{ text: this.#error, isError: true }]),
          ...(this.#hint === '' ? [] : [{ text: this.#hint, isError: false }]),
          { text: kept, isError: false },
        ],
        help: texts.formHelp,
        helpKey: '',
      },
      size,
    );
  }

  /** Returns an answer to be tried, 'quit', or undefined: one goes on. */
  take(input: Input): SignInAnswer | 'quit' | undefined {
    if (this.isBusy) return input.type === 'key' && input.name === 'ctrl-c' ? 'quit' : undefined;
    if (input.type === 'text' || input.type === 'paste') this.#type(input.text);
    if (input.type !== 'key') return undefined;
    switch (input.name) {
      case 'escape':
      case 'ctrl-c':
        return 'quit';
      case 'tab':
      case 'down':
        this.#move(1);
        break;
      case 'shift-tab':
      case 'up':
        this.#move(-1);
        break;
      case 'left':
      case 'right':
        if (this.#focus === 'action') this.#isSignUp = !this.#isSignUp;
        if (this.#focus === 'stay') this.#toggleStay();
        break;
      case 'alt-r':
        this.#isShown = !this.#isShown;
        break;
      case 'backspace':
        this.#change((text) => graphemes(text).slice(0, -1).join(''));
        break;
      case 'ctrl-u':
      case 'ctrl-w':
        this.#change(() => '');
        break;
      case 'enter':
        return this.#enter();
      default:
    }
    return undefined;
  }

  #type(text: string): void {
    if (this.#focus === 'stay' && text === ' ') this.#toggleStay();
    if (this.#focus === 'action' && text === ' ') this.#isSignUp = !this.#isSignUp;
    this.#change((value) => value + text.replaceAll('\n', ''));
  }

  #change(edit: (value: string) => string): void {
    const field = this.#focus;
    if (field === 'handle' || field === 'password' || field === 'again')
      this.#values[field] = edit(this.#values[field]);
    this.#error = '';
  }

  #toggleStay(): void {
    this.#stays = this.#options.canStay && !this.#stays;
  }

  get #order(): readonly SignInField[] {
    return ['action', 'handle', 'password', ...(this.#isSignUp ? ['again' as const] : []), 'stay', 'submit'];
  }

  #move(by: number): void {
    const order = this.#order;
    const at = order.indexOf(this.#focus) + by;
    this.#focus = order[(at + order.length) % order.length] as SignInField;
  }

  #enter(): SignInAnswer | undefined {
    const { handle, password, again } = this.#values;
    const missing = handle.trim() === '' ? 'handle' : password === '' ? 'password' : undefined;
    if (missing !== undefined) {
      const isThere = this.#focus === missing;
      this.#focus = missing;
      if (isThere) this.#error = `${missing === 'handle' ? en.handle : en.password} ${texts.empty}`;
      return undefined;
    }
    if (this.#isSignUp && again !== password) {
      this.#focus = 'again';
      return undefined;
    }
    this.isBusy = true;
    this.#error = '';
    return {
      isSignUp: this.#isSignUp,
      user: handle.trim().replace(/^@/, ''),
      password,
      stays: this.#stays,
    };
  }
}
