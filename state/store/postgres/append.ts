/**
 * Conversion of a batch of drafts to the arguments of gochat_append_all (migrations/postgres), and of its answer to
 * results.
 */
import type { ConversationId, MessageId, UserId } from '../../../common/mod.ts';
import { integerArray, parseIntegerArray, textArray } from './arrays.ts';
import { sql, type Statement } from '../sql.ts';
import type { Appended, Draft } from '../store.ts';

/** The one row of gochat_append_all: array literals, null for an empty array. */
export interface AppendRow {
  readonly bases: string;
  readonly member_versions: string;
  readonly refused: string | null;
  readonly repetitions: string | null;
  readonly original_seqs: string | null;
  readonly original_ids: string | null;
  readonly original_at_ms: string | null;
}

/** A conversation's part of the batch. */
interface Part {
  count: number;
  activeAtMs: number;
  /** Place from 1, by ascending conversation. */
  place: number;
  readonly senders: Map<UserId, Sender>;
}

/** A sender in one conversation. */
interface Sender {
  /** Position in the batch, from 1. */
  readonly position: number;
  /** Index of the sender's first message; if there are more, by client_msg_id. */
  readonly first: number;
  sent: Map<string, number> | undefined;
}

/** Groups the drafts by conversation, to spare the database the work, and removes repetitions within the batch. */
export class AppendBatch {
  /** Drafts without repetitions. */
  readonly #sent: Draft[] = [];
  /** Per draft its index in #sent, if the batch has repetitions. */
  #indexes: number[] | undefined;
  readonly #parts = new Map<ConversationId, Part>();
  /** In order of their places. */
  readonly #conversations: BigInt64Array;
  readonly #members: UserId[] = [];
  readonly #memberOf: Part[] = [];
  /** Per draft that is sent. */
  readonly #senders: number[] = [];
  readonly #offsets: number[] = [];

  constructor(drafts: readonly Draft[]) {
    for (let index = 0; index < drafts.length; index++) {
      const repeated = this.#add(drafts[index] as Draft);
      if (repeated !== undefined) this.#indexes ??= Array.from({ length: index }, (_, i) => i);
      this.#indexes?.push(repeated ?? this.#sent.length - 1);
    }
    this.#conversations = BigInt64Array.from(this.#parts.keys()).sort();
    this.#conversations.forEach((id, index) => (this.#part(id).place = index + 1));
  }

