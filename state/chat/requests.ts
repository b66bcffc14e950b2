/** REQUEST frames: each call of the oneof to its answer. */
import { GochatError, type PlainErrorCode, type UserId } from '../../common/mod.ts';
import type { client } from '../../proto/mod.ts';
import type { StateMetrics } from '../metrics.ts';
import type { Caller } from '../session/location-map.ts';
import { FairQueue, type FairQueueLimits } from './fair-queue.ts';
import type { Membership } from './membership.ts';
import type { Rooms } from './rooms.ts';

/** When to ask again after a refusal, ms. */
export const BUSY_RETRY_MS = 200;
/** What a call over crpc counts as, bytes: all are small. */
const CALL_BYTES = 256;

/** Answers requests of clients and calls of the API server, one of a user at a time. */
export class Requests {
  readonly #rooms: Rooms;
  readonly #membership: Membership;
  readonly #metrics: StateMetrics;
  readonly #queue: FairQueue;
  #draining = false;

  constructor(rooms: Rooms, membership: Membership, metrics: StateMetrics, limits: FairQueueLimits) {
    this.#rooms = rooms;
    this.#membership = membership;
    this.#metrics = metrics;
    this.#queue = new FairQueue(limits);
  }

  /** Why no request of a user is taken now, or undefined when one is. */
  refusal(user: UserId): PlainErrorCode | undefined {
    return this.#draining ? 'STATE_UNAVAILABLE' : this.#queue.refusal(user);
  }

  /** Takes a request of so many bytes and works at it now or in its turn; `work` must not reject. See `refusal`. */
  take(user: UserId, bytes: number, work: () => Promise<void>): void {
    this.#queue.add(user, bytes, work);
  }

  /** Does what a user asks for, in its turn. @throws GochatError STATE_UNAVAILABLE, RATE_LIMITED, OVERLOADED, or as `work` */
  call<T>(user: UserId, work: () => Promise<T>): Promise<T> {
    const code = this.refusal(user);
    if (code !== undefined) return Promise.reject(new GochatError(code, { retryAfterMs: BUSY_RETRY_MS }));
    return new Promise((resolve, reject) => {
      this.take(user, CALL_BYTES, () => work().then(resolve, reject));
    });
  }

  /** Takes no more requests; resolves when those in flight are answered. */
  drain(): Promise<void> {
    this.#draining = true;
    return this.#queue.idle();
  }

  /** Answers one request about the conversation `key`. @throws GochatError what the caller is to be told */
  async answer(caller: Caller, key: bigint, request: client.Request): Promise<client.Response> {
    return { result: await this.#call(caller, key, request.call) };
  }

  async #call(caller: Caller, key: bigint, call: client.Request['call']): Promise<client.Response['result']> {
    const rooms = this.#rooms;
    const membership = this.#membership;
    const { user } = caller;
    switch (call?.$case) {
      case 'sync':
        this.#metrics.syncs.add(1);
        return { $case: 'sync', sync: await rooms.sync(caller, call.sync) };
      case 'openDirect':
        return {
          $case: 'conversation',
          conversation: await membership.openDirect(caller, call.openDirect.userName),
        };
      case 'createRoom': {
        const { name, hideHistory } = call.createRoom;
        return { $case: 'conversation', conversation: await membership.create(caller, name, hideHistory) };
      }
      case 'joinRoom':
        return { $case: 'conversation', conversation: await membership.join(caller, call.joinRoom.room) };
      case 'leaveRoom':
        await membership.leave(caller, key);
        return { $case: 'done', done: {} };
      case 'removeMember':
        await membership.remove(caller, key, call.removeMember.user);
        return { $case: 'done', done: {} };
      case 'deleteRoom':
        await membership.delete(caller, key);
        return { $case: 'done', done: {} };
      case 'listConversations':
        return { $case: 'conversations', conversations: await rooms.conversations(caller) };
      case 'getHistory': {
        const { beforeSeq, limit } = call.getHistory;
        return { $case: 'history', history: await rooms.history(user, key, beforeSeq, limit) };
      }
      case 'getMembers':
        return { $case: 'members', members: await rooms.members(user, key) };
    }
    // A call that this version does not know decodes as none.
    throw new GochatError('ARGUMENT_INVALID', { details: { what: 'The call of the REQUEST' } });
  }
}
