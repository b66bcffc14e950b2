/** Group commit: while one batch commits, the next one gathers. */
import { GochatError, type ConversationId, type MessageId, type UserId } from '../../common/mod.ts';
import type { Appended, Draft, Store } from '../store/store.ts';

/** A draft that waits; its id and time are set when its commit begins. */
export interface QueuedDraft extends Draft {
  id: MessageId;
  atMs: number;
}

/** Rows that are committed together, and beside each the caller's own record of where it came from. */
export interface Batch<Origin> {
  readonly drafts: QueuedDraft[];
  readonly origins: Origin[];
  bytes: number;
  /** Since when its first row has waited, by the clock of this process, ms. */
  readonly sinceMs: number;
}

export interface GroupCommitOptions<Origin> {
  readonly store: Pick<Store, 'append'>;
  readonly nextIds: (count: number) => readonly MessageId[];
  readonly queueRows: number;
  readonly queueBytes: number;
  readonly batchRows: number;
  readonly batchBytes: number;
  /** How long a batch may wait for its commit, from its first row on, ms. */
  readonly queueMs: number;
  /**
   * The batch is durable, but for what the store refused of it. Where it refused nothing the next batch may be on its
   * way already; else that has not begun, so what waits can still be taken out. Must not throw.
   */
  readonly onCommitted: (batch: Batch<Origin>, results: readonly Appended[], seconds: number) => void;
  /** The batch may or may not be durable; the next one has not begun, so what waits can still be taken out. */
  readonly onFailed: (batch: Batch<Origin>, error: GochatError) => void;
  /** The batch has waited for too long and is not committed; the next one has not begun. */
  readonly onOverdue: (batch: Batch<Origin>) => void;
}

/** Bytes of a queued row beside its strings, by rule of thumb. */
const ROW_OVERHEAD_BYTES = 256;

/**
 * Appends drafts in batches, one in flight: the first commits alone, and what comes meanwhile goes together. No timer:
 * the batch is as large as the store is slow.
 */
export class GroupCommit<Origin> {
  readonly #options: GroupCommitOptions<Origin>;
  /** Full batches in order, the last one still gathering. */
  #queue: Batch<Origin>[] = [];
  #rows = 0;
  #bytes = 0;
  #inFlight = false;
  #whenIdle: (() => void)[] = [];

  constructor(options: GroupCommitOptions<Origin>) {
    this.#options = options;
  }

  /** Rows that wait, those in flight not counted. */
  get rows(): number {
    return this.#rows;
  }

  /** Returns whether the queue is at most half full. */
  get hasRoom(): boolean {
    return this.#rows * 2 <= this.#options.queueRows && this.#bytes * 2 <= this.#options.queueBytes;
  }

  /** Queues a draft, which has waited since then or from now on; false when the queue is full. */
  offer(
    conversation: ConversationId,
    sender: UserId,
    clientMsgId: string,
    text: string,
    origin: Origin,
    sinceMs?: number,
  ): boolean {
    const bytes = ROW_OVERHEAD_BYTES + (text.length + clientMsgId.length) * 2;
    const { queueRows, queueBytes, batchRows, batchBytes } = this.#options;
    if (this.#rows >= queueRows || this.#bytes + bytes > queueBytes) return false;
    let batch = this.#queue.at(-1);
    if (batch === undefined || batch.drafts.length >= batchRows || batch.bytes + bytes > batchBytes) {
      batch = { drafts: [], origins: [], bytes: 0, sinceMs: sinceMs ?? performance.now() };
      this.#queue.push(batch);
    }
    batch.drafts.push({ conversation, sender, clientMsgId, id: NO_ID, text, atMs: 0 });
    batch.origins.push(origin);
    batch.bytes += bytes;
    this.#rows++;
    this.#bytes += bytes;
    return true;
  }

  /** Begins a commit when none is in flight. */
  start(): void {
    if (this.#inFlight) return;
    const begun = performance.now();
    const batch = this.#next(begun);
    if (batch === undefined) {
      for (const resolve of this.#whenIdle.splice(0)) resolve();
      return;
    }
    this.#inFlight = true;
    this.#append(batch.drafts).then(
      (results) => this.#committed(batch, results, begun),
      (error: unknown) => this.#failed(batch, error),
    );
  }

  /** Takes the first batch that has not waited for too long out of the queue. */
  #next(nowMs: number): Batch<Origin> | undefined {
    for (;;) {
      const batch = this.#queue.shift();
      if (batch === undefined) return undefined;
      this.#rows -= batch.drafts.length;
      this.#bytes -= batch.bytes;
      if (nowMs - batch.sinceMs <= this.#options.queueMs) return batch;
      this.#options.onOverdue(batch);
    }
  }

  /** Rejects also where no ids can be made: that is a failure of the batch like any other. */
  async #append(drafts: readonly QueuedDraft[]): Promise<readonly Appended[]> {
    const now = Date.now();
    const ids = this.#options.nextIds(drafts.length);
    for (let i = 0; i < drafts.length; i++) {
      const draft = drafts[i] as QueuedDraft;
      draft.id = ids[i] as MessageId;
      draft.atMs = now;
    }
    return this.#options.store.append(drafts);
  }

  #committed(batch: Batch<Origin>, results: readonly Appended[], begun: number): void {
    if (results.length !== batch.drafts.length) {
      this.#failed(batch, new Error(`the store answered ${results.length} of ${batch.drafts.length} drafts`));
      return;
    }
    this.#inFlight = false;
    const seconds = (performance.now() - begun) / 1000;
    const all = results.every(isCommitted);
    // The store works on while this batch is handed out.
    if (all) this.start();
    this.#options.onCommitted(batch, results, seconds);
    if (!all) this.start();
  }

  #failed(batch: Batch<Origin>, error: unknown): void {
    this.#inFlight = false;
    this.#options.onFailed(batch, GochatError.from(error));
    this.start();
  }

  /** Takes the rows out of the queue for which `test` is true, in order. */
  remove(test: (origin: Origin) => boolean): Batch<Origin> {
    const removed: Batch<Origin> = { drafts: [], origins: [], bytes: 0, sinceMs: 0 };
    const kept = this.#queue;
    this.#queue = [];
    this.#rows = 0;
    this.#bytes = 0;
    for (const batch of kept) {
      for (let i = 0; i < batch.drafts.length; i++) {
        const draft = batch.drafts[i] as QueuedDraft;
        const origin = batch.origins[i] as Origin;
        if (test(origin)) {
          removed.drafts.push(draft);
          removed.origins.push(origin);
        } else {
          const { conversation, sender, clientMsgId, text } = draft;
          this.offer(conversation, sender, clientMsgId, text, origin, batch.sinceMs);
        }
      }
    }
    return removed;
  }

  /** Resolves when nothing waits and nothing is in flight. */
  idle(): Promise<void> {
    return new Promise((resolve) => {
      this.#whenIdle.push(resolve);
      this.start();
    });
  }
}

const NO_ID = 0n as MessageId;
const isCommitted = ({ ok }: Appended): boolean => ok;
