/** Receipts: cursor moves of many frames, merged and written together. */
import { Backoff, type Logger, type UserId } from '../../common/mod.ts';
import type { client } from '../../proto/mod.ts';
import type { StateLimits } from '../limits.ts';
import type { Caller } from '../session/location-map.ts';
import type { CursorMove, Store } from '../store/store.ts';
import { conversationId } from './input.ts';

/** Most receipts of one frame. */
const MAX_RECEIPTS = 256;
/** Most moves of one write. */
const MAX_BATCH = 2000;
const MAX_SEQ = BigInt(Number.MAX_SAFE_INTEGER);

/**
 * Gathers cursor moves while a write is in flight, one per (user, device, conversation, thread), and writes them in batches.
 * Beyond the bound moves are dropped: cursors only grow, so a later receipt makes up for a lost one.
 */
export class Receipts {
  readonly #store: Pick<Store, 'moveCursors'>;
  readonly #limits: Pick<StateLimits, 'cursorMoves' | 'cursorMovesPerUser'>;
  readonly #logger: Logger;
  readonly #onMoved: (moves: readonly CursorMove[]) => void;
  readonly #backoff = new Backoff({ maxMs: 2000 });
  readonly #moves = new Map<string, CursorMove>();
  /** Their number by user. */
  readonly #byUser = new Map<UserId, number>();
  #writing = false;
  #scheduled = false;
  #failing = false;
  #retryTimer: NodeJS.Timeout | undefined;
  #stopped = false;
  readonly #whenIdle: (() => void)[] = [];

  /** @param onMoved moves that are stored */
  constructor(
    store: Pick<Store, 'moveCursors'>,
    limits: Pick<StateLimits, 'cursorMoves' | 'cursorMovesPerUser'>,
    logger: Logger,
    onMoved: (moves: readonly CursorMove[]) => void = () => undefined,
  ) {
    this.#store = store;
    this.#limits = limits;
    this.#logger = logger;
    this.#onMoved = onMoved;
  }

  /** Number of waiting moves. */
  get size(): number {
    return this.#moves.size;
  }

  /** Returns whether a user has its bound of waiting moves; further receipts are dropped unread. */
  isFull(user: UserId): boolean {
    return (this.#byUser.get(user) ?? 0) >= this.#limits.cursorMovesPerUser;
  }

  /** Adds the receipts of one frame, all or none; returns false if one is invalid. */
  add(caller: Caller, receipts: readonly client.Receipt[]): boolean {
    if (receipts.length > MAX_RECEIPTS) return false;
    for (const receipt of receipts) {
      if (conversationId(receipt.conversation) === undefined) return false;
      const { deliveredSeq, readSeq, readEpoch, thread } = receipt;
      if ([deliveredSeq, readSeq, readEpoch, thread].some((number) => number > MAX_SEQ)) return false;
    }
    for (const receipt of receipts) {
      const conversation = conversationId(receipt.conversation);
      if (conversation === undefined) continue;
      this.#merge({
        user: caller.user,
        device: caller.device,
        conversation,
        deliveredSeq: Number(receipt.deliveredSeq),
        readSeq: Number(receipt.readSeq),
        readEpoch: Number(receipt.readEpoch),
        thread: Number(receipt.thread),
      });
    }
    this.#schedule();
    return true;
  }

  /** Resolves when all moves are written, or writing has failed. */
  flush(): Promise<void> {
    return new Promise((resolve) => {
      this.#whenIdle.push(resolve);
      this.#write();
    });
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#retryTimer);
    this.#settle();
  }

  #merge(move: CursorMove): void {
    const key = `${move.user}/${move.conversation}/${move.thread ?? 0}/${move.device}`;
    const known = this.#moves.get(key);
    if (known === undefined) {
      if (this.#moves.size >= this.#limits.cursorMoves) return;
      this.#moves.set(key, move);
      this.#byUser.set(move.user, (this.#byUser.get(move.user) ?? 0) + 1);
      return;
    }
    const { readSeq, readEpoch = 0 } = isBefore(known, move) ? move : known;
    const deliveredSeq = Math.max(known.deliveredSeq, move.deliveredSeq);
    this.#moves.set(key, { ...known, deliveredSeq, readSeq, readEpoch });
  }

  /** At the end of the tick, so that its frames go together. */
  #schedule(): void {
    if (this.#scheduled || this.#writing || this.#retryTimer !== undefined) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#write();
    });
  }

  #write(): void {
    if (this.#writing || this.#stopped) return;
    if (this.#moves.size === 0) {
      this.#settle();
      return;
    }
    const batch: CursorMove[] = [];
    for (const [key, move] of this.#moves) {
      if (batch.length >= MAX_BATCH) break;
      batch.push(move);
      this.#moves.delete(key);
      const left = (this.#byUser.get(move.user) ?? 1) - 1;
      if (left > 0) this.#byUser.set(move.user, left);
      else this.#byUser.delete(move.user);
    }
    this.#writing = true;
    this.#store.moveCursors(batch).then(
      () => {
        this.#writing = false;
        this.#failing = false;
        this.#backoff.reset();
        this.#onMoved(batch);
        this.#write();
      },
      (error: unknown) => {
        this.#writing = false;
        if (!this.#failing) this.#logger.warn({ err: error }, 'cannot write cursors');
        this.#failing = true;
        for (const move of batch) this.#merge(move);
        this.#settle();
        if (this.#stopped) return;
        clearTimeout(this.#retryTimer);
        this.#retryTimer = setTimeout(() => {
          this.#retryTimer = undefined;
          this.#write();
        }, this.#backoff.next());
      },
    );
  }

  #settle(): void {
    for (const resolve of this.#whenIdle.splice(0)) resolve();
  }
}

/** Whether a read cursor comes before another: the epoch decides first. */
function isBefore(a: CursorMove, b: CursorMove): boolean {
  const [epoch, other] = [a.readEpoch ?? 0, b.readEpoch ?? 0];
  return epoch < other || (epoch === other && a.readSeq < b.readSeq);
}
