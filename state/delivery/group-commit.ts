/** Group commit: while one batch commits, the next one gathers, with a turn for each user. */
import { GochatError, type ConversationId, type MessageId, type UserId } from '../../common/mod.ts';
import type { EntryRules } from '../policy.ts';
import type { Appended, Draft, DraftEntry, Store } from '../store/store.ts';

/** A queued draft; id and time are set when its commit begins. */
export interface QueuedDraft extends Draft {
  id: MessageId;
  atMs: number;
  /** When it was queued, on this process's clock, ms. */
  readonly sinceMs: number;
  /** Size charged to the queue. */
  readonly bytes: number;
}

/** Rows, each with the caller's record of its origin. */
export interface Batch<Origin> {
  readonly drafts: QueuedDraft[];
  readonly origins: Origin[];
}

export interface GroupCommitOptions<Origin> {
  readonly store: Pick<Store, 'append'>;
  readonly rules: EntryRules;
  readonly nextIds: (count: number) => readonly MessageId[];
  readonly queueRows: number;
  readonly queueBytes: number;
  readonly batchRows: number;
  readonly batchBytes: number;
  /** One user's turn in a batch; at least one row, whatever its size. An entry other than a plain text counts as ENTRY_ROWS. */
  readonly turnRows: number;
  readonly turnBytes: number;
  /** Longest wait of a row for its commit, ms. */
  readonly queueMs: number;
  /** The batch is durable, except for refused rows. The next one may have begun. Must not throw. */
  readonly onCommitted: (batch: Batch<Origin>, results: readonly Appended[], seconds: number) => void;
  /** The batch may or may not be durable. The next one has not begun, so queued rows can still be removed. */
  readonly onFailed: (batch: Batch<Origin>, error: GochatError) => void;
  /** These rows have waited too long and are not committed. The next batch has not begun. */
  readonly onOverdue: (rows: Batch<Origin>) => void;
}

/** Rows of one user, oldest first. */
interface UserRows<Origin> extends Batch<Origin> {
  bytes: number;
}

/** A user's rows in the gathering batch. */
interface Turn {
  rows: number;
  bytes: number;
}

/** Estimated bytes of a queued row besides its strings. */
const ROW_OVERHEAD_BYTES = 256;
/**
 * Rows of a batch and of a turn that an entry other than a plain text takes: it costs the store about as much, and those
 * that concern one message are committed one after another.
 */
export const ENTRY_ROWS = 4;
/**
 * Most of them in a batch that concern one conversation: as many statements, one after another, may be needed for them. The
 * turns of two users fit.
 */
export const CONVERSATION_ENTRIES = 32;
/** Rows beyond their user's turn may fill 1 / this of the queue and of a batch; the rest is for other users. */
const BACKLOG_PART = 2;
/** One user may fill 1 / this of the room left for such rows, so that some is left for the next user. */
const USER_PART = 2;

/**
 * Appends drafts in batches, one in flight: the first draft commits alone, and drafts that come meanwhile commit
 * together. There is no timer: the slower the store, the larger the batch.
 *
 * A user's rows beyond its turn in the gathering batch wait in the user's own backlog, and each new batch begins with a
 * turn of every backlog. So however much some users send, a row of any other user is in the next batch, whose size is
 * bounded by the number of users. Only entries other than plain texts may wait longer, for those of their conversation. The
 * rows of one user keep their order.
 */
export class GroupCommit<Origin> {
  readonly #options: GroupCommitOptions<Origin>;
  #gathering: Batch<Origin> = newBatch();
  #gatheringRows = 0;
  #gatheringBytes = 0;
  /** Queue time of its oldest row. */
  #gatheringSinceMs = Number.POSITIVE_INFINITY;
  #turns = new Map<UserId, Turn>();
  /** Entries other than plain texts in the gathering batch, per conversation. */
  #entries = new Map<ConversationId, number>();
  /** In the order of their turns. */
  readonly #backlogs = new Map<UserId, UserRows<Origin>>();
  #rows = 0;
  #bytes = 0;
  /** Time of this tick's rows; 0: none has come. */
  #nowMs = 0;
  #inFlight = false;
  #whenIdle: (() => void)[] = [];

  constructor(options: GroupCommitOptions<Origin>) {
    this.#options = options;
  }

  /** Number of queued rows, without those in flight. */
  get rows(): number {
    return this.#rows;
  }

  /** Whether the queue is at most half full. */
  get hasRoom(): boolean {
    return this.#rows * 2 <= this.#options.queueRows && this.#bytes * 2 <= this.#options.queueBytes;
  }

