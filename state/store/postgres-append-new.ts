/** A batch of drafts as the arguments of gochat_append_new (migrations/postgres), and its answer as the callers' answers. */
import type { ConversationId, UserId } from '../../common/mod.ts';
import { integerArray, parseIntegerArray, textArray } from './postgres-arrays.ts';
import { sql, type Statement } from './postgres-sql.ts';
import type { Appended, Draft } from './store.ts';

/** The one row of gochat_append_new; nulls where the batch is not all new messages of members. */
export interface AppendNewRow {
  readonly bases: string | null;
  readonly member_versions: string | null;
}

/** A conversation's part of the batch. */
interface Part {
  count: number;
  activeAtMs: number;
  /** From 1, by ascending conversation. */
  place: number;
  /** Senders with their positions in the batch, from 1. */
  readonly senders: Map<UserId, number>;
}

/** Groups the drafts by conversation, which spares the database to do it. */
export class AppendNewBatch {
  readonly #drafts: readonly Draft[];
  readonly #parts = new Map<ConversationId, Part>();
  /** In order of their places. */
  readonly #conversations: BigInt64Array;
  /** Per sender; positions are from 1. */
  readonly #members: UserId[] = [];
  readonly #memberOf: Part[] = [];
  /** Per draft. */
  readonly #senders: number[] = [];
  readonly #offsets: number[] = [];

  constructor(drafts: readonly Draft[]) {
    this.#drafts = drafts;
    for (const { conversation, sender, atMs } of drafts) {
      let part = this.#parts.get(conversation);
      if (part === undefined) {
        part = { count: 0, activeAtMs: atMs, place: 0, senders: new Map() };
        this.#parts.set(conversation, part);
      }
      if (atMs > part.activeAtMs) part.activeAtMs = atMs;
      let position = part.senders.get(sender);
      if (position === undefined) {
        this.#memberOf.push(part);
        position = this.#members.push(sender);
        part.senders.set(sender, position);
      }
      this.#senders.push(position);
      this.#offsets.push(++part.count);
    }
    this.#conversations = BigInt64Array.from(this.#parts.keys()).sort();
    this.#conversations.forEach((id, index) => (this.#part(id).place = index + 1));
  }

  get statement(): Statement {
    const drafts = this.#drafts;
    const parts = Array.from(this.#conversations, (id) => this.#part(id));
    return sql`
      select bases::text, member_versions::text
      from gochat_append_new(
        ${`{${this.#conversations.join(',')}}`}::bigint[], ${integerArray(parts.map((part) => part.count))}::bigint[],
        ${integerArray(parts.map((part) => part.activeAtMs))}::bigint[],
        ${integerArray(this.#memberOf.map((part) => part.place))}::bigint[], ${integerArray(this.#members)}::bigint[],
        ${integerArray(this.#senders)}::bigint[], ${integerArray(this.#offsets)}::bigint[],
        ${textArray(drafts.map((draft) => draft.clientMsgId))}::text[],
        ${integerArray(drafts.map((draft) => draft.id))}::bigint[],
        ${integerArray(drafts.map((draft) => draft.atMs))}::bigint[],
        ${textArray(drafts.map((draft) => draft.text))}::text[]
      )`;
  }

  /** Returns the answers in the drafts' order; undefined where nothing was written. */
  answers(row: AppendNewRow | undefined): Appended[] | undefined {
    if (!row) throw new Error('gochat_append_new did not answer');
    if (row.bases === null || row.member_versions === null) return undefined;
    const bases = parseIntegerArray(row.bases).map(Number);
    const versions = parseIntegerArray(row.member_versions).map(Number);
    return this.#drafts.map(({ id, atMs }, index): Appended => {
      const place = (this.#memberOf[(this.#senders[index] as number) - 1] as Part).place - 1;
      const seq = (bases[place] as number) + (this.#offsets[index] as number);
      return { ok: true, seq, id, atMs, duplicate: false, memberVersion: versions[place] as number };
    });
  }

  #part(conversation: bigint): Part {
    return this.#parts.get(conversation as ConversationId) as Part;
  }
}
