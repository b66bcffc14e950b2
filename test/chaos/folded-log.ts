/** The log folded anew from its entries, to compare with what the servers and the clients have made of them. */
import type { EntryOf, OfEntry } from './history.ts';

type Logged = EntryOf<'log'>;

/** An entry that changed a message. */
interface Change {
  readonly seq: number;
  /** The new text; undefined: it was retracted. */
  readonly text: string | undefined;
}

/** A message as it is after all changes. */
export interface Folded {
  readonly text: string;
  readonly version: number;
  readonly retracted: boolean;
}

/** One conversation. */
export class FoldedLog {
  /** By seq. */
  readonly #entries = new Map<number, Logged>();
  /** By seq of the message, ascending. */
  readonly #changes = new Map<number, Change[]>();

  /** @param log ascending by seq, with the texts and ranges that were sent */
  constructor(log: readonly Logged[]) {
    for (const logged of log) {
      this.#entries.set(logged.seq, logged);
      if (logged.entry === 'edit') this.#change(logged.target, { seq: logged.seq, text: logged.text });
      if (logged.entry !== 'retract') continue;
      for (const target of this.#targets(logged)) this.#change(target, { seq: logged.seq, text: undefined });
    }
  }

  entry(seq: number): Logged | undefined {
    return this.#entries.get(seq);
  }

  /**
   * Returns whether an entry may show nothing: what it is about is not for the reader, who may read what is after the
   * given seq, or was retracted.
   */
  isSilent(seq: number, after: number): boolean {
    const logged = this.#entries.get(seq);
    if (logged === undefined || logged.entry === 'message' || logged.entry === 'system') return false;
    if (logged.range !== undefined) return logged.range.toSeq <= after;
    return logged.target <= after || this.retractedBy(logged.target) !== undefined;
  }

  /** Returns a message after all changes; undefined: there is no message of that seq. */
  message(seq: number): Folded | undefined {
    const logged = this.#entries.get(seq);
    if (logged?.entry !== 'message') return undefined;
    const last = this.#changes.get(seq)?.at(-1);
    return {
      text: last === undefined ? logged.text : (last.text ?? ''),
      version: last?.seq ?? 0,
      retracted: last !== undefined && last.text === undefined,
    };
  }

  /** Returns the text of a message at a version; undefined: it never had that version, or was retracted by it. */
  textAt(seq: number, version: number): string | undefined {
    if (version === 0 || version === seq) return this.#entries.get(seq)?.text;
    return this.#changes.get(seq)?.find((change) => change.seq === version)?.text;
  }

  /** Returns the seq of the first entry that retracted a message; undefined: none has. */
  retractedBy(seq: number): number | undefined {
    return this.#changes.get(seq)?.find(({ text }) => text === undefined)?.seq;
  }

  /** Yields all texts of messages that were retracted, with the entry that did it. */
  *retracted(): Generator<{ readonly text: string; readonly seq: number; readonly by: number }> {
    for (const [seq, changes] of this.#changes) {
      const by = this.retractedBy(seq);
      if (by === undefined) continue;
      yield { text: this.#entries.get(seq)?.text ?? '', seq, by };
      for (const { text } of changes) if (text !== undefined) yield { text, seq, by };
    }
  }

  /** Returns what is wrong with an entry that was shown or read, whenever that was; undefined: nothing. */
  fault(shown: Omit<OfEntry, 'entry'> & { readonly entry: string }): string | undefined {
    const logged = this.#entries.get(shown.seq);
    if (logged === undefined) return 'is not in the log';
    if (logged.entry !== shown.entry) return `is a ${shown.entry}, in the log a ${logged.entry}`;
    if (shown.entry === 'edit') {
      if (shown.text === '') return undefined;
      const version = shown.version || shown.seq;
      return this.#sameText(shown.text, shown.target, version);
    }
    if (shown.entry !== 'message') return shown.text === '' ? undefined : 'has a text';
    if (!shown.retracted) return this.#sameText(shown.text, shown.seq, shown.version);
    if (shown.text !== '') return 'was retracted and has a text';
    const by = this.#changes.get(shown.seq)?.find(({ seq }) => seq === shown.version);
    return by !== undefined && by.text === undefined ? undefined : `was not retracted by ${shown.version}`;
  }

  #sameText(text: string, seq: number, version: number): string | undefined {
    const expected = this.textAt(seq, version);
    if (expected === text) return undefined;
    return `has the text "${short(text)}", version ${version} of ${seq} is ${expected === undefined ? 'none' : `"${short(expected)}"`}`;
  }

  #targets({ seq, target, range }: Logged): number[] {
    if (range === undefined) return [target];
    const targets: number[] = [];
    for (const [of, { entry, from }] of this.#entries)
      if (entry === 'message' && from === range.user && of >= range.fromSeq && of <= range.toSeq && of < seq)
        targets.push(of);
    return targets;
  }

  #change(target: number, change: Change): void {
    const changes = this.#changes.get(target);
    if (changes === undefined) this.#changes.set(target, [change]);
    // What was retracted gets no text any more; a range may retract it once more.
    else if (change.text === undefined || changes.at(-1)?.text !== undefined) changes.push(change);
  }
}

/** A text without its filler. */
export function short(text: string): string {
  return text.split(' ', 2).join(' ');
}
