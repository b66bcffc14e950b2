/** The sequencer: from a SEND to its commit, its SENT and its fan-out, or to a refusal that keeps the order. */
import { Buffer } from 'node:buffer';
import type {
  ConversationId,
  GochatError,
  Logger,
  MessageId,
  PlainErrorCode,
  UserId,
} from '../../common/mod.ts';
import { Backoff, isPlainErrorCode } from '../../common/mod.ts';
import type { StateLimits } from '../limits.ts';
import type { StateMetrics } from '../metrics.ts';
import type { TraceRing } from '../explain/trace-ring.ts';
import type { Downlink } from '../session/downlink.ts';
import type { Appended, Store } from '../store/store.ts';
import type { Fanout } from './fanout.ts';
import { Fences } from './fences.ts';
import { type Batch, GroupCommit, type QueuedDraft } from './group-commit.ts';
import { encodeMessageFrame, encodeSentRecord } from './hot-frames.ts';
import type { Replay } from './replay.ts';
import type { SendParser } from './send-parser.ts';

/** How soon senders may try again after OVERLOADED, ms. */
const OVERLOADED_RETRY_MS = 200;
/** After the first failure senders repeat at once, later at intervals that grow to this, ms. */
const MAX_RETRY_MS = 1000;
const BASE_RETRY_MS = 100;

/** Where a queued draft came from. */
export interface SendOrigin {
  readonly link: Downlink;
  readonly conn: number;
  readonly ref: number;
  /** The connection's round that it came in; see Fences. */
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
  readonly limits: StateLimits;
  readonly metrics: StateMetrics;
  readonly logger: Logger;
  /** Makes message ids; throws while this node has no number to make them with. */
  readonly nextIds: (count: number) => readonly MessageId[];
  readonly canMakeIds: () => boolean;
}

/** Takes sends in the order of their arrival; the store decides about order, duplicates and membership. */
export class Sequencer {
  readonly #options: SequencerOptions;
  readonly #fences = new Fences();
  readonly #commit: GroupCommit<SendOrigin>;
  readonly #retry = new Backoff({ baseMs: BASE_RETRY_MS, maxMs: MAX_RETRY_MS });
  #retryTimer: NodeJS.Timeout | undefined;
  #failing = false;
  #draining = false;
  /** Whether ids can be made; asked once for the sends of a tick. */
  #hasIds: boolean | undefined;

