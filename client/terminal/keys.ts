/** Input of a terminal: keys, pasted text and focus, from bytes. */
import { StringDecoder } from 'node:string_decoder';

/**
 * 'key': its name, such as `enter`, `up`, `f1`, `ctrl-k`, `alt-a`, `alt-left`. 'text': typed characters. 'paste': a text that
 * did not come from keys.
 */
export type Input =
  | { readonly type: 'key'; readonly name: string }
  | { readonly type: 'text' | 'paste'; readonly text: string }
  | { readonly type: 'focus'; readonly isFocused: boolean };

/** A lone ESC is the key once nothing has followed it for so long, ms. */
const ESCAPE_MS = 50;
/** Longest escape sequence that is waited for, characters. */
const MAX_SEQUENCE = 64;
/** Longest paste, characters; what follows is dropped. */
const MAX_PASTE = 4_000_000;
const PASTE_END = '\x1b[201~';

/** Final letters of CSI and SS3. */
const FINALS: Readonly<Record<string, string>> = {
  A: 'up',
  B: 'down',
  C: 'right',
  D: 'left',
  F: 'end',
  H: 'home',
  P: 'f1',
  Q: 'f2',
  R: 'f3',
  S: 'f4',
  Z: 'shift-tab',
};
/** First parameters of CSI … ~. */
const TILDES: Readonly<Record<string, string>> = {
  1: 'home',
  2: 'insert',
  3: 'delete',
  4: 'end',
  5: 'pageup',
  6: 'pagedown',
  7: 'home',
  8: 'end',
  11: 'f1',
  12: 'f2',
  13: 'f3',
  14: 'f4',
  15: 'f5',
  17: 'f6',
  18: 'f7',
  19: 'f8',
  20: 'f9',
};
const CONTROLS: Readonly<Record<number, string>> = {
  9: 'tab',
  13: 'enter',
  127: 'backspace',
  8: 'backspace',
};
// oxlint-disable-next-line no-control-regex -- As terminals send them.
const SEQUENCE = /^\x1b(?:\[[<=>?]?[\d;:]*[ -/]*[@-~]|O[\d;]*[A-Za-z])/;
// oxlint-disable-next-line no-control-regex -- As terminals send them.
const UNFINISHED = /^\x1b(?:\[[<=>?]?[\d;:]*[ -/]*|O[\d;]*)?$/;
// oxlint-disable-next-line no-control-regex -- As terminals send them.
const TYPED = /^[^\u0000-\u001f\u007f-\u009f]+/;

export class Keys {
  readonly #emit: (input: Input) => void;
  readonly #decoder = new StringDecoder('utf8');
  #buffer = '';
  /** What was pasted; undefined: no paste is under way. */
  #paste: string | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(emit: (input: Input) => void) {
    this.#emit = emit;
  }

  /** Takes what the terminal has sent. */
  write(bytes: Buffer): void {
    clearTimeout(this.#timer);
    const text = this.#decoder.write(bytes);
    // Terminals that do not mark pastes send several lines at once; nobody types so fast.
    const isBlind = this.#paste === undefined && this.#buffer === '' && !text.includes('\x1b');
    if (isBlind && /[\r\n][^]*[^\r\n][^]*[\r\n]/.test(text)) {
      this.#emit({ type: 'paste', text: lines(text) });
      return;
    }
    this.#buffer += text;
    while (this.#buffer !== '' && this.#step()) {
      // One input after the other.
    }
    if (this.#buffer !== '' && this.#paste === undefined)
      this.#timer = setTimeout(() => this.#giveUp(), ESCAPE_MS);
  }

  close(): void {
    clearTimeout(this.#timer);
  }

  /** Takes one input from the buffer; false: it has to grow. */
  #step(): boolean {
    if (this.#paste !== undefined) return this.#pasted();
    const buffer = this.#buffer;
    const typed = TYPED.exec(buffer)?.[0];
    if (typed !== undefined) return this.#take(typed.length, { type: 'text', text: typed });
    if (!buffer.startsWith('\x1b')) {
      const code = buffer.charCodeAt(0);
      return this.#take(1, { type: 'key', name: CONTROLS[code] ?? controlName(code) });
    }
    if (buffer.startsWith('\x1b[200~')) {
      this.#buffer = buffer.slice(6);
      this.#paste = '';
      return true;
    }
    const sequence = SEQUENCE.exec(buffer)?.[0];
    if (sequence !== undefined) return this.#take(sequence.length, decode(sequence));
    if (UNFINISHED.test(buffer) && buffer.length < MAX_SEQUENCE) return false;
    return this.#alt();
  }

  /** ESC and a character in one read is that key with Alt. */
  #alt(): boolean {
    const next = this.#buffer.slice(1);
    const char = String.fromCodePoint(next.codePointAt(0) as number);
    const code = char.charCodeAt(0);
    if (code === 27) return this.#take(1, { type: 'key', name: 'escape' });
    const name = code < 32 || code === 127 ? (CONTROLS[code] ?? controlName(code)) : char.toLowerCase();
    return this.#take(1 + char.length, { type: 'key', name: `alt-${name}` });
  }

  #pasted(): boolean {
    const end = this.#buffer.indexOf(PASTE_END);
    // The end may come in parts.
    const upTo = end === -1 ? Math.max(0, this.#buffer.length - PASTE_END.length + 1) : end;
    this.#paste = `${this.#paste}${this.#buffer.slice(0, upTo)}`.slice(0, MAX_PASTE);
    this.#buffer = this.#buffer.slice(end === -1 ? upTo : end + PASTE_END.length);
    if (end === -1) return false;
    this.#emit({ type: 'paste', text: lines(this.#paste) });
    this.#paste = undefined;
    return true;
  }

  #take(length: number, input: Input | undefined): boolean {
    this.#buffer = this.#buffer.slice(length);
    if (input !== undefined) this.#emit(input);
    return true;
  }

  /** Nothing has followed: what is there are keys. */
  #giveUp(): void {
    if (this.#buffer === '\x1b') this.#take(1, { type: 'key', name: 'escape' });
    else if (this.#buffer.length === 2) this.#alt();
    else this.#buffer = '';
  }
}

function controlName(code: number): string {
  if (code === 0) return 'ctrl-space';
  if (code === 31) return 'ctrl-_';
  return code < 27 ? `ctrl-${String.fromCharCode(code + 96)}` : 'unknown';
}

function decode(sequence: string): Input | undefined {
  if (sequence === '\x1b[I' || sequence === '\x1b[O')
    return { type: 'focus', isFocused: sequence.endsWith('I') };
  const final = sequence.at(-1) as string;
  const [first = '', second = ''] = sequence.slice(2, -1).split(';');
  // With other numbers they are answers, such as where the cursor is.
  const isKey = first === '' || first === '1';
  const name = final === '~' ? TILDES[first] : isKey ? FINALS[final] : undefined;
  return name === undefined ? undefined : { type: 'key', name: `${modifiers(Number(second || 1))}${name}` };
}

/** As xterm tells them: 1 and bits for Shift, Alt, Ctrl. */
function modifiers(value: number): string {
  const bits = value - 1;
  return `${bits & 4 ? 'ctrl-' : ''}${bits & 2 ? 'alt-' : ''}${bits & 1 ? 'shift-' : ''}`;
}

function lines(text: string): string {
  return text.replace(/\r\n?/g, '\n').replace(/\n+$/, '');
}