  /** Queues a draft. Returns false if the queue is full or the sender has its share of it queued. */
  offer(
    conversation: ConversationId,
    sender: UserId,
    clientMsgId: string,
    text: string,
    entry: DraftEntry | undefined,
    origin: Origin,
  ): boolean {
    const besides = entry === undefined ? 0 : entry.reason.length + entry.targetClientMsgId.length;
    const bytes = ROW_OVERHEAD_BYTES + (text.length + clientMsgId.length + besides) * 2;
    const { queueRows, queueBytes } = this.#options;
    if (this.#rows >= queueRows || this.#bytes + bytes > queueBytes) return false;
    if (this.#nowMs === 0) this.#nowMs = performance.now();
    const draft: QueuedDraft = {
      conversation,
      sender,
      clientMsgId,
      id: NO_ID,
      text,
      atMs: 0,
      entry,
      sinceMs: this.#nowMs,
      bytes,
    };
    const backlog = this.#backlogs.size === 0 ? undefined : this.#backlogs.get(sender);
    if (backlog !== undefined) {
      if (!this.#mayWait(backlog)) return false;
      addRow(backlog, draft, origin);
      backlog.bytes += bytes;
    } else if (!this.#gather(draft, origin)) {
      this.#backlogs.set(sender, { drafts: [draft], origins: [origin], bytes });
    }
    this.#rows++;
    this.#bytes += bytes;
    return true;
  }

  /** Begins a commit if none is in flight. */
  start(): void {
    this.#nowMs = 0;
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

  /** Removes the queued rows of these users for which `test` is true. Returns them, each user's oldest first. */
  remove(users: ReadonlySet<UserId>, test: (origin: Origin, draft: QueuedDraft) => boolean): Batch<Origin> {
    const removed = newBatch<Origin>();
    const old = this.#gathering;
    this.#clearGathering();
    for (let i = 0; i < old.drafts.length; i++) {
      const draft = old.drafts[i] as QueuedDraft;
      const origin = old.origins[i] as Origin;
      if (users.has(draft.sender) && test(origin, draft)) addRow(removed, draft, origin);
      else this.#add(draft, origin, this.#turns.get(draft.sender));
    }
    for (const user of users) {
      const backlog = this.#backlogs.get(user);
      if (backlog === undefined) continue;
      const kept: UserRows<Origin> = { drafts: [], origins: [], bytes: 0 };
      for (let i = 0; i < backlog.drafts.length; i++) {
        const draft = backlog.drafts[i] as QueuedDraft;
        const origin = backlog.origins[i] as Origin;
        const out = test(origin, draft);
        addRow(out ? removed : kept, draft, origin);
        if (!out) kept.bytes += draft.bytes;
      }
      if (kept.drafts.length > 0) this.#backlogs.set(user, kept);
      else this.#backlogs.delete(user);
    }
    this.#rows -= removed.drafts.length;
    for (const { bytes } of removed.drafts) this.#bytes -= bytes;
    return removed;
  }

  /** Resolves when nothing is queued or in flight. */
  idle(): Promise<void> {
    return new Promise((resolve) => {
      this.#whenIdle.push(resolve);
      this.start();
    });
  }

  /** Takes the gathering batch, without overdue rows, and starts the next one. */
  #next(nowMs: number): Batch<Origin> | undefined {
    const { queueMs, onOverdue } = this.#options;
    for (;;) {
      // All rows of a batch may have been removed.
      if (this.#gathering.drafts.length === 0) this.#takeTurns();
      if (this.#gathering.drafts.length === 0) return undefined;
      if (nowMs - this.#gatheringSinceMs <= queueMs) break;
      const late = new Set(this.#gathering.drafts.map(({ sender }) => sender));
      onOverdue(this.remove(late, (_, { sinceMs }) => nowMs - sinceMs > queueMs));
    }
    const batch = this.#gathering;
    this.#rows -= batch.drafts.length;
    this.#bytes -= this.#gatheringBytes;
    this.#clearGathering();
    this.#takeTurns();
    return batch;
  }

  /** Starts the gathering batch with a turn of each backlog; backlogs without room come first the next time. */
  #takeTurns(): void {
    const { batchRows, turnRows } = this.#options;
    const most = Math.max(turnRows, batchRows / BACKLOG_PART);
    let left = this.#backlogs.size;
    for (const [user, backlog] of this.#backlogs) {
      // The rest have had their turn.
      if (left-- === 0) return;
      const { drafts, origins } = backlog;
      let taken = 0;
      while (taken < drafts.length && this.#gatheringRows < most) {
        const draft = drafts[taken] as QueuedDraft;
        if (!this.#gather(draft, origins[taken] as Origin)) break;
        backlog.bytes -= draft.bytes;
        taken++;
      }
      // It waits for its conversation, and holds up nobody else.
      if (taken === 0 && this.#isCrowded(drafts[0] as QueuedDraft)) continue;
      if (taken === 0) return;
      drafts.splice(0, taken);
      origins.splice(0, taken);
      this.#backlogs.delete(user);
      if (drafts.length > 0) this.#backlogs.set(user, backlog);
    }
  }

  /** Adds a row to the gathering batch; false if it is full or has the sender's turn already. */
  #gather(draft: QueuedDraft, origin: Origin): boolean {
    const { batchRows, batchBytes, turnRows, turnBytes } = this.#options;
    const rows = rowsOf(draft);
    const isFirst = this.#gathering.drafts.length === 0;
    if (!isFirst && this.#gatheringRows + rows > batchRows) return false;
    if (!isFirst && this.#gatheringBytes + draft.bytes > batchBytes) return false;
    if (this.#isCrowded(draft)) return false;
    const turn = this.#turns.get(draft.sender);
    if (turn !== undefined && (turn.rows + rows > turnRows || turn.bytes + draft.bytes > turnBytes))
      return false;
    this.#add(draft, origin, turn);
    return true;
  }

  #add(draft: QueuedDraft, origin: Origin, turn: Turn | undefined): void {
    const { conversation, sender, bytes, sinceMs, entry } = draft;
    const rows = rowsOf(draft);
    if (entry !== undefined) this.#entries.set(conversation, (this.#entries.get(conversation) ?? 0) + 1);
    if (turn === undefined) this.#turns.set(sender, { rows, bytes });
    else {
      turn.rows += rows;
      turn.bytes += bytes;
    }
    addRow(this.#gathering, draft, origin);
    this.#gatheringRows += rows;
    this.#gatheringBytes += bytes;
    if (sinceMs < this.#gatheringSinceMs) this.#gatheringSinceMs = sinceMs;
  }

  /**
   * Returns whether the user of a backlog may queue one more row. A turn may always wait. Beyond it the bound falls as
   * the queue fills, and the users with most are refused first: however many they are, they cannot fill it.
   */
  #mayWait({ drafts, bytes }: UserRows<Origin>): boolean {
    const { queueRows, queueBytes, turnRows, turnBytes } = this.#options;
    const isRowsOver =
      drafts.length >= turnRows && drafts.length * USER_PART >= queueRows / BACKLOG_PART - this.#rows;
    const isBytesOver = bytes >= turnBytes && bytes * USER_PART >= queueBytes / BACKLOG_PART - this.#bytes;
    return !isRowsOver && !isBytesOver;
  }

  #clearGathering(): void {
    this.#gathering = newBatch();
    this.#gatheringRows = 0;
    this.#gatheringBytes = 0;
    this.#gatheringSinceMs = Number.POSITIVE_INFINITY;
    this.#turns = new Map();
    this.#entries = new Map();
  }

  /** Whether the gathering batch has as many entries as may be of the draft's conversation. */
  #isCrowded({ conversation, entry }: QueuedDraft): boolean {
    return entry !== undefined && (this.#entries.get(conversation) ?? 0) >= CONVERSATION_ENTRIES;
  }

  /** Rejects also if no ids can be made: a failure of the batch like any other. */
  async #append(drafts: readonly QueuedDraft[]): Promise<readonly Appended[]> {
    const now = Date.now();
    const ids = this.#options.nextIds(drafts.length);
    for (let i = 0; i < drafts.length; i++) {
      const draft = drafts[i] as QueuedDraft;
      draft.id = ids[i] as MessageId;
      draft.atMs = now;
    }
    return this.#options.store.append(drafts, this.#options.rules);
  }

  #committed(batch: Batch<Origin>, results: readonly Appended[], begun: number): void {
    if (results.length !== batch.drafts.length) {
      this.#failed(batch, new Error(`the store answered ${results.length} of ${batch.drafts.length} drafts`));
      return;
    }
    this.#inFlight = false;
    const seconds = (performance.now() - begun) / 1000;
    // The store commits the next batch while this one is handled.
    this.start();
    this.#options.onCommitted(batch, results, seconds);
  }

  #failed(batch: Batch<Origin>, error: unknown): void {
    this.#inFlight = false;
    this.#options.onFailed(batch, GochatError.from(error));
    this.start();
  }
}

function newBatch<Origin>(): Batch<Origin> {
  return { drafts: [], origins: [] };
}

function addRow<Origin>({ drafts, origins }: Batch<Origin>, draft: QueuedDraft, origin: Origin): void {
  drafts.push(draft);
  origins.push(origin);
}

function rowsOf({ entry }: QueuedDraft): number {
  return entry === undefined ? 1 : ENTRY_ROWS;
}

const NO_ID = 0n as MessageId;
