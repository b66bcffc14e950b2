/** Memberships by conversation with their first and last seq, as in the store. */
import type { EntryOf } from './history.ts';

/** A period of membership. */
interface Period {
  /** Unix ms; nothing of it can be known earlier. */
  readonly sinceMs: number;
  /** The conversation's last message when it began. */
  readonly joined: number;
  /** Messages up to this seq are not visible to the user. */
  readonly visibleAfter: number;
  /** The last message before the user left; undefined for members. */
  left: number | undefined;
  /** Unix ms; the user is a member at least until then. */
  leftMs: number;
}

export class Memberships {
  /** By user and conversation, in their order. */
  readonly #periods = new Map<string, Period[]>();
  /** First time at which a client knew a message, by conversation and seq; Unix ms. */
  readonly #known = new Map<string, Map<number, number>>();

  /** Adds the next change; changes of one user in one conversation come in order. */
  add({ user, conversation, change, seq, visibleAfter, ms }: EntryOf<'membership'>): void {
    const key = `${user} ${conversation}`;
    const periods = this.#periods.get(key) ?? [];
    this.#periods.set(key, periods);
    const last = periods.at(-1);
    if (change === 'joined')
      periods.push({
        sinceMs: ms,
        joined: seq,
        visibleAfter,
        left: undefined,
        leftMs: Number.POSITIVE_INFINITY,
      });
    else if (last !== undefined) {
      last.left = seq;
      last.leftMs = ms;
    }
  }

  /** Records that a message was known, so all earlier ones of its conversation are committed. */
  known(conversation: string, seq: number, ms: number): void {
    let known = this.#known.get(conversation);
    if (known === undefined) this.#known.set(conversation, (known = new Map()));
    known.set(seq, Math.min(ms, known.get(seq) ?? ms));
  }

  /**
   * Returns whether the user was certainly a member from one time to another: a change is committed some time after its
   * timestamp, and a message after a join proves the join.
   */
  wasIn(user: string, conversation: string, fromMs: number, toMs: number): boolean {
    const periods = this.#periods.get(`${user} ${conversation}`) ?? [];
    return periods.some(
      ({ sinceMs, joined, leftMs }) =>
        sinceMs < fromMs &&
        toMs < leftMs &&
        [...(this.#known.get(conversation) ?? [])].some(([seq, ms]) => seq > joined && ms < fromMs),
    );
  }

  /** Returns the seq after which a member at the end sees everything; undefined: the user is no member then. */
  after(user: string, conversation: string): number | undefined {
    const last = this.#periods.get(`${user} ${conversation}`)?.at(-1);
    return last?.left === undefined ? last?.visibleAfter : undefined;
  }

  /**
   * Returns the seq after which everything was visible to the user when a message was shown; undefined if that message
   * was not visible then.
   */
  floor(user: string, conversation: string, seq: number, shownMs: number): number | undefined {
    const periods = this.#periods.get(`${user} ${conversation}`) ?? [];
    return periods.findLast(
      ({ sinceMs, visibleAfter, left }) =>
        sinceMs <= shownMs && visibleAfter < seq && seq <= (left ?? Number.POSITIVE_INFINITY),
    )?.visibleAfter;
  }

  /** Yields the memberships at the end. */
  *members(): Generator<{ readonly user: string; readonly conversation: string; readonly after: number }> {
    for (const key of this.#periods.keys()) {
      const [user, conversation] = key.split(' ') as [string, string];
      const after = this.after(user, conversation);
      if (after !== undefined) yield { user, conversation, after };
    }
  }
}
