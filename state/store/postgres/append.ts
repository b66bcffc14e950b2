/**
 * Conversion of a part of a batch of drafts to the arguments of gochat_append (migrations/postgres), and of its answer to
 * results.
 */
import type { ConversationId, MessageId, UserId } from '../../../common/mod.ts';
import { integerArray, nullableIntegerArray, parseIntegerArray, textArray } from './arrays.ts';
import { metaOfDraft } from '../entry-meta.ts';
import { rankOf } from '../rows.ts';
import { sql, type Statement } from '../sql.ts';
import {
  type Appended,
  type Draft,
  type DraftEntry,
  ENTRY_KINDS,
  type EntryRules,
  type Quote,
  type SenderRange,
  type SendRefusal,
  THREAD_REPLY,
} from '../store.ts';

/** The one row of gochat_append: array literals, null for an empty array. */
export interface AppendRow {
  readonly bases: string;
  readonly times: string;
  readonly member_versions: string;
  readonly refused: string | null;
  readonly repetitions: string | null;
  readonly original_seqs: string | null;
  readonly original_ids: string | null;
  readonly original_at_ms: string | null;
  readonly original_targets: string | null;
  readonly deferred: string | null;
  readonly rejected: string | null;
  readonly codes: string | null;
  readonly targets: string | null;
  /** JSON. */
  readonly quotes: string | null;
}

/** Position, sender, text and version of a quoted message. */
type QuoteJson = readonly [number, string, string, number];

/** What the statement needs besides the drafts. */
export interface AppendSettings {
  readonly rules: EntryRules;
  readonly hasFeed: boolean;
  /** Senders whose drafts may be repetitions. */
  readonly suspects: { has(user: UserId): boolean } | undefined;
}

/** A draft that is not a plain message. */
interface Special {
  /** In the batch, from 1. */
  readonly position: number;
  readonly entry: DraftEntry;
  /** Of an edit. */
  readonly text: string;
  /** Number of entries of its conversation up to it, itself included, that are no messages. */
  readonly skips: number;
}

/** A conversation's part of the batch. */
interface Part {
  count: number;
  /** Of all of them, see partsOf. */
  atMs: number;
  /** Place of its last message, and number of entries that are none. */
  message: number;
  skips: number;
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
  readonly #specials: Special[] = [];

  constructor(drafts: readonly Draft[]) {
    for (let index = 0; index < drafts.length; index++) {
      const repeated = this.#add(drafts[index] as Draft);
      if (repeated !== undefined) this.#indexes ??= Array.from({ length: index }, (_, i) => i);
      this.#indexes?.push(repeated ?? this.#sent.length - 1);
    }
    this.#conversations = BigInt64Array.from(this.#parts.keys()).sort();
    this.#conversations.forEach((id, index) => (this.#part(id).place = index + 1));
  }