  /** Returns the statement. @param suspects senders whose drafts may be repetitions */
  statement(suspects: { has(user: UserId): boolean } | undefined): Statement {
    const drafts = this.#sent;
    const parts = Array.from(this.#conversations, (id) => this.#part(id));
    const positions = suspects && drafts.flatMap(({ sender }, i) => (suspects.has(sender) ? [i + 1] : []));
    return sql`
      select bases::text, member_versions::text, refused::text,
             repetitions::text, original_seqs::text, original_ids::text, original_at_ms::text
      from gochat_append_all(
        ${`{${this.#conversations.join(',')}}`}::bigint[], ${integerArray(parts.map((part) => part.count))}::bigint[],
        ${integerArray(parts.map((part) => part.activeAtMs))}::bigint[],
        ${integerArray(this.#memberOf.map((part) => part.place))}::bigint[], ${integerArray(this.#members)}::bigint[],
        ${integerArray(this.#senders)}::bigint[], ${integerArray(this.#offsets)}::bigint[],
        ${textArray(drafts.map((draft) => draft.clientMsgId))}::text[],
        ${integerArray(drafts.map((draft) => draft.id))}::bigint[],
        ${integerArray(drafts.map((draft) => draft.atMs))}::bigint[],
        ${textArray(drafts.map((draft) => draft.text))}::text[],
        ${positions?.length ? integerArray(positions) : null}::bigint[]
      )`;
  }

  /** Returns the answers in the drafts' order. */
  answers(row: AppendRow | undefined): Appended[] {
    if (!row) throw new Error('gochat_append_all did not answer');
    const answers = row.refused === null && row.repetitions === null ? this.#all(row) : this.#some(row);
    const indexes = this.#indexes;
    if (!indexes) return answers;
    const answered = new Set<number>();
    return indexes.map((index) => {
      const answer = answers[index] as Appended;
      const repeated = answered.has(index);
      answered.add(index);
      return repeated && answer.ok ? { ...answer, duplicate: true } : answer;
    });
  }

  /** All are new and of members. */
  #all(row: AppendRow): Appended[] {
    const bases = parseIntegerArray(row.bases).map(Number);
    const versions = parseIntegerArray(row.member_versions).map(Number);
    return this.#sent.map(({ id, atMs }, index): Appended => {
      const place = this.#placeOf(index);
      const seq = (bases[place] as number) + (this.#offsets[index] as number);
      return { ok: true, seq, id, atMs, duplicate: false, memberVersion: versions[place] as number };
    });
  }

  #some(row: AppendRow): Appended[] {
    const lasts = parseIntegerArray(row.bases).map(Number);
    const versions = parseIntegerArray(row.member_versions).map(Number);
    const others = othersOf(row, versions, (index) => this.#placeOf(index));
    return this.#sent.map(({ id, atMs }, index): Appended => {
      const other = others.get(index);
      if (other !== undefined) return other;
      const place = this.#placeOf(index);
      const seq = (lasts[place] as number) + 1;
      lasts[place] = seq;
      return { ok: true, seq, id, atMs, duplicate: false, memberVersion: versions[place] as number };
    });
  }

  /** Adds a draft; returns the index of the one that it repeats. */
  #add(draft: Draft): number | undefined {
    const { conversation, sender: user, clientMsgId, atMs } = draft;
    let part = this.#parts.get(conversation);
    if (part === undefined) {
      part = { count: 0, activeAtMs: atMs, place: 0, senders: new Map() };
      this.#parts.set(conversation, part);
    }
    let sender = part.senders.get(user);
    if (sender === undefined) {
      sender = { position: this.#members.push(user), first: this.#sent.length, sent: undefined };
      this.#memberOf.push(part);
      part.senders.set(user, sender);
    } else {
      sender.sent ??= new Map([[(this.#sent[sender.first] as Draft).clientMsgId, sender.first]]);
      const repeated = sender.sent.get(clientMsgId);
      if (repeated !== undefined) return repeated;
      sender.sent.set(clientMsgId, this.#sent.length);
    }
    if (atMs > part.activeAtMs) part.activeAtMs = atMs;
    this.#sent.push(draft);
    this.#senders.push(sender.position);
    this.#offsets.push(++part.count);
    return undefined;
  }

  /** From 0, of a draft that is sent. */
  #placeOf(index: number): number {
    return (this.#memberOf[(this.#senders[index] as number) - 1] as Part).place - 1;
  }

  #part(conversation: bigint): Part {
    return this.#parts.get(conversation as ConversationId) as Part;
  }
}

/** Returns the answers other than new messages, by index. */
function othersOf(
  row: AppendRow,
  versions: readonly number[],
  placeOf: (index: number) => number,
): ReadonlyMap<number, Appended> {
  const others = new Map<number, Appended>();
  const numbers = (literal: string | null) => parseIntegerArray(literal ?? '{}').map(Number);
  for (const position of numbers(row.refused)) others.set(position - 1, { ok: false, code: 'NOT_A_MEMBER' });
  const seqs = numbers(row.original_seqs);
  const ids = parseIntegerArray(row.original_ids ?? '{}');
  const times = numbers(row.original_at_ms);
  for (const [i, position] of numbers(row.repetitions).entries())
    others.set(position - 1, {
      ok: true,
      seq: seqs[i] as number,
      id: BigInt(ids[i] as string) as MessageId,
      atMs: times[i] as number,
      duplicate: true,
      memberVersion: versions[placeOf(position - 1)] as number,
    });
  return others;
}
