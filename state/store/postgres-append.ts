/** A batch of drafts as the arguments of gochat_append (migrations/postgres), and its answer as the callers' answers. */
import type { MessageId } from '../../common/mod.ts';
import { integerArray, parseIntegerArray, textArray } from './postgres-arrays.ts';
import type { Appended, Draft } from './store.ts';

/** The one row of gochat_append; array literals, null for an empty array. */
export interface AppendRow {
  readonly seqs: string;
  readonly member_versions: string;
  readonly duplicates: string | null;
  readonly original_ids: string | null;
  readonly original_at_ms: string | null;
}

interface Original {
  readonly id: MessageId;
  readonly atMs: number;
}

/** Drafts that the batch itself repeats are taken out here, which spares the database a sort. */
export class AppendBatch {
  /** Without repeats. */
  readonly #sent: readonly Draft[];
  /** Per draft its position in #sent; undefined when there is no repeat. */
  readonly #positions: readonly number[] | undefined;

  constructor(drafts: readonly Draft[]) {
    const first = new Map<string, number>();
    const positions: number[] = [];
    const sent: Draft[] = [];
    for (const draft of drafts) {
      const key = `${draft.conversation} ${draft.sender} ${draft.clientMsgId}`;
      let position = first.get(key);
      if (position === undefined) {
        position = sent.push(draft) - 1;
        first.set(key, position);
      }
      positions.push(position);
    }
    const repeats = sent.length < drafts.length;
    this.#sent = repeats ? sent : drafts;
    this.#positions = repeats ? positions : undefined;
  }

  get conversations(): string {
    return integerArray(this.#sent.map((draft) => draft.conversation));
  }

  get senders(): string {
    return integerArray(this.#sent.map((draft) => draft.sender));
  }

  get clientMsgIds(): string {
    return textArray(this.#sent.map((draft) => draft.clientMsgId));
  }

  get ids(): string {
    return integerArray(this.#sent.map((draft) => draft.id));
  }

  get times(): string {
    return integerArray(this.#sent.map((draft) => draft.atMs));
  }

  get texts(): string {
    return textArray(this.#sent.map((draft) => draft.text));
  }

  /** Returns the answers in the drafts' order. */
  answers(row: AppendRow | undefined): Appended[] {
    if (!row) throw new Error('gochat_append did not answer');
    const originals = readOriginals(row);
    const seqs = parseIntegerArray(row.seqs);
    const versions = parseIntegerArray(row.member_versions);
    const answers = this.#sent.map((draft, position): Appended => {
      const seq = Number(seqs[position]);
      if (seq === 0) return { ok: false, code: 'NOT_A_MEMBER' };
      const original = originals.get(position);
      const { id, atMs } = original ?? draft;
      const memberVersion = Number(versions[position]);
      return { ok: true, seq, id, atMs, duplicate: original !== undefined, memberVersion };
    });
    const positions = this.#positions;
    if (!positions) return answers;
    const answered = new Set<number>();
    return positions.map((position) => {
      const answer = answers[position] as Appended;
      const repeated = answered.has(position);
      answered.add(position);
      return repeated && answer.ok ? { ...answer, duplicate: true } : answer;
    });
  }
}

/** Returns the originals of duplicates by position in the batch. */
function readOriginals(row: AppendRow): ReadonlyMap<number, Original> {
  const originals = new Map<number, Original>();
  if (row.duplicates === null) return originals;
  const ids = parseIntegerArray(row.original_ids ?? '{}');
  const times = parseIntegerArray(row.original_at_ms ?? '{}');
  for (const [index, ord] of parseIntegerArray(row.duplicates).entries())
    originals.set(Number(ord) - 1, { id: BigInt(ids[index] ?? 0) as MessageId, atMs: Number(times[index]) });
  return originals;
}