  statement({ rules, hasFeed, suspects }: AppendSettings): Statement {
    const drafts = this.#sent;
    const specials = this.#specials;
    const parts = Array.from(this.#conversations, (id) => this.#part(id));
    const positions = suspects && drafts.flatMap(({ sender }, i) => (suspects.has(sender) ? [i + 1] : []));
    const isPlain = specials.length === 0;
    const ranges = specials.some(({ entry }) => entry.range)
      ? specials.map(({ entry }) => entry.range)
      : null;
    const ofParts = (value: (part: Part) => number) => (isPlain ? null : integerArray(parts.map(value)));
    const ofSpecials = (value: (special: Special) => number) =>
      isPlain ? null : integerArray(specials.map(value));
    const ofRanges = (value: (range: SenderRange) => bigint | number) =>
      ranges && nullableIntegerArray(ranges.map((range) => (range ? value(range) : null)));
    const texts = (value: (special: Special) => string | null) =>
      specials.some((special) => value(special) !== null) ? textArray(specials.map(value)) : null;
    return sql`
      select bases::text, times::text, member_versions::text, refused::text,
             repetitions::text, original_seqs::text, original_ids::text, original_at_ms::text, original_targets::text,
             deferred::text, rejected::text, codes::text, targets::text, quotes::text
      from gochat_append(
        ${`{${this.#conversations.join(',')}}`}::bigint[], ${integerArray(parts.map((part) => part.count))}::bigint[],
        ${integerArray(parts.map((part) => part.atMs))}::bigint[],
        ${integerArray(this.#memberOf.map((part) => part.place))}::bigint[], ${integerArray(this.#members)}::bigint[],
        ${integerArray(this.#senders)}::bigint[], ${integerArray(this.#offsets)}::bigint[],
        ${textArray(drafts.map((draft) => draft.clientMsgId))}::text[],
        ${integerArray(drafts.map((draft) => draft.id))}::bigint[],
        ${textArray(drafts.map((draft) => (isMessage(draft) ? draft.text : '')))}::text[],
        ${positions?.length ? integerArray(positions) : null}::bigint[],
        ${ofParts((part) => part.message)}::bigint[], ${ofParts((part) => part.skips)}::bigint[],
        ${isPlain ? null : integerArray(drafts.map(kindNumber))}::smallint[],
        ${ofSpecials(({ position }) => position)}::bigint[], ${ofSpecials(({ skips }) => skips)}::bigint[],
        ${ofSpecials(({ entry }) => (entry.range ? 0 : entry.thread || entry.target))}::bigint[],
        ${texts(({ entry }) => (entry.target === 0 && entry.targetClientMsgId) || null)}::text[],
        ${texts(({ entry, text }) => (entry.kind === 'edit' ? text : null))}::text[],
        ${texts(({ entry }) => metaOfDraft(entry))}::text[],
        ${ofRanges((range) => range.sender)}::bigint[], ${ofRanges((range) => range.fromSeq)}::bigint[],
        ${ofRanges((range) => range.toSeq)}::bigint[],
        ${rules.editWindowMs}::bigint, ${rankOf(rules.pin)}::smallint, ${rankOf(rules.retract)}::smallint,
        ${rules.evidenceMs}::bigint, ${hasFeed}::boolean
      )`;
  }

  /** Returns the answers in the drafts' order; undefined for those that have to be appended next. */
  answers(row: AppendRow | undefined): (Appended | undefined)[] {
    if (!row) throw new Error('gochat_append did not answer');
    const committed = new Committed(row, this.#specials);
    const others = this.#othersOf(row, committed);
    // Where some are left out, the places of what follows them move up.
    const offsets = others && new Map<number, number>();
    const answers = this.#sent.map((draft, index): Appended | undefined => {
      if (others?.has(index)) return others.get(index);
      const place = this.#placeOf(index);
      const offset = offsets ? (offsets.get(place) ?? 0) + 1 : (this.#offsets[index] as number);
      offsets?.set(place, offset);
      return committed.answer(draft, index, { place, offset });
    });
    const indexes = this.#indexes;
    if (!indexes) return answers;
    const answered = new Set<number>();
    return indexes.map((index) => {
      const answer = answers[index];
      const repeated = answered.has(index);
      answered.add(index);
      return repeated && answer?.ok ? { ...answer, duplicate: true, quote: undefined } : answer;
    });
  }

  /** Returns the answers other than new entries, by index; undefined: all are new. */
  #othersOf(row: AppendRow, committed: Committed): ReadonlyMap<number, Appended | undefined> | undefined {
    if ([row.refused, row.repetitions, row.rejected, row.deferred].every((literal) => literal === null))
      return undefined;
    const others = new Map<number, Appended | undefined>();
    for (const position of numbers(row.refused))
      others.set(position - 1, { ok: false, code: 'NOT_A_MEMBER' });
    // Codes need no quotes in a literal.
    const codes = parseIntegerArray(row.codes ?? '{}') as SendRefusal[];
    for (const [i, position] of numbers(row.rejected).entries())
      others.set(position - 1, { ok: false, code: codes[i] as SendRefusal });
    const seqs = numbers(row.original_seqs);
    const ids = parseIntegerArray(row.original_ids ?? '{}');
    const times = numbers(row.original_at_ms);
    const targets = numbers(row.original_targets);
    for (const [i, position] of numbers(row.repetitions).entries())
      others.set(position - 1, {
        ok: true,
        seq: seqs[i] as number,
        id: BigInt(ids[i] as string) as MessageId,
        atMs: times[i] as number,
        duplicate: true,
        memberVersion: committed.memberVersion(this.#placeOf(position - 1)),
        target: targets[i] as number,
        quote: undefined,
      });
    for (const position of numbers(row.deferred)) others.set(position - 1, undefined);
    return others;
  }

  /** Adds a draft; returns the index of the one that it repeats. */
  #add(draft: Draft): number | undefined {
    const { conversation, sender: user, clientMsgId, atMs, entry } = draft;
    let part = this.#parts.get(conversation);
    if (part === undefined) {
      part = { count: 0, atMs, message: 0, skips: 0, place: 0, senders: new Map() };
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
    if (atMs > part.atMs) part.atMs = atMs;
    this.#sent.push(draft);
    this.#senders.push(sender.position);
    this.#offsets.push(++part.count);
    if (kindNumber(draft) === 0) part.message = part.count;
    else part.skips++;
    if (entry !== undefined)
      this.#specials.push({ position: this.#sent.length, entry, text: draft.text, skips: part.skips });
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

/** Makes the answers to entries that were appended. */
class Committed {
  readonly #bases: readonly number[];
  readonly #times: readonly number[];
  readonly #memberVersions: readonly number[];
  /** By index, of what is not a plain message. */
  readonly #targets = new Map<number, number>();
  readonly #quotes = new Map<number, QuoteJson>();

  constructor(row: AppendRow, specials: readonly Special[]) {
    this.#bases = numbers(row.bases);
    this.#times = numbers(row.times);
    this.#memberVersions = numbers(row.member_versions);
    const targets = numbers(row.targets);
    for (const [i, { position, entry }] of specials.entries())
      if (entry.range === undefined && !entry.thread) this.#targets.set(position - 1, targets[i] as number);
    if (row.quotes !== null)
      for (const quote of JSON.parse(row.quotes) as QuoteJson[]) this.#quotes.set(quote[0] - 1, quote);
  }

  memberVersion(place: number): number {
    return this.#memberVersions[place] as number;
  }

  /** @param at the conversation, and the entry's place among what it got, from 1 */
  answer({ id }: Draft, index: number, at: { readonly place: number; readonly offset: number }): Appended {
    const target = this.#targets.get(index) ?? 0;
    return {
      ok: true,
      seq: (this.#bases[at.place] as number) + at.offset,
      id,
      atMs: this.#times[at.place] as number,
      duplicate: false,
      memberVersion: this.memberVersion(at.place),
      target,
      quote: target === 0 ? undefined : this.#quoteOf(index, target),
    };
  }

  #quoteOf(index: number, seq: number): Quote | undefined {
    const quote = this.#quotes.get(index);
    if (quote === undefined) return undefined;
    const [, sender, text, version] = quote;
    return { seq, state: 'kept', sender: BigInt(sender) as UserId, text, version };
  }
}

/** As messages.kind. */
function kindNumber({ entry }: Draft): number {
  if (entry === undefined) return 0;
  return entry.thread ? THREAD_REPLY : ENTRY_KINDS.indexOf(entry.kind);
}

function isMessage({ entry }: Draft): boolean {
  return entry === undefined || entry.kind === 'message';
}

function numbers(literal: string | null): number[] {
  return parseIntegerArray(literal ?? '{}').map(Number);
}
