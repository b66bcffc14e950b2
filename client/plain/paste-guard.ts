/**
 * Paste guard: line ends and control characters in pasted text become visible marks, so that only a typed Enter sends.
 */
import { StringDecoder } from 'node:string_decoder';
import { Transform, type TransformCallback } from 'node:stream';

/** Sequences of bracketed paste, xterm's private mode 2004: https://invisible-island.net/xterm/ctlseqs/ctlseqs.html */
export const PASTE_ON = '\x1b[?2004h';
export const PASTE_OFF = '\x1b[?2004l';
const PASTE_START = '\x1b[200~';
const PASTE_END = '\x1b[201~';

/** Marks of pasted line ends and tabs in the input row. */
const LINE_END_MARK = '\u2424';
const TAB_MARK = '\u2409';
// oxlint-disable-next-line no-control-regex -- Control characters are what it is for.
const OTHER_CONTROLS = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/gu;

/** Returns the text of an input row, with marks replaced. */
export function unmark(row: string): string {
  return row.replaceAll(LINE_END_MARK, '\n').replaceAll(TAB_MARK, '\t');
}

/**
 * Filters terminal input so that only typed keys act. Without bracketed paste only the pace shows a paste: several line
 * ends in one read count as one.
 */
export class PasteGuard extends Transform {
  readonly #decoder = new StringDecoder('utf8');
  #pasting = false;
  /** A possible beginning of a paste sequence or a pasted CRLF. */
  #held = '';
  /** Trailing line ends of the paste, dropped if nothing follows. */
  #lineEnds = 0;

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    const passed = this.#take(this.#decoder.write(chunk));
    done(null, passed === '' ? undefined : passed);
  }

  override _flush(done: TransformCallback): void {
    done(null, this.#held + this.#decoder.end());
  }

  #take(text: string): string {
    let rest = this.#held + text;
    let passed = '';
    for (;;) {
      const sequence = this.#pasting ? PASTE_END : PASTE_START;
      const at = rest.indexOf(sequence);
      if (at === -1) {
        const whole =
          rest.length - (beginningOf(sequence, rest) || (this.#pasting ? beginningOf('\r\n', rest) : 0));
        this.#held = rest.slice(whole);
        return passed + this.#pass(rest.slice(0, whole));
      }
      passed += this.#pass(rest.slice(0, at));
      rest = rest.slice(at + sequence.length);
      this.#pasting = !this.#pasting;
      this.#lineEnds = 0;
    }
  }

  #pass(text: string): string {
    if (this.#pasting) return this.#mark(text);
    const lineEnds = text.match(/\r\n?|\n/g)?.length ?? 0;
    if (lineEnds < 2) return text;
    this.#lineEnds = 0;
    return this.#mark(text);
  }

  #mark(text: string): string {
    let marked = '';
    for (const [i, line] of text.split(/\r\n?|\n/).entries()) {
      if (i > 0) this.#lineEnds++;
      if (line === '') continue;
      marked += LINE_END_MARK.repeat(this.#lineEnds) + line;
      this.#lineEnds = 0;
    }
    return marked.replaceAll('\t', TAB_MARK).replace(OTHER_CONTROLS, '');
  }
}

/** Returns the number of characters at the end of the text that begin the sequence. */
function beginningOf(sequence: string, text: string): number {
  for (let length = Math.min(sequence.length - 1, text.length); length > 0; length--)
    if (text.endsWith(sequence.slice(0, length))) return length;
  return 0;
}
