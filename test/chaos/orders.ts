/** Orders against users' connections, and the disconnects that each explains or requires. */
import type { EntryOf } from './history.ts';
import type { InstanceView } from './instance-view.ts';

type Order = EntryOf<'order'>;

/** Codes of a client that an order ends or refuses. */
const CODES: Readonly<Record<Order['what'], readonly string[]>> = {
  kick: ['KICKED'],
  revoke: ['KICKED', 'TOKEN_REVOKED'],
  logout: ['LOGGED_OUT', 'TOKEN_REVOKED'],
};
/**
 * Faults by which Redis loses its data. A live state node that knows a kick restores it; revocations are in the store.
 */
const FORGETTING = new Set(['engine killed -9', 'Redis wiped', 'Redis restarted empty']);
/** Time after which several state nodes know a kick, so that Redis may lose it, ms. */
const KNOWN_MS = 15_000;
/** Time after which an order was carried out, whatever was away meanwhile; ms. */
const DONE_MS = 30_000;

export class Orders {
  readonly #orders: Order[] = [];
  /** Times at which Redis may have lost its data; Unix ms. */
  readonly #losses: number[] = [];
  #lastMs = 0;

  add(order: Order): void {
    this.#orders.push(order);
  }

  fault({ name, target, at }: EntryOf<'fault'>): void {
    if (target === 'redis' && FORGETTING.has(name)) this.#losses.push(at);
  }

  /** Records that the history goes on up to this time. */
  passed(ms: number): void {
    this.#lastMs = Math.max(ms, this.#lastMs);
  }

  /** Returns whether an order explains a client's end; it need not have been confirmed. */
  explain({ user, device, end }: InstanceView): boolean {
    return this.#orders.some(
      (order) =>
        end !== undefined &&
        order.user === user &&
        order.since <= end.at &&
        CODES[order.what].includes(end.code) &&
        (order.device === '' || order.device === device),
    );
  }

  /** Returns a confirmed order that should have ended a live client. */
  ignoredBy(view: InstanceView): Order | undefined {
    return this.#orders.find(
      (order) =>
        order.confirmed &&
        order.at + DONE_MS < this.#lastMs &&
        !(order.what === 'kick' && this.#mayBeLost(order)) &&
        concerns(order, view),
    );
  }

  #mayBeLost({ since, at }: Order): boolean {
    return this.#losses.some((ms) => since <= ms && ms < at + KNOWN_MS);
  }
}

/** Returns whether an order is about the connection that a client lives with. */
function concerns(order: Order, { user, device, alive, lastUp }: InstanceView): boolean {
  if (!alive || lastUp === undefined || order.user !== user) return false;
  const { what, since, tokenMs } = order;
  if (what === 'kick') return (order.device === '' || order.device === device) && lastUp.at < since;
  return what === 'revoke' ? lastUp.tokenMs < since : lastUp.tokenMs === tokenMs;
}
