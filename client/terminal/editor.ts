/** The text that one writes, with a cursor: editing as readline does it. */
import { graphemes } from './text.ts';

const MAX_UNDO = 100;
const MAX_HISTORY = 100;

export class Editor {
  /** Graphemes before and behind the cursor. */
  #before: string[] = [];
  #behind: string[] = [];
  #killed = '';
  readonly #undo: (readonly [string, string])[] = [];
  readonly #history: string[] = [];
  #historyAt = 0;
  /** What was written before one went into the history. */
  #unsent = '';

  get text(): string {
    return this.#before.join('') + this.#behind.join('');
  }

  /** The text before the cursor. */
  get before(): string {
    return this.#before.join('');
  }

  get isEmpty(): boolean {
    return this.#before.length === 0 && this.#behind.length === 0;
  }

  /** Replaces the text. @param cursor offset in the text. @default its end */
  set(text: string, cursor = text.length): void {
    this.#before = graphemes(text.slice(0, cursor));
    this.#behind = graphemes(text.slice(cursor));
  }

  insert(text: string): void {
    this.#remember();
    this.set(this.before + text + this.#behind.join(''), this.before.length + text.length);
  }

  /** Takes the text as sent, or given up: it is in the history from now on. */
  take(): string {
    const { text } = this;
    this.keep(text);
    this.set('');
    return text;
  }

  keep(text: string): void {
    if (text !== '' && this.#history.at(-1) !== text) this.#history.push(text);
    if (this.#history.length > MAX_HISTORY) this.#history.shift();
    this.#historyAt = this.#history.length;
  }

  /** Obeys a key; false: it is not one of editing. */
  key(name: string): boolean {
    switch (name) {
      case 'left':
      case 'ctrl-b':
        this.#move(-1);
        return true;
      case 'right':
      case 'ctrl-f':
        this.#move(1);
        return true;
      case 'home':
      case 'ctrl-a':
        this.#moveTo(this.#lineStart());
        return true;
      case 'end':
      case 'ctrl-e':
        this.#moveTo(this.#lineEnd());
        return true;
      case 'alt-left':
      case 'ctrl-left':
      case 'alt-b':
        this.#moveTo(this.#wordStart());
        return true;
      case 'alt-right':
      case 'ctrl-right':
      case 'alt-f':
        this.#moveTo(this.#wordEnd());
        return true;
      case 'backspace':
        this.#cut(this.#before.length - 1, this.#before.length, false);
        return true;
      case 'delete':
      case 'ctrl-d':
        this.#cut(this.#before.length, this.#before.length + 1, false);
        return true;
      case 'ctrl-w':
      case 'alt-backspace':
        this.#cut(this.#wordStart(), this.#before.length, true);
        return true;
      case 'alt-d':
        this.#cut(this.#before.length, this.#wordEnd(), true);
        return true;
      case 'ctrl-u':
        this.#cut(this.#lineStart(), this.#before.length, true);
        return true;
      case 'alt-k':
        this.#cut(this.#before.length, this.#lineEnd(), true);
        return true;
      case 'ctrl-y':
        this.insert(this.#killed);
        return true;
      case 'ctrl-t':
        this.#swap();
        return true;
      case 'ctrl-_': {
        const last = this.#undo.pop();
        if (last !== undefined) this.set(last[0] + last[1], last[0].length);
        return true;
      }
      case 'up':
        return this.#vertical(-1);
      case 'down':
        return this.#vertical(1);
      default:
        return false;
    }
  }

  get #all(): string[] {
    return [...this.#before, ...this.#behind];
  }

  #remember(): void {
    this.#undo.push([this.before, this.#behind.join('')]);
    if (this.#undo.length > MAX_UNDO) this.#undo.shift();
  }

  #move(by: number): void {
    this.#moveTo(this.#before.length + by);
  }

  #moveTo(at: number): void {
    const all = this.#all;
    const cursor = Math.min(Math.max(0, at), all.length);
    this.#before = all.slice(0, cursor);
    this.#behind = all.slice(cursor);
  }

  #cut(from: number, to: number, isKept: boolean): void {
    const all = this.#all;
    const start = Math.max(0, from);
    if (start >= Math.min(to, all.length)) return;
    this.#remember();
    if (isKept) this.#killed = all.slice(start, to).join('');
    this.#before = all.slice(0, start);
    this.#behind = all.slice(to);
  }

  #swap(): void {
    const all = this.#all;
    const at = Math.min(this.#before.length, all.length - 1);
    if (at < 1) return;
    this.#remember();
    [all[at - 1], all[at]] = [all[at] as string, all[at - 1] as string];
    this.#before = all.slice(0, at + 1);
    this.#behind = all.slice(at + 1);
  }

  #lineStart(): number {
    return this.#before.lastIndexOf('\n') + 1;
  }

  #lineEnd(): number {
    const at = this.#behind.indexOf('\n');
    return this.#before.length + (at === -1 ? this.#behind.length : at);
  }

  #wordStart(): number {
    let at = this.#before.length;
    while (at > 0 && isSpace(this.#before[at - 1])) at--;
    while (at > 0 && !isSpace(this.#before[at - 1])) at--;
    return at;
  }

  #wordEnd(): number {
    const all = this.#all;
    let at = this.#before.length;
    while (at < all.length && isSpace(all[at])) at++;
    while (at < all.length && !isSpace(all[at])) at++;
    return at;
  }

  /** To the line above or below; from the first and the last one into the history. */
  #vertical(by: 1 | -1): boolean {
    const column = this.#before.length - this.#lineStart();
    if (by === -1 && this.#before.includes('\n')) {
      this.#moveTo(this.#lineStart() - 1);
      this.#moveTo(this.#lineStart() + Math.min(column, this.#before.length - this.#lineStart()));
    } else if (by === 1 && this.#behind.includes('\n')) {
      this.#moveTo(this.#lineEnd() + 1);
      this.#moveTo(Math.min(this.#before.length + column, this.#lineEnd()));
    } else this.#recall(by);
    return true;
  }

  #recall(by: 1 | -1): void {
    const at = this.#historyAt + by;
    if (at < 0 || at > this.#history.length) return;
    if (this.#historyAt === this.#history.length) this.#unsent = this.text;
    this.#historyAt = at;
    this.set(this.#history[at] ?? this.#unsent);
  }
}

function isSpace(cluster: string | undefined): boolean {
  return cluster !== undefined && /\s/.test(cluster);
}
