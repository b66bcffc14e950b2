/** WATCH records of one link: keeps what its connections watch, and answers where this is the user's node. */
import { type ConversationId, GochatError } from '../../common/mod.ts';
import {
  client,
  decodeWatch,
  encodeConns,
  encodeFrame,
  encodeWatchResult,
  FrameType,
  LinkKind,
  type WatchRecord,
} from '../../proto/mod.ts';
import { BUSY_RETRY_MS } from '../chat/requests.ts';
import { encodeAnswerRecord } from '../delivery/hot-frames.ts';
import type { Downlink } from '../session/downlink.ts';
import type { WatchedUser } from '../session/watch-book.ts';
import type { LinkContext } from './link-context.ts';

export class WatchRecords {
  readonly #link: Downlink;
  readonly #context: LinkContext;

  constructor(link: Downlink, context: LinkContext) {
    this.#link = link;
    this.#context = context;
  }

  /** Handles a record. Returns false if it is malformed. */
  onRecord(record: Uint8Array): boolean {
    const watch = decodeWatch(record);
    if (watch === undefined) return false;
    if (watch.isHome) this.#answer(watch, record.length);
    else {
      this.#keep(watch, []);
      const { conn, number } = watch;
      if (number !== 0) this.#link.answer(encodeConns(LinkKind.WATCHING, [conn, number]));
    }
    return true;
  }

  /** Answers the client in its user's turn. */
  #answer(watch: WatchRecord, bytes: number): void {
    const { locations, requests } = this.#context;
    const slot = locations.slotOf(this.#link.index, watch.conn);
    if (slot < 0) return;
    const user = locations.userAt(slot);
    const code = requests.refusal(user);
    if (code === undefined) requests.take(user, bytes, () => this.#begin(watch));
    else this.#refuse(watch, new GochatError(code, { retryAfterMs: BUSY_RETRY_MS }));
  }

  /** Never rejects. */
  async #begin(watch: WatchRecord): Promise<void> {
    const { locations, watching, logger } = this.#context;
    const slot = this.#link.ended ? -1 : locations.slotOf(this.#link.index, watch.conn);
    if (slot < 0) return;
    const { conn, number, ref } = watch;
    let accepted = false;
    try {
      const watched = await watching.begin(locations.userAt(slot), watch, (users) => {
        accepted = this.#keep(watch, users);
        return accepted;
      });
      if (watched === undefined) return;
      this.#link.answer(encodeWatchResult(conn, number, true));
      const payload = client.Watched.encode(watched).finish();
      this.#link.answer(encodeAnswerRecord(conn, encodeFrame(FrameType.WATCHED, ref, 0n, payload)));
    } catch (cause) {
      const error = GochatError.from(cause);
      if (error.code === 'INTERNAL')
        logger.error({ err: error, gateway: this.#link.peerName }, 'watch failed');
      if (accepted) this.#link.answer(encodeWatchResult(conn, number, true));
      this.#refuse(watch, error, !accepted);
    }
  }

  /** Returns false if the connection has ended. */
  #keep({ conn, idle, conversations }: WatchRecord, users: readonly WatchedUser[]): boolean {
    const { locations, watches, presence, typing, fanout } = this.#context;
    const { index } = this.#link;
    const slot = this.#link.ended ? -1 : locations.slotOf(index, conn);
    if (slot < 0) return false;
    const user = locations.userAt(slot);
    presence.during(user, () => locations.setIdle(index, conn, idle));
    watches.set(index, conn, user, conversations, users);
    for (const conversation of conversations as Iterable<ConversationId>) {
      fanout.watchedBy(conversation, user);
      typing.catchUp(conversation, user);
    }
    return true;
  }

  #refuse({ conn, ref, number }: WatchRecord, error: GochatError, tellsGateway = true): void {
    if (tellsGateway) this.#link.answer(encodeWatchResult(conn, number, false));
    const retryAfterMs = error.retryAfterMs ?? (error.retryable ? BUSY_RETRY_MS : 0);
    this.#link.refuse({ conn, ref, key: 0n, ...error.said, retryAfterMs });
  }
}
