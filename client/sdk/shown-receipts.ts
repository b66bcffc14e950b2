/** What others have received and read, as this client was told: never behind what it was told before. */
import type { MemberReceipt as WireReceipt, Watched } from '../../proto/client.ts';

type ByUser = Map<bigint, WireReceipt>;

/**
 * READ is pushed by another server than the one that answers WATCH with what it has read from the store, so a WATCHED may come
 * after a READ that is newer. The greater cursor counts, whichever comes first.
 */
export class ShownReceipts {
  /** By conversation of the watch. */
  #known = new Map<bigint, ByUser>();
  /** Pushed since the WATCH under way was sent. */
  #news = new Map<bigint, ByUser>();

  /** A WATCH is sent. */
  asked(): void {
    this.#news.clear();
  }

  /** Takes the answer to the WATCH. Returns the conversations with the receipts that came before it. */
  answered(conversations: Watched['conversations']): Watched['conversations'] {
    const known = new Map<bigint, ByUser>();
    const whole = conversations.map((of) => {
      const byUser: ByUser = new Map(of.receipts.map((receipt) => [receipt.user, receipt]));
      for (const receipt of this.#news.get(of.conversation)?.values() ?? []) merge(byUser, receipt);
      known.set(of.conversation, byUser);
      return { ...of, receipts: [...byUser.values()] };
    });
    this.#known = known;
    this.#news.clear();
    return whole;
  }

  /** Takes what is pushed. Returns the receipts that tell something new, as they are now. */
  pushed(conversation: bigint, receipts: readonly WireReceipt[]): WireReceipt[] {
    const known = ofConversation(this.#known, conversation);
    const news = ofConversation(this.#news, conversation);
    return receipts.flatMap((receipt) => {
      merge(news, receipt);
      return merge(known, receipt) ? [known.get(receipt.user) as WireReceipt] : [];
    });
  }

  /** The user is out of a conversation. */
  left(conversation: bigint): void {
    this.#known.delete(conversation);
    this.#news.delete(conversation);
  }
}

function ofConversation(of: Map<bigint, ByUser>, conversation: bigint): ByUser {
  let byUser = of.get(conversation);
  if (byUser === undefined) of.set(conversation, (byUser = new Map()));
  return byUser;
}

/** Raises the receipt of a user. Returns whether it has changed. */
function merge(byUser: ByUser, receipt: WireReceipt): boolean {
  const known = byUser.get(receipt.user);
  if (known === undefined) {
    byUser.set(receipt.user, receipt);
    return true;
  }
  const isRead = isBehind(known, receipt);
  const isDelivered = receipt.deliveredSeq > known.deliveredSeq;
  if (!isRead && !isDelivered) return false;
  const { readSeq, readEpoch } = isRead ? receipt : known;
  const { deliveredSeq } = isDelivered ? receipt : known;
  byUser.set(receipt.user, { user: receipt.user, readSeq, readEpoch, deliveredSeq });
  return true;
}

function isBehind(a: WireReceipt, b: WireReceipt): boolean {
  return a.readEpoch === b.readEpoch ? a.readSeq < b.readSeq : a.readEpoch < b.readEpoch;
}
