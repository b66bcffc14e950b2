/** News of cursors that have moved: tells the user's other devices, after the commit, gathered. */
import type { ConversationId, Logger, UserId } from '../../common/mod.ts';
import { client, encodeFrame, FrameType } from '../../proto/mod.ts';
import type { LocationMap } from '../session/location-map.ts';
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
  hasRead: boolean;
}

export interface ReceiptNewsOptions {
  readonly store: Pick<CursorStore, 'receiptsOf'>;
  readonly locations: Pick<LocationMap<unknown>, 'hasSeveral'>;
  readonly fanout: Pick<Fanout, 'announceToDevices'>;
  readonly logger: Logger;
}

/**
 * What is told is read from the store: a move may have changed nothing, as another device or a repetition came before.
 * News are best effort; `get_self` has the whole.
 */
export class ReceiptNews {
  readonly #options: ReceiptNewsOptions;
  #moved = new Map<string, Moved>();
  #timer: NodeJS.Timeout | undefined;

  constructor(options: ReceiptNewsOptions) {
    this.#options = options;
  }

  /** Cursors were stored. */
  moved(moves: readonly CursorMove[]): void {
    const { locations } = this.#options;
    for (const { conversation, user, device, readSeq } of moves) {
      const hasRead = readSeq > 0 && locations.hasSeveral(user);
      if (hasRead) this.#add({ conversation, user, device, hasRead });
    }
  }

  stop(): void {
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
    this.#timer = undefined;
    const moved = this.#moved;
    this.#moved = new Map();
    const { store, logger } = this.#options;
    try {
      const receipts = await store.receiptsOf([...moved.values()]);
      for (const receipt of receipts) {
        const news = moved.get(`${receipt.conversation}/${receipt.user}`);
        if (news?.hasRead) this.#tellDevices(receipt, news.device);
      }
    } catch (error) {
      // The next move, or get_self, brings them.
      logger.debug({ err: error }, 'cursors that have moved cannot be read');
    }
  }

  #tellDevices({ conversation, user, readSeq }: ShownReceipt, device: string | undefined): void {
    const reads = [{ conversation, deliveredSeq: 0n, readSeq: BigInt(readSeq), readEpoch: 0n }];
    this.#options.fanout.announceToDevices(user, selfFrame({ reads }), device);
  }
}

/** Encodes a SELF frame. */
export function selfFrame(fields: Partial<client.Self>): Uint8Array {
  return encodeFrame(FrameType.SELF, 0, 0n, client.Self.encode(client.Self.create(fields)).finish());
}
