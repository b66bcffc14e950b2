/** The sequencer: takes a SEND to its commit, SENT and fan-out, or to a refusal that keeps the order. */
import { Buffer } from 'node:buffer';
import type {
  CodeWithDetails,
  ConversationId,
  GochatError,
  Logger,
  MessageId,
  PlainErrorCode,
  UserId,
} from '../../common/mod.ts';
import { Backoff, isPlainErrorCode } from '../../common/mod.ts';
import type { StateLimits } from '../limits.ts';
import type { NameOf } from '../identity/profiles.ts';
import type { StateMetrics } from '../metrics.ts';
import type { EntryRules } from '../policy.ts';
import type { TraceRing } from '../explain/trace-ring.ts';
import type { Downlink } from '../session/downlink.ts';
import {
  type Appended,
  type DraftEntry,
  MAX_PINS,
  MAX_RANGES,
  type SendRefusal,
  type Store,
} from '../store/store.ts';
import { encodeEntry } from './entry-frames.ts';
import type { Fanout } from './fanout.ts';
import { Fences } from './fences.ts';
import { type Batch, GroupCommit, type QueuedDraft } from './group-commit.ts';
import { encodeMessageFrame, encodeSentRecord } from './hot-frames.ts';
import type { Replay } from './replay.ts';
import type { SendParser } from './send-parser.ts';

/** Retry hint of OVERLOADED, ms. */
const OVERLOADED_RETRY_MS = 200;
/** After the first failure senders repeat at once, later at intervals that grow to this, ms. */
const MAX_RETRY_MS = 1000;
const BASE_RETRY_MS = 100;

/** The origin of a queued draft. */
export interface SendOrigin {
  readonly link: Downlink;
  readonly conn: number;
  readonly ref: number;
  /** Round of the connection; see Fences. */
  readonly round: number;
  readonly senderName: string;
  readonly clientMsgIdBytes: number;
  readonly textBytes: number;
}

export interface SequencerOptions {
  readonly store: Pick<Store, 'append'>;
  readonly fanout: Fanout;
  readonly replay: Replay;
  readonly traces: TraceRing;
  readonly rules: EntryRules;
  /** Names for quotes, without waiting. */
  readonly nameOf: NameOf;
  /** Called when a range of messages was retracted, which the store then erases. */
  readonly onErasable: () => void;
  readonly limits: StateLimits;
  readonly metrics: StateMetrics;
  readonly logger: Logger;
  /** Makes message ids; throws while this node has no leased number. */
  readonly nextIds: (count: number) => readonly MessageId[];
  readonly canMakeIds: () => boolean;
}

/** Accepts sends in order of arrival. The store decides about order, duplicates and membership. */
export class Sequencer {
  readonly #options: SequencerOptions;
  readonly #fences = new Fences();
  readonly #commit: GroupCommit<SendOrigin>;
  readonly #retry = new Backoff({ baseMs: BASE_RETRY_MS, maxMs: MAX_RETRY_MS });
  #retryTimer: NodeJS.Timeout | undefined;
  #failing = false;
  #draining = false;
  /** Whether ids can be made; checked once per tick. */
  #hasIds: boolean | undefined;