  constructor(options: SequencerOptions) {
    this.#options = options;
    const { limits } = options;
    this.#commit = new GroupCommit({
      store: options.store,
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
        this.#turnAway(rows, 'OVERLOADED', OVERLOADED_RETRY_MS);
        this.#tell();
      },
    });
  }

  get queueRows(): number {
    return this.#commit.rows;
  }

  /** Takes the send that the parser holds; commits begin with `flush`, at the end of the tick's records. */
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
      this.#refuse(link, conn, round, ref, conversation, clientMsgId, 'RESYNC_REQUIRED');
      return;
    }
    this.#hasIds ??= this.#options.canMakeIds();
    if (!this.#hasIds) {
      this.#refuse(link, conn, round, ref, conversation, clientMsgId, 'STATE_UNAVAILABLE', MAX_RETRY_MS);
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
    if (!this.#commit.offer(conversation, sender, clientMsgId, send.text, origin)) {
      this.#refuse(link, conn, round, ref, conversation, clientMsgId, 'OVERLOADED', OVERLOADED_RETRY_MS);
    }
  }

  /** Begins a commit when none is in flight, and tells the workers about new fences. */
  flush(): void {
    this.#hasIds = undefined;
    this.#commit.start();
    this.#tell();
  }

  /** Refuses further sends, unanswered ones excepted: they are committed and acknowledged before it resolves. */
  async drain(): Promise<void> {
    this.#draining = true;
    await this.#commit.idle();
  }

  /** Forgets what waits to be retried. */
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
    let refused: Batch<SendOrigin> | undefined;
    for (let i = 0; i < results.length; i++) {
      const result = results[i] as Appended;
      const draft = batch.drafts[i] as QueuedDraft;
      const origin = batch.origins[i] as SendOrigin;
      const { conversation, clientMsgId } = draft;
      if (!result.ok) {
        refused ??= { drafts: [], origins: [] };
        refused.drafts.push(draft);
        refused.origins.push(origin);
        const { link, conn, round, ref } = origin;
        this.#refuse(link, conn, round, ref, conversation, clientMsgId, result.code);
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
        }),
      );
      if (result.duplicate) {
        // The text of the repetition need not be the original's: what goes out comes from the log.
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
      const frame = encodeMessageFrame({
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
      });
      const pushed = fanout.publish({
        conversation,
        memberVersion: result.memberVersion,
        seq: result.seq,
        frame,
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
        fanout.behind,
      );
    }
    replay.flush();
    // Should the refusal be lost, it is sent again and may be accepted then: what is behind it must not be in the log yet.
    if (refused !== undefined) this.#turnAwayBehind(refused);
    metrics.appendSeconds.record(seconds);
    metrics.appendBatchRows.record(results.length);
    count(metrics, 'committed', results.length - duplicates - (refused?.drafts.length ?? 0));
    count(metrics, 'duplicate', duplicates);
    count(metrics, 'refused', refused?.drafts.length ?? 0);
    this.#tell();
  }

  /** The batch is in the log and not everybody may have heard: its conversations resynchronise, the senders too. */
  #unannounced(batch: Batch<SendOrigin>, results: readonly Appended[], error: unknown): void {
    const { fanout, logger } = this.#options;
    logger.error({ err: error, rows: results.length }, 'a committed batch could not be told');
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
    const refused = this.#turnAway(batch, code, error.retryAfterMs ?? MAX_RETRY_MS);
    count(metrics, 'failed', refused);
    if (delayMs > 0 && !this.#draining) {
      this.#retryTimer ??= setTimeout(() => {
        this.#retryTimer = undefined;
        this.#tell();
      }, delayMs);
    }
    this.#tell();
  }

  /**
   * Refuses the rows, and with them what their senders have queued behind them, but for what begins with a repetition.
   * Returns how many rows that are.
   */
  #turnAway(rows: Batch<SendOrigin>, code: PlainErrorCode, retryAfterMs: number): number {
    this.#refuseAll(rows, code, retryAfterMs);
    return rows.drafts.length + this.#turnAwayBehind(rows);
  }

  /** Refuses what the senders of refused sends have queued behind them, as in `#turnAway`. Returns how many rows. */
  #turnAwayBehind({ drafts, origins }: Batch<SendOrigin>): number {
    const senders = new Set(drafts.map(({ sender }) => sender));
    const refused = new Map<Downlink, Map<number, number>>();
    for (const { link, conn, round } of origins) {
      const rounds = refused.get(link);
      // The last one of a connection is of its newest round.
      if (rounds === undefined) refused.set(link, new Map([[conn, round]]));
      else rounds.set(conn, round);
    }
    // Also of connections that have gone: they may be repeating on another one already.
    const behind = this.#commit.remove(
      senders,
      ({ link, conn, round }) => round <= (refused.get(link)?.get(conn) ?? -1),
    );
    this.#refuseAll(behind, 'RESYNC_REQUIRED');
    return behind.drafts.length;
  }

  #refuseAll(batch: Batch<SendOrigin>, code: PlainErrorCode, retryAfterMs?: number): void {
    for (let i = 0; i < batch.drafts.length; i++) {
      const { conversation, clientMsgId } = batch.drafts[i] as QueuedDraft;
      const { link, conn, round, ref } = batch.origins[i] as SendOrigin;
      this.#refuse(link, conn, round, ref, conversation, clientMsgId, code, retryAfterMs);
    }
  }

  #refuse(
    link: Downlink,
    conn: number,
    round: number,
    ref: number,
    key: ConversationId,
    clientMsgId: string,
    code: PlainErrorCode,
    retryAfterMs?: number,
  ): void {
    this.#fences.hold(link, conn, round);
    link.refuse({
      conn,
      ref,
      key,
      code,
      clientMsgId,
      ...(retryAfterMs === undefined ? undefined : { retryAfterMs }),
    });
  }

  /**
   * Tells the workers to make the fenced connections repeat, when a repetition has a chance: not while the queue is
   * more than half full, nor between retries of a store that keeps failing. A drain ends in the end of the stream,
   * which has the same effect.
   */
  #tell(): void {
    if (!this.#fences.isDue || this.#draining || this.#retryTimer !== undefined) return;
    if (this.#commit.hasRoom && this.#options.canMakeIds()) this.#fences.tell();
  }
}

function count(metrics: StateMetrics, result: string, rows: number): void {
  if (rows > 0) metrics.sends.add(rows, { result });
}
