/** News of cursors that have moved: tells the user's other devices and who watches, after the commit, gathered. */
import type { ConversationId, Logger, UserId } from '../../common/mod.ts';
import { client, encodeFrame, FrameType } from '../../proto/mod.ts';
import type { SettingsCache } from '../identity/settings-cache.ts';
import type { LocationMap } from '../session/location-map.ts';
import type { WatchBook } from '../session/watch-book.ts';
import type { CursorMove, CursorStore, ShownReceipt } from '../store/store.ts';
import type { Fanout } from './fanout.ts';

/** News of so long are told together. */
const GATHER_MS = 250;
/** Most cursors of one look-up, and that wait for it; what comes beyond is told with the user's next move. */
const MAX_CURSORS = 2000;

interface Moved {
  readonly conversation: ConversationId;
  readonly user: UserId;
  /** Device that has read; undefined: several. */
  device: string | undefined;
  /** Whether the user's other devices are to be told. */
  hasRead: boolean;
}

export interface ReceiptNewsOptions {
  readonly store: Pick<CursorStore, 'receiptsOf'>;
  readonly settings: Pick<SettingsCache, 'of'>;
  readonly watches: WatchBook;
  readonly locations: Pick<LocationMap<unknown>, 'hasSeveral'>;
  readonly fanout: Pick<Fanout, 'announceToDevices' | 'publishToWatchers'>;
  readonly logger: Logger;
}

/**
 * What is told is read from the store: a move may have changed nothing, as another device or a repetition came before.
 * News are best effort; `get_self` has the whole.
 */
export class ReceiptNews {
  readonly #options: ReceiptNewsOptions;
  #moved = new Map<string, Moved>();
  /** While it is set, news are gathered, or are being told: one look-up at a time, so that none overtakes another. */
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor(options: ReceiptNewsOptions) {
    this.#options = options;
  }

  /** Cursors were stored. */
  moved(moves: readonly CursorMove[]): void {
    const { locations, watches } = this.#options;
    for (const { conversation, user, device, readSeq, readEpoch = 0, thread = 0 } of moves) {
      const hasRead = (readSeq > 0 || readEpoch > 0) && locations.hasSeveral(user);
      if (thread > 0) {
        // Nobody else is told how far a thread was read.
        if (hasRead) this.#tellDevices({ conversation, user, readSeq, readEpoch, thread }, device);
        continue;
      }
      if (hasRead || watches.hasConversation(conversation))
        this.#add({ conversation, user, device, hasRead });
    }
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.#moved.clear();
  }

  #add(moved: Moved): void {
    const key = `${moved.conversation}/${moved.user}`;
    const known = this.#moved.get(key);
    if (known !== undefined) {
      if (moved.hasRead && known.device !== moved.device) known.device = undefined;
      known.hasRead ||= moved.hasRead;
      return;
    }
    if (this.#moved.size >= MAX_CURSORS) return;
    this.#moved.set(key, moved);
    this.#timer ??= setTimeout(() => void this.#tell(), GATHER_MS);
  }

  async #tell(): Promise<void> {
    const moved = this.#moved;
    this.#moved = new Map();
    const { store, logger } = this.#options;
    try {
      const receipts = await store.receiptsOf([...moved.values()]);
      for (const receipt of receipts) {
        const news = moved.get(`${receipt.conversation}/${receipt.user}`);
        if (news?.hasRead) this.#tellDevices({ ...receipt, thread: 0 }, news.device);
      }
      await this.#tellWatchers(receipts);
    } catch (error) {
      // The next move, or get_self, brings them.
      logger.debug({ err: error }, 'cursors that have moved cannot be read');
    }
    const goesOn = this.#moved.size > 0 && !this.#stopped;
    this.#timer = goesOn ? setTimeout(() => void this.#tell(), GATHER_MS) : undefined;
  }

  /** Tells who watches a conversation, is a member, and shows own receipts, too. */
  async #tellWatchers(receipts: readonly ShownReceipt[]): Promise<void> {
    const { settings, watches, fanout } = this.#options;
    const byConversation = new Map<ConversationId, ShownReceipt[]>();
    const users = new Set<UserId>();
    for (const receipt of receipts) {
      const { conversation, user, shown } = receipt;
      if (shown === undefined || !watches.hasConversation(conversation)) continue;
      users.add(user);
      const others = byConversation.get(conversation);
      if (others === undefined) byConversation.set(conversation, [receipt]);
      else others.push(receipt);
    }
    if (byConversation.size === 0) return;
    for (const conversation of byConversation.keys())
      watches.eachOfConversation(conversation, (_stream, _conn, watcher) => users.add(watcher));
    const settingsOf = await settings.of(users);
    for (const [conversation, moved] of byConversation) {
      // Of who is invisible nothing has changed for others, and even that is not told.
      const told = moved.filter(({ user }) => !settingsOf(user).invisible).flatMap(toWireReceipt);
      if (told.length === 0) continue;
      const payload = client.Read.encode({ receipts: told }).finish();
      const frame = encodeFrame(FrameType.READ, 0, conversation, payload);
      const isFor = (watcher: UserId) => users.has(watcher) && settingsOf(watcher).receipts;
      fanout.publishToWatchers({ conversation, frame, isEphemeral: false, isFor, size: 'small' });
    }
  }

  #tellDevices(
    {
      conversation,
      user,
      readSeq,
      readEpoch,
      thread,
    }: Omit<ShownReceipt, 'shown'> & { readonly thread: number },
    device: string | undefined,
  ): void {
    const read = {
      conversation,
      deliveredSeq: 0n,
      readSeq: BigInt(readSeq),
      readEpoch: BigInt(readEpoch),
      thread: BigInt(thread),
    };
    this.#options.fanout.announceToDevices(user, selfFrame({ reads: [read] }), device);
  }
}

/** Returns the receipt as others are shown it; none if it is hidden. */
export function toWireReceipt({ user, shown }: ShownReceipt): client.MemberReceipt[] {
  if (shown === undefined) return [];
  const { readSeq, readEpoch, deliveredSeq } = shown;
  return [
    {
      user,
      readSeq: BigInt(readSeq),
      readEpoch: BigInt(readEpoch),
      deliveredSeq: BigInt(deliveredSeq),
    },
  ];
}

/** Encodes a SELF frame. */
export function selfFrame(fields: Partial<client.Self>): Uint8Array {
  return encodeFrame(FrameType.SELF, 0, 0n, client.Self.encode(client.Self.create(fields)).finish());
}