  constructor(options: SequencerOptions) {
    this.#options = options;
    const { limits } = options;
    this.#commit = new GroupCommit({
      store: options.store,
      rules: options.rules,
      nextIds: options.nextIds,
      queueRows: limits.queueRows,
      queueBytes: limits.queueBytes,
      batchRows: limits.batchRows,
      batchBytes: limits.batchBytes,
      turnRows: limits.turnRows,
      turnBytes: limits.turnBytes,
      queueMs: limits.queueMs,
      onCommitted: (batch, results, seconds) => {
        try {
          this.#committed(batch, results, seconds);
        } catch (error) {
          this.#unannounced(batch, results, error);
        }
      },
      onFailed: (batch, error) => this.#failed(batch, error),
      onOverdue: (rows) => {
        this.#refuseBatch(rows, 'OVERLOADED', OVERLOADED_RETRY_MS);
        this.#tell();
      },
    });
  }

  get queueRows(): number {
    return this.#commit.rows;
  }

  /**
   * Queues the send in the parser; commits begin with `flush`, at the end of the tick's records. Positional, as it is
   * called once per message.
   */
  submit(
    link: Downlink,
    conn: number,
    round: number,
    ref: number,
    conversation: ConversationId,
    sender: UserId,
    senderName: string,
    send: SendParser,
  ): void {
    const { clientMsgId } = send;
    if (this.#draining || !this.#fences.admits(link, conn, round)) {
      this.#refuse({ link, conn, round, ref }, { key: conversation, clientMsgId, code: 'RESYNC_REQUIRED' });
      return;
    }
    this.#hasIds ??= this.#options.canMakeIds();
    if (!this.#hasIds) {
      this.#refuse(
        { link, conn, round, ref },
        { key: conversation, clientMsgId, code: 'STATE_UNAVAILABLE', retryAfterMs: MAX_RETRY_MS },
      );
      return;
    }
    const origin: SendOrigin = {
      link,
      conn,
      ref,
      round,
      senderName,
      clientMsgIdBytes: send.clientMsgIdBytes,
      textBytes: send.textBytes,
    };
    if (!this.#commit.offer(conversation, sender, clientMsgId, send.text, send.entry, origin)) {
      this.#refuse(origin, {
        key: conversation,
        clientMsgId,
        code: 'OVERLOADED',
        retryAfterMs: OVERLOADED_RETRY_MS,
      });
    }
  }

  /** Begins a commit if none is in flight, and sends new fences to the workers. */
  flush(): void {
    this.#hasIds = undefined;
    this.#commit.start();
    this.#tell();
  }

  /** Refuses further sends. Queued ones are committed and acknowledged before it resolves. */
  async drain(): Promise<void> {
    this.#draining = true;
    await this.#commit.idle();
  }

  /** Cancels the retry. */
  stop(): void {
    this.#draining = true;
    clearTimeout(this.#retryTimer);
    this.#retryTimer = undefined;
  }

  #committed(batch: Batch<SendOrigin>, results: readonly Appended[], seconds: number): void {
    const { fanout, replay, metrics, traces } = this.#options;
    const commitMs = seconds * 1000;
    const now = Date.now();
    if (this.#failing) {
      this.#failing = false;
      this.#retry.reset();
      clearTimeout(this.#retryTimer);
      this.#retryTimer = undefined;
    }
    let duplicates = 0;
    let refused = 0;
    for (let i = 0; i < results.length; i++) {
      const result = results[i] as Appended;
      const draft = batch.drafts[i] as QueuedDraft;
      const origin = batch.origins[i] as SendOrigin;
      const { conversation, clientMsgId } = draft;
      if (!result.ok) {
        refused++;
        const { link, conn, ref } = origin;
        // Without a fence: a repetition is refused as well (REFUSAL_MS), so what follows cannot overtake it.
        link.refuse({ conn, ref, key: conversation, clientMsgId, ...refusalOf(result.code) });
        continue;
      }
      origin.link.answer(
        encodeSentRecord({
          conn: origin.conn,
          ref: origin.ref,
          conversation,
          clientMsgId,
          clientMsgIdBytes: origin.clientMsgIdBytes,
          seq: result.seq,
          id: result.id,
          atMs: result.atMs,
          duplicate: result.duplicate,
          target: draft.entry !== undefined && draft.entry.targetClientMsgId !== '' ? result.target : 0,
        }),
      );
      if (result.duplicate) {
        // The repetition's text may differ: the original is pushed from the log.
        duplicates++;
        traces.add(
          result.id,
          conversation,
          draft.sender,
          result.seq,
          now,
          commitMs,
          results.length,
          true,
          -1,
          0,
        );
        replay.add(draft, result, origin);
        continue;
      }
      const special = draft.entry && this.#encodeEntry(draft, result, origin);
      const frame =
        special?.frame ??
        encodeMessageFrame({
          conversation,
          seq: result.seq,
          id: result.id,
          sender: draft.sender,
          senderName: origin.senderName,
          clientMsgId,
          text: draft.text,
          senderNameBytes: Buffer.byteLength(origin.senderName),
          clientMsgIdBytes: origin.clientMsgIdBytes,
          textBytes: origin.textBytes,
          atMs: result.atMs,
          kind: 0,
          version: 0,
          target: 0,
          reason: '',
          thread: 0,
        });
      const { pushed, skipped } = fanout.publish({
        conversation,
        memberVersion: result.memberVersion,
        seq: result.seq,
        frame,
        about: special?.about,
        link: origin.link,
        conn: origin.conn,
      });
      traces.add(
        result.id,
        conversation,
        draft.sender,
        result.seq,
        now,
        commitMs,
        results.length,
        false,
        pushed,
        skipped,
      );
    }
    replay.flush();
    metrics.appendSeconds.record(seconds);
    metrics.appendBatchRows.record(results.length);
    count(metrics, 'committed', results.length - duplicates - refused);
    count(metrics, 'duplicate', duplicates);
    count(metrics, 'refused', refused);
    this.#tell();
  }

  /** Encodes an entry that is not a plain message. */
  #encodeEntry(
    draft: QueuedDraft,
    { seq, id, atMs, target, quote }: Extract<Appended, { ok: true }>,
    { senderName }: SendOrigin,
  ): ReturnType<typeof encodeEntry> {
    const { conversation, sender, clientMsgId, text, entry } = draft;
    const { kind, thread, range, reason } = entry as DraftEntry;
    if (range !== undefined) this.#options.onErasable();
    const extra = {
      kind,
      version: seq,
      target,
      thread,
      quote,
      retraction: undefined,
      range,
      reason,
      system: undefined,
      bare: false,
    };
    return encodeEntry({ conversation, seq, id, sender, clientMsgId, text, atMs, extra }, (user) =>
      user === sender ? senderName : this.#options.nameOf(user),
    );
  }

  /** A committed batch could not be pushed: its conversations and senders resynchronise. */
  #unannounced(batch: Batch<SendOrigin>, results: readonly Appended[], error: unknown): void {
    const { fanout, logger } = this.#options;
    logger.error({ err: error, rows: results.length }, 'a committed batch could not be pushed');
    for (let i = 0; i < results.length; i++) {
      const result = results[i] as Appended;
      if (result.ok) fanout.markLost((batch.drafts[i] as QueuedDraft).conversation, result.memberVersion);
    }
    this.#tell();
  }

  #failed(batch: Batch<SendOrigin>, error: GochatError): void {
    const { logger, metrics } = this.#options;
    if (!this.#failing)
      logger.error({ err: error, code: error.code, rows: batch.drafts.length }, 'append failed');
    const delayMs = this.#failing ? this.#retry.next() : 0;
    this.#failing = true;
    const code = isPlainErrorCode(error.code) ? error.code : 'STORE_UNAVAILABLE';
    const refused = this.#refuseBatch(batch, code, error.retryAfterMs ?? MAX_RETRY_MS);
    count(metrics, 'failed', refused);
    if (delayMs > 0 && !this.#draining) {
      this.#retryTimer ??= setTimeout(() => {
        this.#retryTimer = undefined;
        this.#tell();
      }, delayMs);
    }
    this.#tell();
  }

  /** Refuses the rows and their senders' later ones, except those of a later round. Returns the number of rows. */
  #refuseBatch(rows: Batch<SendOrigin>, code: PlainErrorCode, retryAfterMs: number): number {
    this.#refuseAll(rows, code, retryAfterMs);
    const senders = new Set(rows.drafts.map(({ sender }) => sender));
    const refused = new Map<Downlink, Map<number, number>>();
    for (const { link, conn, round } of rows.origins) {
      const rounds = refused.get(link);
      // The last row of a connection is of its newest round.
      if (rounds === undefined) refused.set(link, new Map([[conn, round]]));
      else rounds.set(conn, round);
    }
    // Ended connections included: the client may be repeating on another one already.
    const following = this.#commit.remove(
      senders,
      ({ link, conn, round }) => round <= (refused.get(link)?.get(conn) ?? -1),
    );
    this.#refuseAll(following, 'RESYNC_REQUIRED');
    return rows.drafts.length + following.drafts.length;
  }

  #refuseAll(batch: Batch<SendOrigin>, code: PlainErrorCode, retryAfterMs?: number): void {
    for (let i = 0; i < batch.drafts.length; i++) {
      const { conversation, clientMsgId } = batch.drafts[i] as QueuedDraft;
      this.#refuse(batch.origins[i] as SendOrigin, {
        key: conversation,
        clientMsgId,
        code,
        ...(retryAfterMs === undefined ? undefined : { retryAfterMs }),
      });
    }
  }

  /** Refuses a send that the client repeats. */
  #refuse(
    { link, conn, round, ref }: Pick<SendOrigin, 'link' | 'conn' | 'round' | 'ref'>,
    refusal: CodeWithDetails & { key: ConversationId; clientMsgId: string; retryAfterMs?: number },
  ): void {
    this.#fences.hold(link, conn, round);
    link.refuse({ conn, ref, ...refusal });
  }

  /**
   * Sends FENCE to the workers when a repetition can succeed: not while the queue is more than half full, nor between
   * retries of a failing store. A drain ends the stream, which has the same effect.
   */
  #tell(): void {
    if (!this.#fences.isDue || this.#draining || this.#retryTimer !== undefined) return;
    if (this.#commit.hasRoom && this.#options.canMakeIds()) this.#fences.tell();
  }
}

function refusalOf(code: SendRefusal): CodeWithDetails {
  if (code === 'PINS_FULL') return { code, details: { max: MAX_PINS } };
  return code === 'RANGES_FULL' ? { code, details: { max: MAX_RANGES } } : { code };
}

function count(metrics: StateMetrics, result: string, rows: number): void {
  if (rows > 0) metrics.sends.add(rows, { result });
}
